package scrape

import (
	"io"
	"net/http"
	"testing"
)

func TestServer(t *testing.T) {
	s := &Server{Write: func(w io.Writer, open bool) error {
		text := "plain"
		if open {
			text = "open"
		}
		_, err := io.WriteString(w, text)
		return err
	}}
	if err := s.Listen(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Serve() }()
	for _, c := range []struct {
		method, path, host, accept string
		status                     int
		body                       string
	}{
		{"GET", Path, "", "", 200, "plain"},
		{"GET", Path, "localhost:1", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", 200, "open"},
		{"GET", Path, "[::1]:9477", "", 200, "plain"},
		{"GET", Path, "evil.example", "", 403, ""},
		{"GET", Path, "evil.example:9477", "", 403, ""},
		{"GET", Path, "127.0.0.1.evil.example", "", 403, ""},
		{"POST", Path, "", "", 405, ""},
		{"GET", "/", "", "", 404, ""},
	} {
		r, err := http.NewRequest(c.method, "http://"+s.Addr().String()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		r.Header.Set("Accept", c.accept)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.status || c.body != "" && string(body) != c.body {
			t.Errorf("%+v: %d, %q", c, answer.StatusCode, body)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("after Close: %v", err)
	}
}
