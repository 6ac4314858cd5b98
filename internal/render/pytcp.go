package render

import (
	"strconv"

	"github.com/seed-44df2ae6/whose"
)

// pytcpFraming is the shape of the script from which whose began: one line, a
// JSON list, an object for each owner of each session, spaced as Python does.
//
// Like the script, it leaves out sessions without a process, for want of a
// "name:pid", and UDP sockets only bound. "Proccess" keeps its spelling.
func pytcpFraming() framing {
	return framing{
		head:       []byte("["),
		sep:        ", ",
		newEncoder: func() encoder { return infallible(appendPyTCP) },
		tail:       func(dst []byte, _ *whose.Coverage) []byte { return append(dst, "]\n"...) },
	}
}

func appendPyTCP(dst []byte, s *whose.Session) []byte {
	if s.Reason != whose.ReasonNone || s.State == whose.Unconn {
		return dst
	}
	for i := range s.Owners {
		dst = s.Local.Addr().AppendTo(append(dst, `, {"LocalAddr": "`...))
		dst = strconv.AppendUint(append(dst, `", "LocalPort": `...), uint64(s.Local.Port()), 10)
		dst = s.Remote.Addr().AppendTo(append(dst, `, "RemoteAddr": "`...))
		dst = strconv.AppendUint(append(dst, `", "RemotePort": `...), uint64(s.Remote.Port()), 10)
		dst = append(append(dst, `, "State": "`...), s.State.String()...)
		dst = appendJSONString(append(dst, `", "Proccess": `...), s.Owners[i].Comm)
		dst = append(dst[:len(dst)-1], ':') // within the closing quote
		dst = strconv.AppendUint(dst, uint64(s.Owners[i].PID), 10)
		dst = append(dst, `"}`...)
	}
	return dst
}
