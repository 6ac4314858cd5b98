//go:build whose_agent

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/history/store"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/api"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/track"
)

// An agentServing is the socket and the address at which an agent answers.
type agentServing struct {
	server *api.Server
	tls    *api.TLS // nil: none
	open   []io.Closer
}

// serve begins to answer. Without the usual socket the agent goes on: its history is
// worth more. One that was named is wanted.
func (a *agentJob) serve(ctx context.Context, p *agentPlan, t *track.Tracker, feed *agent.Feed, w *store.Writer) (*agentServing, error) {
	s := &agentServing{server: &api.Server{
		Table: t, Feed: feed, Dialect: hostDialect(), NetNS: ownNetNS(), Version: buildVersion(), Began: time.Now(),
	}}
	if w != nil {
		s.server.Settle = w.Flush
		s.server.Past = func(zone *time.Location) (history.Source, error) { return store.Open(p.dir, zone) }
	}
	files, err := proc.OpenWithin(ctx, "", false)
	if err != nil {
		return nil, fmt.Errorf("answer questions: %w", err)
	}
	s.server.Users = files.UserIDs
	s.open = append(s.open, files)
	if p.socket != "" {
		socket, err := api.ListenUnix(p.socket, p.gid, p.mode)
		switch {
		case err == nil:
			s.open = append(s.open, s.server.ServeUnix(socket), socket)
			a.sh.say("answering at %s", p.socket)
		case p.asked:
			return nil, errors.Join(err, s.close())
		default:
			a.sh.say("%v; going on without a socket", err)
		}
	}
	if p.listen != "" {
		if err := a.serveTCP(s, p); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

// serveTCP begins to answer at an address, by HTTPS where there is a certificate.
// Without certificates of askers there is a token.
func (a *agentJob) serveTCP(s *agentServing, p *agentPlan) error {
	var access api.Access
	var err error
	scheme := "http"
	if p.tlsCert != "" {
		if s.tls, err = api.LoadTLS(p.tlsCert, p.tlsKey, p.tlsClientCA); err != nil {
			return whose.WithHint(fmt.Errorf("TLS: %w", err), "%s", whose.Hint(err))
		}
		access.TLS, scheme = s.tls, "https"
	}
	if p.token != "" || p.tlsClientCA == "" {
		if access.Token, err = readToken(p.token); err != nil {
			return whose.WithHint(fmt.Errorf("--token: %w", err), "%s", whose.Hint(err))
		}
	}
	l, err := api.ListenTCP(p.listen, access.TLS != nil)
	var refused *api.AccessError
	if errors.As(err, &refused) {
		return whose.WithHint(usagef("--listen: %w", err), "%s", whose.Hint(err))
	}
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	s.open = append(s.open, s.server.ServeTCP(l, access))
	a.sh.say("answering at %s://%s/", scheme, l.Addr())
	if p.token == "" && access.Token != "" {
		a.sh.say("its token is %s", access.Token)
	}
	return nil
}

// reload reads the certificates again. Where they are at fault, those of before count.
func (s *agentServing) reload() error {
	if s.tls == nil {
		return nil
	}
	if err := s.tls.Reload(); err != nil {
		return fmt.Errorf("TLS: %w; going on with the certificates of before", err)
	}
	return nil
}

// close ends the answering, the latest first.
func (s *agentServing) close() error {
	s.server.End()
	var errs []error
	for i := len(s.open) - 1; i >= 0; i-- {
		errs = append(errs, s.open[i].Close())
	}
	return errors.Join(errs...)
}

// readToken reads a token from a file that nobody else may read; it makes one where
// none is named.
func readToken(path string) (string, error) {
	if path == "" {
		return rand.Text(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no plain file", path)
	case info.Mode().Perm()&0o077 != 0:
		return "", whose.WithHint(fmt.Errorf("others may read %s (mode %04o)", path, info.Mode().Perm()), "chmod 600 %s", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, mostToken))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if len(token) < leastToken || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("want one word of %d to %d letters in %s", leastToken, mostToken, path)
	}
	return token, nil
}

// The bounds of a token's letters.
const (
	leastToken = 16
	mostToken  = 1024
)
