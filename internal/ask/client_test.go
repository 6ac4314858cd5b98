package ask

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// TestHostileClient gives the client answers that are cut short or malformed: none is
// taken for a whole one.
func TestHostileClient(t *testing.T) {
	const head, line = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", `{"proto":"tcp","local_port":1}` + "\n"
	const chunk, trailer = "1f\r\n" + line + "\r\n", TrailerCoverage + `: {"source":"agent","sessions":1,"partial":[]}` + "\r\n"
	if len(line) != 0x1f {
		t.Fatalf("a line of %d bytes", len(line))
	}
	for name, c := range map[string]struct{ text, want string }{
		"whole":              {head + chunk + "0\r\n" + trailer + "\r\n", ""},
		"no last chunk":      {head + chunk, "before its answer was whole"},
		"half a chunk":       {head + chunk[:20], "before its answer was whole"},
		"no end of trailers": {head + chunk + "0\r\n" + trailer, "before its answer was whole"},
		"no coverage":        {head + chunk + "0\r\n\r\n", "no coverage"},
		"bad size":           {head + "zz\r\n", "malformed"},
		"huge size":          {head + "ffffffffffffffffff\r\n", "malformed"},
		"no length":          {"HTTP/1.1 200 OK\r\n\r\n" + line, "neither a length nor chunks"},
		"no HTTP":            {"SSH-2.0-x\r\n", "no HTTP answer"},
		"nothing":            {"", "EOF"},
		"endless header":     {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<17), "malformed"},
		"refused":            {"HTTP/1.1 400 Bad Request\r\nContent-Length: 25\r\n\r\n" + `{"error":"no","hint":"x"}`, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 4096)
				_, _ = conn.Read(buf)
				_, _ = io.WriteString(conn, c.text)
				_ = conn.Close()
			}()
			n := 0
			_, err = (&Client{Socket: path}).Sessions(t.Context(), &Question{}, func(*whose.Session) bool { n++; return true })
			switch {
			case c.want == "" && (err != nil || n != 1):
				t.Errorf("%d sessions, %v", n, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
