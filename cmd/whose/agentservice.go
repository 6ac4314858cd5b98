//go:build whose_agent

package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"github.com/seed-44df2ae6/whose/internal/sdnotify"
)

// A service is an agent as its service manager sees it.
type service struct {
	sh      *shell
	manager *sdnotify.Manager
	// behind is the time since the agent last did all of its work.
	behind func() time.Duration
	// status describes its state in a line.
	status func() string
	// reload reads again what may have changed.
	reload func(context.Context)
}

// newService finds the service manager.
func (sh *shell) newService() *service {
	manager, err := sdnotify.Open(sh.getenv, os.Getpid())
	if err != nil {
		sh.say("%v", err)
	}
	return &service{sh: sh, manager: manager}
}

// agentContext returns a context that ends at a signal to end. From now on no other
// signal ends the process but those that nobody can catch.
func agentContext(parent context.Context) (context.Context, context.CancelFunc) {
	signal.Ignore(agentIgnores...)
	return signal.NotifyContext(parent, agentStops...)
}

// statusEvery is the time between two reports of the state.
const statusEvery = 10 * time.Second

// run reports that the agent is ready, and its state until ctx ends. Signals to reload
// come by reloads.
func (s *service) run(ctx context.Context, reloads <-chan os.Signal) {
	s.notify(s.manager.Ready(s.status()))
	status := time.NewTicker(statusEvery)
	defer status.Stop()
	var alive <-chan time.Time
	if limit := s.manager.Watchdog(); limit > 0 {
		beats := time.NewTicker(limit / 4)
		defer beats.Stop()
		alive = beats.C
	}
	for {
		select {
		case <-ctx.Done():
			s.notify(s.manager.Stopping())
			return
		case <-reloads:
			s.notify(s.manager.Reloading())
			s.reload(ctx)
			s.notify(s.manager.Ready(s.status()))
		case <-status.C:
			s.notify(s.manager.Status(s.status()))
		case <-alive:
			if s.behind() < max(s.manager.Watchdog()/2, leastPatience) {
				s.notify(s.manager.Alive())
			}
		}
	}
}

// leastPatience is the time that an agent which works may be behind: it works once a
// second.
const leastPatience = 2500 * time.Millisecond

// notify reports an error of the service manager once.
func (s *service) notify(err error) {
	if err != nil {
		s.sh.say("%v", err)
		s.manager = nil
	}
}
