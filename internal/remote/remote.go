// Package remote reaches a server at the other end of HTTP: by TLS with the authorities
// that were named, with a client's certificate, with credentials from a file.
package remote

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/folder"
)

// A Target says where a server is, and how to be believed there.
type Target struct {
	// URL is https://HOST[:PORT][/PATH]; with http, there is no TLS.
	URL string
	// CA is a file of the authorities that may sign the server's certificate; "":
	// those of the host.
	CA string
	// Cert and Key are files of a client's certificate; "" for none.
	Cert, Key string
	// Credentials is a file with USER:PASSWORD, or one word that is a bearer token; ""
	// for none.
	Credentials string
}

// redacted is the URL without what stands before an @.
func (t *Target) redacted() string {
	if i := strings.LastIndexByte(t.URL, '@'); i >= 0 {
		return "…" + t.URL[i:]
	}
	return t.URL
}

// A Server is one that can be asked. Get one from [Target.Open]. It is safe for
// concurrent use.
type Server struct {
	// URL is that of the target. Requests go to it, or to a path below it.
	URL    url.URL
	client *http.Client
	// authorization is the header of that name, "" for none.
	authorization string
	agent         string
}

// Timeout bounds the time until an answer begins.
const Timeout = time.Minute

// Open returns the server of a target; agent is the name by which we introduce
// ourselves. Files are read now; what is wrong with them, or with the URL, is an error.
// Nothing is sent yet.
func (t *Target) Open(agent string) (*Server, error) {
	u, err := url.Parse(t.URL)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be read") // its text may hold a password
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, fmt.Errorf("want https://HOST, got %q", t.redacted())
	case u.User != nil:
		return nil, whose.WithHint(errors.New("a name or password in the URL would show in the list of processes"),
			"write USER:PASSWORD to a file and name it as the file of credentials")
	}
	to := &Server{URL: *u, agent: agent}
	if err := t.believe(to); err != nil {
		return nil, err
	}
	config, err := t.tls()
	if err != nil {
		return nil, err
	}
	to.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			TLSClientConfig:       config,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: Timeout,
			MaxIdleConns:          4,
			IdleConnTimeout:       30 * time.Second,
			DisableCompression:    true,
		},
		// Nobody else gets what was meant for the server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return to, nil
}

// believe reads the credentials. They go over TLS, or to this very host.
func (t *Target) believe(to *Server) error {
	if t.Credentials == "" {
		return nil
	}
	if to.URL.Scheme == "http" && !loopback(to.URL.Hostname()) {
		return errors.New("credentials are sent by https alone, or to this host")
	}
	text, err := readSecret(t.Credentials)
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	user, _, basic := strings.Cut(text, ":")
	if !basic {
		to.authorization = "Bearer " + text
		return nil
	}
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, text[len(user)+1:])
	to.authorization = r.Header.Get("Authorization")
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// The bounds of a file with credentials, and of one with a key.
const (
	mostSecret = 4096
	mostPEM    = 1 << 20
)

// readSecret reads a line that nobody else may read.
func readSecret(path string) (string, error) {
	raw, err := folder.ReadFile(path, 0o037, mostSecret)
	text := strings.TrimSpace(string(raw))
	if err == nil && (text == "" || strings.ContainsAny(text, "\r\n\x00")) {
		err = fmt.Errorf("want one line in %s", path)
	}
	return text, err
}

func (t *Target) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("authorities: no certificate in %s", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("a client's certificate wants its key, and the key its certificate")
	}
	if t.Cert == "" {
		return config, nil
	}
	load := func() (*tls.Certificate, error) {
		key, err := folder.ReadFile(t.Key, 0o037, mostPEM)
		if err != nil {
			return nil, fmt.Errorf("key of the client: %w", err)
		}
		cert, err := os.ReadFile(t.Cert)
		if err != nil {
			return nil, fmt.Errorf("certificate of the client: %w", err)
		}
		c, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("certificate of the client: %w", err)
		}
		return &c, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	// It is read at each handshake, since certificates are renewed.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return config, nil
}

// A Request is what is asked.
type Request struct {
	// Query is put after the URL.
	Query url.Values
	Body  []byte
	// Type and Encoding are those of the body; "" for none.
	Type, Encoding string
}

// Post sends a request. The answer of any status is returned; its body is the caller's
// to close.
func (s *Server) Post(ctx context.Context, r *Request) (*http.Response, error) {
	u := s.URL
	u.RawQuery = r.Query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Content-Encoding": r.Encoding, "Content-Type": r.Type, "User-Agent": s.agent, "Authorization": s.authorization,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := s.client.Do(req)
	var bad *url.Error
	if errors.As(err, &bad) {
		err = bad.Err // the URL holds the query, which says nothing to a reader
	}
	return res, err
}

// A StatusError is an answer other than yes.
type StatusError struct {
	// Status is the line of the answer: "404 Not Found".
	Status string
	// Code is its number.
	Code int
	// Text is the beginning of what it says, on one line and disarmed.
	Text string
	// After is the time to wait that the server asks for; 0 for none.
	After time.Duration
}

func (e *StatusError) Error() string { return e.Status + ": " + e.Text }

// ErrorOf returns the error of an answer, whose body it reads and closes.
func ErrorOf(res *http.Response) *StatusError {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what came
	Drain(res)
	after, _ := strconv.Atoi(res.Header.Get("Retry-After")) // 0 where there is none
	return &StatusError{
		Status: line(res.Status), Code: res.StatusCode, Text: cmp.Or(line(string(text)), "no reason given"),
		After: time.Duration(max(after, 0)) * time.Second,
	}
}

// line bounds and disarms the text of a server.
func line(s string) string {
	const most = 300
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !whose.Visible(r) {
			return ' '
		}
		return r
	}, s))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// Drain reads a little of the rest of an answer and closes it, so that the connection
// can be used again.
func Drain(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, 4096) // of no interest
	_ = res.Body.Close()
}

// PlainName reports whether the name of a database needs no quoting.
func PlainName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
