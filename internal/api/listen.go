package api

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/agent"
)

// An AccessError refuses an address or a socket on which an agent would serve.
type AccessError struct{ Err error }

// Error returns the reason.
func (e *AccessError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *AccessError) Unwrap() error { return e.Err }

// ListenTCP listens on an IP address and port. What an agent knows is for this host's
// administrators: an address that is not of the loopback device needs TLS.
func ListenTCP(address string, secure bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &AccessError{err}
	}
	addr, err := netip.ParseAddr(host)
	switch local := host == "localhost" || err == nil && addr.IsLoopback(); {
	case secure && err != nil && !local:
		return nil, whose.WithHint(&AccessError{errors.New("want an IP address before the port")}, "192.0.2.1:9377 for example, 0.0.0.0:9377 for all of IPv4")
	case !secure && !local:
		return nil, whose.WithHint(&AccessError{errors.New("only an address of the loopback device is allowed, without TLS")},
			"127.0.0.1:9377 for example; for others --tls-cert and --tls-key, or ssh -L")
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // what is asked is short
	return config.Listen(context.Background(), "tcp", address)
}

// A service is a server of HTTP with its bounds.
func service(h http.Handler, base func(net.Conn) (agent.Viewer, bool)) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headTime, IdleTimeout: idleTime, MaxHeaderBytes: mostHead,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if v, ok := base(c); ok {
				return withViewer(ctx, v)
			}
			return ctx
		},
		ErrorLog: log.New(quiet{}, "", 0),
	}
}

// quiet drops the server's remarks about connections that broke off.
type quiet struct{}

// Write drops p.
func (quiet) Write(p []byte) (int, error) { return len(p), nil }

// An Access says who may ask over TCP, and then sees all.
type Access struct {
	// Token is sent with each request. "" asks for none, and needs certificates.
	Token string
	// TLS is nil for plain HTTP on the loopback device.
	TLS *TLS
}

// ServeTCP serves on a listener until Close. A request without the token, from a web
// page, or to a name that is not this agent's is refused; a connection without a
// certificate, where askers need one, too.
func (s *Server) ServeTCP(l net.Listener, access Access) *Serving {
	all, h := agent.Viewer{All: true, NetNS: s.NetNS}, s.handler()
	guard := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Origin") != "":
			writeError(w, &statusError{http.StatusForbidden, errors.New("web pages may not ask: there is an Origin")})
		case !access.named(r.Host):
			writeError(w, &statusError{http.StatusForbidden, errors.New("want " + access.wantedHosts() + " as the Host")})
		case !access.allows(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeError(w, whose.WithHint(&statusError{http.StatusUnauthorized, errors.New("the token is missing, or another one")},
				"send the agent's: Authorization: Bearer TOKEN"))
		default:
			h.ServeHTTP(w, r.WithContext(withViewer(r.Context(), all)))
		}
	})
	bound := net.Listener(newBounded(l, mostConns))
	if access.TLS != nil {
		bound = tls.NewListener(bound, access.TLS.config())
	}
	return serve(service(guard, func(net.Conn) (agent.Viewer, bool) { return all, false }), bound)
}

// named reports whether a Host header names this agent: by the loopback device, or by
// a name of its certificate.
func (a *Access) named(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	return localName(host) || a.TLS.names(host)
}

func (a *Access) wantedHosts() string {
	if a.TLS != nil {
		return "a name or an address of the certificate"
	}
	return "the address of the loopback device, or localhost,"
}

// allows reports whether the asker has shown who he is.
func (a *Access) allows(r *http.Request) bool {
	if a.Token == "" {
		return a.TLS.asksCertificates() && r.TLS != nil && len(r.TLS.VerifiedChains) > 0
	}
	return hasToken(r, a.Token)
}

// localName reports whether a host is this one by its loopback device.
func localName(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

func hasToken(r *http.Request, token string) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}

// A Serving is a server at work.
type Serving struct {
	server *http.Server
	done   chan struct{}
	err    error
}

// serve serves on a listener that bounds its connections.
func serve(server *http.Server, l net.Listener) *Serving {
	s := &Serving{server: server, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.err = err
		}
	}()
	return s
}

// closeTime is the time for the answers that are under way at the end.
const closeTime = time.Second

// Close ends the serving: answers under way have a second.
func (s *Serving) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		_ = s.server.Close() // it breaks the rest off
	}
	<-s.done
	return s.err
}

// A bounded listener takes so many connections at once. The others wait in the
// kernel's queue.
type bounded struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newBounded(l net.Listener, most int) *bounded {
	return &bounded{Listener: l, places: make(chan struct{}, most), closed: make(chan struct{})}
}

// Accept waits for a place and a connection.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.places <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &boundedConn{Conn: c, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

// Close ends the listener, and a wait for a place.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// A boundedConn gives its place back when it is closed.
type boundedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
