package collecttest

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// Cases returns all cases, each of them named once.
func Cases() []Case {
	return slices.Concat(tcpCases(), stateCases(), udpCases(), optionCases(), timerCases(), ownerCases(), threadCases(),
		ownerlessCases(), groupCases(), originCases(), flowCases(), namespaceCases(), questionCases())
}

// childRoles are the helpers started by cases beside their own.
func childRoles() map[string]func(*Stage, string) {
	return map[string]func(*Stage, string){
		"churn": func(st *Stage, arg string) { st.churn(arg) },
		"keep":  func(*Stage, string) {}, // holds its inheritance
		"connect": func(st *Stage, to string) {
			st.dial(to)
		},
		"listen":        listenAs(""),
		"listen by lo":  listenAs("lo", toLo),
		"listen v6only": listenAs("", v6Only),
		"same ends":     (*Stage).sameEnds,
		"take":          func(st *Stage, _ string) { st.receive(3) }, // and holds it
		"receive": func(st *Stage, _ string) {
			fd := st.receive(3)
			st.close(3)
			st.add("received", st.listener(fd, 16))
		},
	}
}

var reusePort = intOpt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)

// needSocket skips if this kernel was built without a protocol.
func needSocket(family, kind, proto int, what string) func(testing.TB) {
	return func(t testing.TB) {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
		if err != nil {
			testenv.Lacks(t, what, err.Error())
		}
		unix.Close(fd)
	}
}
