package export

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose/internal/remote"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A receiver answers as it is told, and keeps what it was sent.
type receiver struct {
	*httptest.Server
	status int
	header http.Header
	body   string
	last   *http.Request
	bytes  []byte
}

func newReceiver(t *testing.T, secure bool) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK, header: http.Header{}}
	h := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.last = q
		r.bytes, _ = io.ReadAll(q.Body)
		for k, v := range r.header {
			w.Header()[k] = v
		}
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, r.body)
	})
	if secure {
		r.Server = httptest.NewTLSServer(h)
	} else {
		r.Server = httptest.NewServer(h)
	}
	t.Cleanup(r.Close)
	return r
}

func writeFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, target *remote.Target) Sink {
	t.Helper()
	s, err := Open(*target, "whose/1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestClickHouse_Request(t *testing.T) {
	r := newReceiver(t, false)
	s := open(t, &remote.Target{URL: "clickhouse+" + r.URL + "/nets", Credentials: writeFile(t, "agent:s:e c\n", 0o600)})
	if err := s.Send(t.Context(), []byte("batch"), "id-7"); err != nil {
		t.Fatal(err)
	}
	q := r.last.URL.Query()
	user, password, _ := r.last.BasicAuth()
	if string(r.bytes) != "batch" || user != "agent" || password != "s:e c" ||
		r.last.Header.Get("Content-Encoding") != "zstd" || q.Get("insert_deduplication_token") != "id-7" ||
		q.Get("query") != "INSERT INTO nets.whose_in FORMAT JSONEachRow" || r.last.URL.Path != "/" {
		t.Errorf("got %q of %s:%s, %v %v", r.bytes, user, password, r.last.URL, r.last.Header)
	}
	s = open(t, &remote.Target{URL: "clickhouse+" + r.URL, Credentials: writeFile(t, "a-token", 0o600)})
	if err := s.Send(t.Context(), nil, ""); err != nil || r.last.Header.Get("Authorization") != "Bearer a-token" {
		t.Errorf("with a token: %v, %v", err, r.last.Header)
	}
}

func TestClickHouse_Answers(t *testing.T) {
	const (
		taken = iota
		rejected
		again
	)
	for _, c := range []struct {
		name   string
		status int
		code   string
		want   int
	}{
		{"taken", 200, "", taken},
		{"an exception after the head", 200, "241", again},
		{"a bad line", 400, "27", rejected},
		{"an unknown value of an enum", 400, "691", rejected},
		{"no such table", 404, "60", again},
		{"no such database", 400, "81", again},
		{"wrong password", 403, "516", again},
		{"no right", 403, "497", again},
		{"too many parts", 500, "252", again},
		{"too much at once", 429, "", again},
		{"away", 503, "", again},
		{"a proxy's error", 502, "", again},
		{"HTTP to a port of HTTPS", 400, "", again},
		{"too large", 413, "", rejected},
		{"a redirect", 307, "", again},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReceiver(t, false)
			r.status, r.body = c.status, "Code: 1.\x1b[31m\nbad"
			r.header.Set("Location", "http://192.0.2.1/")
			r.header.Set("Retry-After", "7")
			if c.code != "" {
				r.header.Set("X-ClickHouse-Exception-Code", c.code)
			}
			err := open(t, &remote.Target{URL: "clickhouse+" + r.URL}).Send(t.Context(), []byte("x"), "t")
			var no *RejectedError
			got := again
			switch {
			case err == nil:
				got = taken
			case errors.As(err, &no):
				got = rejected
			}
			if d := waitAfter(err, 0); err != nil && d < 7*time.Second {
				t.Errorf("wait %v; the server asks for 7 s", d)
			}
			if got != c.want {
				t.Errorf("got %v, which is kind %d, want %d", err, got, c.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("the answer's text came through as it is: %q", err)
			}
		})
	}
}

func TestOpen_TLS(t *testing.T) {
	r := newReceiver(t, true)
	ca := writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})), 0o644)
	send := func(target *remote.Target) error { return open(t, target).Send(t.Context(), []byte("x"), "t") }
	if err := send(&remote.Target{URL: "clickhouse+" + r.URL, CA: ca}); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	var unknown x509.UnknownAuthorityError
	if err := send(&remote.Target{URL: "clickhouse+" + r.URL}); !errors.As(err, &unknown) {
		t.Errorf("without its authority: %v", err)
	}
	r.TLS.MaxVersion = tls.VersionTLS11
	r.CloseClientConnections()
	if err := send(&remote.Target{URL: "clickhouse+" + r.URL, CA: ca}); err == nil {
		t.Error("TLS 1.1 was taken")
	}
}

func TestOpen_Refuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		target     remote.Target
	}{
		{"no scheme", "want clickhouse+https", remote.Target{URL: "localhost"}},
		{"another scheme", "want clickhouse+https", remote.Target{URL: "ftp://host"}},
		{"no host", "want https://HOST", remote.Target{URL: "clickhouse+https://"}},
		{"a password in the URL", "list of processes", remote.Target{URL: "clickhouse+https://a:geheim@host"}},
		{"a strange database", "name of a database", remote.Target{URL: "clickhouse+https://host/a;b"}},
		{"credentials without TLS", "https alone", remote.Target{URL: "clickhouse+http://192.0.2.1", Credentials: writeFile(t, "a:b", 0o600)}},
		{"credentials for all to read", "others may read", remote.Target{URL: "clickhouse+https://host", Credentials: writeFile(t, "a:b", 0o644)}},
		{"empty credentials", "want one line", remote.Target{URL: "clickhouse+https://host", Credentials: writeFile(t, "\n", 0o600)}},
		{"a certificate without its key", "wants its key", remote.Target{URL: "clickhouse+https://host", Cert: "x"}},
		{"no certificate", "no certificate", remote.Target{URL: "clickhouse+https://host", CA: writeFile(t, "x", 0o600)}},
		{"a relative folder", "absolute path", remote.Target{URL: "file:spool"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.target, "whose")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Errorf("the password is in the message: %v", err)
			}
		})
	}
}

// TestHostileRedirect has a receiver send us elsewhere with our credentials.
func TestHostileRedirect(t *testing.T) {
	thief := newReceiver(t, false)
	r := newReceiver(t, false)
	wrong := 0
	statuses := []int{301, 302, 303, 307, 308}
	for _, r.status = range statuses {
		r.header.Set("Location", thief.URL)
		err := open(t, &remote.Target{URL: "clickhouse+" + r.URL, Credentials: writeFile(t, "a:b", 0o600)}).Send(t.Context(), []byte("x"), "t")
		if err == nil || thief.last != nil {
			t.Errorf("%d: %v, the other host was asked: %v", r.status, err, thief.last != nil)
			wrong++
		}
	}
	testenv.Tried(t, len(statuses), wrong)
}

func TestFileSink(t *testing.T) {
	dir := t.TempDir()
	s := open(t, &remote.Target{URL: "file:" + dir})
	for range 2 { // again, as after an attempt whose end nobody saw
		if err := s.Send(t.Context(), []byte("batch"), "id-1"); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	text, err := os.ReadFile(filepath.Join(dir, "id-1.jsonl.zst"))
	if err != nil || string(text) != "batch" || !slices.Equal(names, []string{"id-1.jsonl.zst"}) {
		t.Errorf("got %q, %v in %q", text, err, names)
	}
	if err := open(t, &remote.Target{URL: "file:/no/such/folder"}).Send(t.Context(), nil, "x"); err == nil {
		t.Error("a missing folder took a batch")
	}
}
