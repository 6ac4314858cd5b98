package main

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/hostname"
)

// This file reads the flags of lsof that have a value, and which mean something else
// or nothing here, as words of the filter: -i :443, -c nginx, -p 812, -u root,
// -sTCP:LISTEN. The rest stays, for flagError to answer.

// servicesFile has the names of services.
const servicesFile = "/etc/services"

// hostDialect is the language with the names of this host. It reads the file of
// services for the first name.
func hostDialect() filter.Dialect {
	var services *hostname.Services
	return filter.Dialect{Port: func(name string) (uint16, bool) {
		if services == nil {
			s := hostname.ReadServices(servicesFile)
			services = &s
		}
		return services.Port(name)
	}}
}

// A translator turns a command line with flags of lsof into ours.
type translator struct {
	in, out []string
	// isUser reports whether the host has a user of that name.
	isUser func(string) bool
	// ends: -i came with an end, which is lsof's; terse: there is a -t.
	ends, terse bool
	// lsof: there is a -P, which only lsof has.
	lsof bool
	// said is a remark on a flag that could mean two things.
	said string
}

// asked are the commands with a question.
var asked = []string{"count", "watch", "kill"}

// translate returns the arguments with flags of lsof turned into words of the
// filter, and a remark about a doubtful one. err refuses a misleading one.
func translate(args []string, isUser func(string) bool) (ours []string, said string, err error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "__complete") {
		return args, "", nil
	}
	for _, name := range subcommandNames() {
		if slices.Contains(args, name) && !slices.Contains(asked, name) {
			return args, "", nil
		}
	}
	t := &translator{in: args, isUser: isUser, lsof: slices.ContainsFunc(args, isNumericPorts)}
	for len(t.in) > 0 {
		a := t.next()
		if a == "--" {
			t.out = append(append(t.out, a), t.in...)
			break
		}
		if len(a) < 2 || a[0] != '-' || a[1] == '-' {
			t.out = append(t.out, a)
			continue
		}
		t.cluster(a)
	}
	if t.ends && t.terse {
		return nil, "", whose.WithHint(usagef("-t with -i: is it lsof's -t, PIDs alone, or TCP?"),
			"for PIDs alone: whose --pids :443; for TCP: whose 443/tcp")
	}
	return t.out, t.said, nil
}

func (t *translator) next() string {
	a := t.in[0]
	t.in = t.in[1:]
	return a
}

// value takes the next argument if it meets ok.
func (t *translator) value(ok func(string) bool) (string, bool) {
	if len(t.in) == 0 || !ok(t.in[0]) {
		return "", false
	}
	return t.next(), true
}

// add adds words, or flags.
func (t *translator) add(words ...string) { t.out = append(t.out, words...) }

// short adds a cluster of short flags, unless it is empty.
func (t *translator) short(flags string) {
	if flags != "" {
		t.add("-" + flags)
	}
}

// cluster reads short flags that stand together, the last perhaps with its value.
func (t *translator) cluster(a string) {
	flags := a[1:]
	t.terse = t.terse || strings.Contains(flags, "t")
	for k, c := range flags {
		before, rest := flags[:k], flags[k+1:]
		switch c {
		case 'o', 'N', 'b': // ours with a value
			t.add(a)
			if rest == "" && len(t.in) > 0 {
				t.add(t.next())
			}
			return
		case 'P': // as -n
			t.cluster0(before + rest)
			return
		case 'i':
			if end, ok := t.attached(rest, isLsofEnd); ok {
				t.short(before)
				t.end(end)
				return
			}
			if t.lsof {
				t.cluster0(before + rest)
				return
			}
		case 'p':
			if pids, ok := t.attached(rest, isPIDs); ok {
				t.short(before)
				t.negated("pid", pids)
				return
			}
		case 'c':
			if rest != "" {
				continue
			}
			if name, ok := t.value(isName); ok {
				t.short(before)
				t.command(name)
				return
			}
		case 's':
			if states, ok := t.attached(rest, isLsofState); ok {
				t.short(before)
				_, states, _ = strings.Cut(states, ":")
				t.negated("state", states)
				return
			}
		case 'u':
			if flags != "u" {
				continue
			}
			if users, ok := t.value(t.isUsers); ok {
				t.negated("user", users)
				t.said = "-u " + users + " is taken for the user; -u process " + users + " asks for UDP of a process"
				return
			}
		}
	}
	t.add(a)
}

// cluster0 reads the rest of a cluster, if there is any.
func (t *translator) cluster0(flags string) {
	if flags != "" {
		t.cluster("-" + flags)
	}
}

// attached returns a value that stands in the same argument, or in the next.
func (t *translator) attached(rest string, ok func(string) bool) (string, bool) {
	if rest != "" {
		return rest, ok(rest)
	}
	return t.value(ok)
}

// negated adds a condition; a "^" before the values, as lsof has it, negates it.
func (t *translator) negated(field, values string) {
	if strings.Contains(values, "^") {
		t.add("not")
	}
	t.add(field, strings.ReplaceAll(values, "^", ""))
}

// command adds the condition of -c, a name that begins so or a regular expression.
func (t *translator) command(name string) {
	if re, ok := strings.CutPrefix(name, "/"); ok && strings.HasSuffix(re, "/") {
		t.add("process", "~", strings.TrimSuffix(re, "/"))
		return
	}
	t.add("process", strings.TrimSuffix(name, "*")+"*")
}

// expression returns a regular expression that is made when it is first used.
func expression(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// lsofEnd is an internet address of lsof: [46][protocol][@host][:ports].
var lsofEnd = expression(`^([46]?)((?i:tcp|udp)?)(?:@?(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z*][0-9A-Za-z.*_/-]*))?(?::([0-9A-Za-z,_-]+))?$`)

func isLsofEnd(s string) bool {
	m := lsofEnd().FindStringSubmatch(s)
	return m != nil && (m[3] == "" || strings.Contains(s, "@") || m[4] != "" || strings.ContainsAny(m[3], ".[")) && s != ""
}

// end adds the conditions of an address of lsof.
func (t *translator) end(s string) {
	t.ends = true
	m := lsofEnd().FindStringSubmatch(s)
	if m[1] != "" {
		t.add("-" + m[1])
	}
	if m[2] != "" {
		t.add("-" + strings.ToLower(m[2][:1]))
	}
	host, ports := m[3], m[4]
	switch {
	case host == "" && ports != "":
		t.add("port", ports)
	case host != "" && ports == "":
		t.add("addr", host)
	case host != "" && !strings.Contains(ports, ","):
		t.add("addr", host+":"+ports)
	case host != "":
		t.add("addr", host, "port", ports)
	}
}

var (
	pidList   = expression(`^\^?[0-9]+(,\^?[0-9]+)*$`)
	lsofState = expression(`^(?i:tcp|udp):\^?[A-Za-z_0-9-]+(,\^?[A-Za-z_0-9-]+)*$`)
	numericP  = expression(`^-[A-Za-z46]*P`)
)

func isPIDs(s string) bool         { return pidList().MatchString(s) }
func isLsofState(s string) bool    { return lsofState().MatchString(s) }
func isNumericPorts(s string) bool { return numericP().MatchString(s) }

// isName reports whether an argument can be the name of a program.
func isName(s string) bool {
	return s != "" && s[0] != '-' && strings.Trim(s, "0123456789.") != ""
}

// isUsers reports whether an argument is a user, or several with commas between
// them.
func (t *translator) isUsers(s string) bool {
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimPrefix(name, "^")
		if name == "" || strings.Trim(name, "0123456789") != "" && !t.isUser(name) {
			return false
		}
	}
	return true
}

// isLocalUser reports whether the host's own file has the user.
func isLocalUser(name string) bool { return slices.Contains(firstColumn("/etc/passwd"), name) }
