package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/api"
	"github.com/seed-44df2ae6/whose/internal/testenv"
	"github.com/seed-44df2ae6/whose/track"
)

// agentSubject returns the subject that asks an agent as whose --source agent does.
func agentSubject(socket string) collecttest.Subject {
	return func(ctx context.Context, opts collect.Options) ([]whose.Session, whose.Coverage, error) {
		q := question{past: past{socket: socket}}
		answer, cov, err := q.fromAgent(ctx, &opts, nil)
		return answer.Slice, cov, err
	}
}

// busyHost is the number of sessions from which the suite takes too long.
const busyHost = 20_000

// startAgent starts an agent that keeps no history and often looks at what stands, and
// returns its socket.
func startAgent(t *testing.T) string {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	tracker, err := track.Start(t.Context(), &track.Options{Source: track.SourceBPF, Interval: 250 * time.Millisecond, NoInitial: true, MaxSessions: 4 << 20})
	if err != nil {
		testenv.Missing(t, "bpf events", err.Error())
	}
	if n := tracker.Count(nil); n > busyHost {
		err := tracker.Close()
		testenv.Missing(t, "a host without so many sockets", fmt.Sprintf("%d sessions: snapshots are rare, and each answer has all of them (%v)", n, err))
	}
	feed := agent.NewFeed(agent.Kept, time.Now())
	var reading sync.WaitGroup
	reading.Go(func() { _ = feed.Run(context.Background(), tracker) }) // until Close
	t.Cleanup(func() {
		if err := tracker.Close(); err != nil {
			t.Error(err)
		}
		reading.Wait()
	})
	run, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	socket, err := api.ListenUnix(filepath.Join(run, "agent.sock"), -1, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	server := &api.Server{Table: tracker, Feed: feed, Dialect: hostDialect(), NetNS: ownNetNS(), Began: time.Now()}
	serving := server.ServeUnix(socket)
	t.Cleanup(func() {
		server.End()
		if err := errors.Join(serving.Close(), socket.Close()); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(run, "agent.sock")
}

// TestAgentConformance holds an agent, asked over its socket, against the suite of the
// sources.
func TestAgentConformance(t *testing.T) {
	subject := agentSubject(startAgent(t))
	collecttest.Run(t, collecttest.Agent, func(*testing.T) collecttest.Subject { return subject })
}
