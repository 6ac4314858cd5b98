package proc

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// Script returns what an interpreter runs, by the path of its executable and its
// arguments, each of which ends in NUL: a file ("app.py", "/opt/x.jar"), a module
// ("http.server"), a class. Without exe the first argument names the interpreter.
// Empty: it is none that is known here, runs what stands on its command line or on its
// input, or has an option of which it is not known whether a value follows.
//
// A process writes its own command line: the result is its word and nothing more. An
// argument without its NUL was cut, and is left alone.
func Script(exe string, cmdline []byte) string {
	args := splitArgs(cmdline)
	if len(args) == 0 {
		return ""
	}
	name := interpreterName(exe, args)
	rest := args[1:]
	if name == "busybox" {
		if name = base(args[0]); name == "busybox" && len(rest) > 0 {
			name, rest = base(rest[0]), rest[1:]
		}
	}
	for i := range interpreters {
		if in := &interpreters[i]; slices.Contains(in.names, name) {
			return in.script(rest)
		}
	}
	return ""
}

// mostArgs bounds the arguments that are looked at.
const mostArgs = 256

// splitArgs returns the first arguments, those that end in NUL.
func splitArgs(b []byte) []string {
	var args []string
	for len(args) < mostArgs {
		arg, rest, whole := bytes.Cut(b, []byte{0})
		if !whole {
			break
		}
		args, b = append(args, string(arg)), rest
	}
	return args
}

// interpreterName returns the name of the program without its version: "python" for
// /usr/bin/python3.12.
func interpreterName(exe string, args []string) string {
	if exe = strings.TrimSuffix(exe, " (deleted)"); exe == "" {
		exe = args[0]
	}
	return base(exe)
}

// base returns the name of a program, without its folder, the dash of a login shell,
// and its version.
func base(program string) string {
	name := strings.TrimPrefix(path.Base(program), "-")
	if plain := strings.TrimRight(name, "0123456789."); plain != "" {
		name = plain
	}
	return name
}

// An interpreter knows the command line of a kind of program.
type interpreter struct {
	// names are those of the executable, without version.
	names []string
	// inline are the letters of options that give the program itself: none has a
	// script then. module are those that name a module, file those that name the file.
	inline, module, file string
	// valued are letters whose value follows, in the same argument or the next;
	// attached those whose value, if any, is in the same argument.
	valued, attached string
	// long are the long options whose value is the next argument, without dashes, and
	// inlineLong those that give the program itself.
	long, inlineLong []string
	// flags are the long options without a value. Nil: all others are.
	flags []string
	// modules are long options that name a module or file.
	modules []string
	// single: long options have one dash too, and letters are never grouped.
	single bool
	// skip are words before the script that only say how to run it.
	skip []string
	// suffixes are the endings of scripts: another first word is no script. Nil: any.
	suffixes []string
}

var interpreters = [...]interpreter{
	{names: []string{"python", "pypy"}, inline: "c", module: "m", valued: "WXQ", long: []string{"check-hash-based-pycs"}},
	{names: []string{"perl"}, inline: "eE", valued: "I", attached: "0CDFilMmVx"},
	{names: []string{"ruby"}, inline: "e", valued: "ICErX", attached: "0FiKTWx",
		long: []string{"encoding", "external-encoding", "internal-encoding"}},
	{names: []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"}, inline: "cs", valued: "oO", long: []string{"rcfile", "init-file"}},
	{names: []string{"php"}, inline: "rBRE", file: "fF", valued: "cdSt"},
	{names: []string{"node", "nodejs"}, inline: "ep", valued: "rC", inlineLong: []string{"eval", "print"},
		long: []string{"require", "import", "loader", "experimental-loader", "conditions", "title", "input-type",
			"env-file", "env-file-if-exists", "max-old-space-size", "max-http-header-size", "icu-data-dir", "openssl-config",
			"unhandled-rejections", "dns-result-order", "diagnostic-dir", "redirect-warnings", "trace-event-categories",
			"watch-path", "test-reporter", "test-name-pattern", "inspect-port", "stack-trace-limit"},
		flags: []string{"inspect", "inspect-brk", "watch", "enable-source-maps", "no-warnings", "no-deprecation",
			"trace-warnings", "trace-deprecation", "expose-gc", "harmony", "preserve-symlinks", "throw-deprecation",
			"experimental-strip-types", "experimental-vm-modules", "experimental-modules", "abort-on-uncaught-exception",
			"prof", "cpu-prof", "heap-prof", "use-openssl-ca", "use-system-ca", "trace-uncaught", "test", "no-experimental-strip-types"},
		skip: []string{"inspect"}},
	{names: []string{"java"}, single: true, modules: []string{"jar", "m", "module"},
		long: []string{"cp", "classpath", "class-path", "p", "module-path", "upgrade-module-path", "add-modules",
			"limit-modules", "add-reads", "add-exports", "add-opens", "patch-module", "enable-native-access",
			"illegal-native-access", "source"},
		inlineLong: []string{"d", "describe-module", "version", "list-modules"}},
	{names: []string{"dotnet"}, long: []string{"additionalprobingpath", "additional-deps", "depsfile", "runtimeconfig", "fx-version", "roll-forward"},
		skip: []string{"exec"}, suffixes: []string{".dll", ".exe"}},
	{names: []string{"mono"}, suffixes: []string{".exe", ".dll"}},
}

// script returns the script of the arguments behind the interpreter.
func (in *interpreter) script(args []string) string {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return in.first(args)
		case arg == "-", strings.HasPrefix(arg, "@"): // input; a file of arguments
			return ""
		case slices.Contains(in.skip, arg):
		case arg == "" || arg[0] != '-' && (arg[0] != '+' || in.valued != "oO"):
			return in.first(append([]string{arg}, args...))
		default:
			found, rest, ok := in.option(arg, args)
			if !ok || found != "" {
				return found
			}
			args = rest
		}
	}
	return ""
}

// first returns the first argument, if it may be a script.
func (in *interpreter) first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	if in.suffixes != nil && !slices.Contains(in.suffixes, strings.ToLower(path.Ext(args[0]))) {
		return ""
	}
	return args[0]
}

// option reads an option. It returns the script that the option names, or the
// arguments behind it. ok is false if nothing behind it can be a script.
func (in *interpreter) option(arg string, args []string) (script string, rest []string, ok bool) {
	if in.single || strings.HasPrefix(arg, "--") {
		return in.longOption(strings.TrimLeft(arg, "-"), args)
	}
	for i := 1; i < len(arg); i++ {
		letter, value := arg[i:i+1], arg[i+1:]
		switch {
		case strings.Contains(in.inline, letter):
			return "", nil, false
		case in.module != "" && letter == in.module, strings.Contains(in.file, letter):
			if value != "" {
				return value, nil, true
			}
			return in.first(args), nil, len(args) > 0
		case strings.Contains(in.attached, letter):
			return "", args, true
		case strings.Contains(in.valued, letter):
			if value == "" || in.valued == "oO" { // of a shell the value is never in the same argument
				if len(args) == 0 {
					return "", nil, false
				}
				args = args[1:]
			}
			if in.valued != "oO" {
				return "", args, true
			}
		}
	}
	return "", args, true
}

func (in *interpreter) longOption(name string, args []string) (script string, rest []string, ok bool) {
	name, _, joined := strings.Cut(name, "=")
	switch {
	case slices.Contains(in.inlineLong, name):
		return "", nil, false
	case joined && slices.Contains(in.modules, name): // --module=name
		return "", nil, false
	case joined:
		return "", args, true
	case slices.Contains(in.modules, name):
		return in.first(args), nil, len(args) > 0
	case slices.Contains(in.long, name):
		if len(args) == 0 {
			return "", nil, false
		}
		return "", args[1:], true
	}
	// One that is not known may have a value behind it.
	return "", args, in.flags == nil || slices.Contains(in.flags, name)
}
