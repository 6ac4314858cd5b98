// Package scrape answers a monitoring system that fetches metrics over HTTP.
package scrape

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Path is the path of the metrics.
const Path = "/metrics"

// A Server answers requests for metrics.
type Server struct {
	// Write writes the metrics, in the format of OpenMetrics if open.
	Write func(w io.Writer, open bool) error

	listener net.Listener
	server   *http.Server
}

// The bounds of a server: requests at once, and the time for each. The metrics of one
// host are fetched every few seconds by one or two programs.
const (
	maxRequests = 4
	timeout     = 10 * time.Second
)

// The types of both formats.
const (
	typePrometheus  = "text/plain; version=0.0.4; charset=utf-8"
	typeOpenMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// Listen begins to listen at an address with a port.
func (s *Server) Listen(ctx context.Context, addr string) error {
	var err error
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	if s.listener, err = plain.Listen(ctx, "tcp", addr); err != nil {
		return err
	}
	places := make(chan struct{}, maxRequests)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, r *http.Request) {
		if !s.knows(r.Host) {
			http.Error(w, "this host is not called so", http.StatusForbidden)
			return
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			s.answer(w, r)
		default:
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
		}
	})
	s.server = &http.Server{
		Handler: mux, ReadTimeout: timeout, WriteTimeout: timeout, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 1 << 14,
	}
	return nil
}

// Addr returns the address, after Listen.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve answers until Close.
func (s *Server) Serve() error {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends Serve and all requests.
func (s *Server) Close() error { return s.server.Close() }

// knows reports whether a request names this host by an address or as localhost. On
// loopback another name is a page in somebody's browser whose name leads here (DNS
// rebinding). At other addresses any name may be right.
func (s *Server) knows(host string) bool {
	if at, ok := s.listener.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	open := strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text")
	var b bytes.Buffer
	if err := s.Write(&b, open); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	kind := typePrometheus
	if open {
		kind = typeOpenMetrics
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	_, _ = w.Write(b.Bytes()) // who has gone needs no answer
}
