package proc

import (
	"strings"
	"testing"
)

func TestScript(t *testing.T) {
	for _, c := range []struct{ exe, line, want string }{
		{"/usr/bin/python3.12", "python3 app.py --port 8000", "app.py"},
		{"/usr/bin/python3.12", "python3 -u -W ignore -X dev /srv/app.py x.py", "/srv/app.py"},
		{"/usr/bin/python3.12", "python3 -Wignore -uB app.py", "app.py"},
		{"/usr/bin/python3.12", "python3 -m http.server 8000", "http.server"},
		{"/usr/bin/python3.12", "python3 -um http.server", "http.server"},
		{"/usr/bin/python3.12", "python3 -mhttp.server", "http.server"},
		{"/usr/bin/python3.12", "python3 -c import app.py", ""},
		{"/usr/bin/python3.12", "python3 -ic pass app.py", ""},
		{"/usr/bin/python3.12", "python3 - app.py", ""},
		{"/usr/bin/python3.12", "python3", ""},
		{"/usr/bin/python3.12", "python3 -m", ""},
		{"/usr/bin/python3.12", "python3 -W", ""},
		{"/usr/bin/python3.12", "python3 --check-hash-based-pycs always app.py", "app.py"},
		{"/usr/bin/python3.12", "gunicorn:", ""}, // it wrote over its command line
		{"/usr/bin/python3.12 (deleted)", "python3 app.py", "app.py"},
		{"", "/usr/bin/python2 app.py", "app.py"},
		{"/opt/pypy3/bin/pypy3", "pypy3 app.py", "app.py"},
		{"/usr/lib/jvm/java-21/bin/java", "java -Xmx1g -jar x.jar y.jar", "x.jar"},
		{"/usr/lib/jvm/java-21/bin/java", "java -cp a.jar:b.jar -Dx=y com.example.Main z", "com.example.Main"},
		{"/usr/lib/jvm/java-21/bin/java", "java --class-path=a.jar com.example.Main", "com.example.Main"},
		{"/usr/lib/jvm/java-21/bin/java", "java -classpath a.jar -XX:+UseZGC --add-opens java.base/java.lang=ALL-UNNAMED Main", "Main"},
		{"/usr/lib/jvm/java-21/bin/java", "java -p mods -m app/com.example.Main", "app/com.example.Main"},
		{"/usr/lib/jvm/java-21/bin/java", "java @args Main", ""},
		{"/usr/bin/java", "java -javaagent:x.jar=port -jar y.jar", "y.jar"},
		{"/usr/bin/java", "java -version", ""},
		{"/usr/bin/node", "node server.js", "server.js"},
		{"/usr/bin/node", "node --max-old-space-size=4096 --inspect -r dotenv/config server.js --x", "server.js"},
		{"/usr/bin/node", "node --require ./a.js server.mjs", "server.mjs"},
		{"/usr/bin/node", "node --no-such-option maybe server.js", ""},
		{"/usr/bin/node", "node -e 1 server.js", ""},
		{"/usr/bin/node", "node --eval 1", ""},
		{"/usr/bin/node", "node inspect server.js", "server.js"},
		{"/usr/bin/perl", "perl -w -I lib -Mstrict x.pl", "x.pl"},
		{"/usr/bin/perl", "perl -Ilib x.pl", "x.pl"},
		{"/usr/bin/perl", "perl -ne print x.pl", ""},
		{"/usr/bin/perl5.36", "perl x.pl", "x.pl"},
		{"/usr/bin/ruby3.1", "ruby -I lib -rjson x.rb", "x.rb"},
		{"/usr/bin/ruby3.1", "ruby -e x", ""},
		{"/usr/bin/bash", "bash x.sh -c y", "x.sh"},
		{"/usr/bin/bash", "bash -euo pipefail x.sh", "x.sh"},
		{"/usr/bin/bash", "bash --norc --rcfile a x.sh", "x.sh"},
		{"/usr/bin/bash", "bash -c x.sh", ""},
		{"/usr/bin/bash", "bash -lc x.sh", ""},
		{"/usr/bin/bash", "bash +o posix x.sh", "x.sh"},
		{"/usr/bin/bash", "-bash", ""},
		{"/usr/bin/dash", "/bin/sh /etc/init.d/x start", "/etc/init.d/x"},
		{"/bin/busybox", "sh x.sh", "x.sh"},
		{"/bin/busybox", "busybox sh x.sh", "x.sh"},
		{"/bin/busybox", "busybox httpd x.sh", ""},
		{"/usr/bin/php8.2", "php -d a=b x.php", "x.php"},
		{"/usr/bin/php8.2", "php -f x.php y", "x.php"},
		{"/usr/bin/php8.2", "php -S 127.0.0.1:80 router.php", "router.php"},
		{"/usr/bin/php8.2", "php -r x", ""},
		{"/usr/bin/dotnet", "dotnet app.dll", "app.dll"},
		{"/usr/bin/dotnet", "dotnet exec --runtimeconfig x.json app.dll", "app.dll"},
		{"/usr/bin/dotnet", "dotnet run", ""},
		{"/usr/bin/mono", "mono --debug app.exe", "app.exe"},
		{"/usr/bin/python3", "python3 -- -odd.py", "-odd.py"},
		{"/usr/sbin/nginx", "python3 app.py", ""}, // its executable says what it is
		{"/usr/bin/sleep", "sleep 600", ""},
	} {
		cmdline := []byte(strings.ReplaceAll(c.line, " ", "\x00") + "\x00")
		if got := Script(c.exe, cmdline); got != c.want {
			t.Errorf("script of %s: %q is %q, want %q", c.exe, c.line, got, c.want)
		}
	}
}

// What was cut or is not of a command line is no script.
func TestScript_Bounds(t *testing.T) {
	for _, line := range []string{"", "\x00", "python3", "python3\x00app.p", "python3\x00", "python3\x00" + strings.Repeat("-u\x00", 10_000) + "app.py\x00"} {
		if got := Script("/usr/bin/python3", []byte(line)); got != "" {
			t.Errorf("script of %.40q is %q, want none", line, got)
		}
	}
	if got := Script("", []byte("\x00app.py\x00")); got != "" {
		t.Errorf("script without a name is %q", got)
	}
	odd := "a\x1b[2J\nb.py"
	if got := Script("/usr/bin/python3", []byte("python3\x00"+odd+"\x00")); got != odd {
		t.Errorf("script is %q, want the bytes as they are, for the output to make safe", got)
	}
}

func FuzzScript(f *testing.F) {
	f.Add("/usr/bin/python3", []byte("python3\x00-W\x00x\x00app.py\x00"))
	f.Add("/usr/bin/java", []byte("java\x00-jar\x00x.jar\x00"))
	f.Add("", []byte("bash\x00-euo\x00pipefail\x00x\x00"))
	f.Fuzz(func(t *testing.T, exe string, cmdline []byte) {
		if got := Script(exe, cmdline); got != "" && !strings.Contains(string(cmdline), got) {
			t.Errorf("script %q is no part of the command line", got)
		}
	})
}
