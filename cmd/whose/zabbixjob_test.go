package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// jobOf is a job whose collector is played by ask.
func jobOf(timeout time.Duration, ask func() (lots.Sessions, *whose.Coverage, error)) *zabbixJob {
	return &zabbixJob{
		opts: &collect.Options{Timeout: timeout * 4 / 5}, timeout: timeout, began: time.Now(),
		ask: func(context.Context, *collect.Options) (lots.Sessions, *whose.Coverage, error) {
			return ask()
		},
	}
}

// played are very many sessions, made by a function.
type played func(i int) *whose.Session

func (p played) Len() int { return 10_000_000 }

func (p played) Reader() func(int) *whose.Session { return p }

func listener(port uint16) whose.Session {
	return whose.Session{
		Proto: whose.TCP, Family: whose.IPv4, State: whose.Listen, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port),
		Remote: netip.AddrPortFrom(netip.IPv4Unspecified(), 0),
	}
}

// TestZabbixJob_Hangs shows that a kernel that never answers delays nothing.
func TestZabbixJob_Hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		job := jobOf(zabbixTimeout, func() (lots.Sessions, *whose.Coverage, error) {
			<-release
			return nil, nil, errors.New("released")
		})
		_, err := job.document(t.Context())
		if took := time.Since(job.began); err == nil || took >= zabbixTimeout || !job.late {
			t.Errorf("after %v: %v, late %v", took, err, job.late)
		}
		close(release)
	})
}

// TestZabbixJob_Slow shows that sessions which come too slowly are told as far
// as they came, before the time is over, and that nothing is called gone.
func TestZabbixJob_Slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := jobOf(zabbixTimeout, func() (lots.Sessions, *whose.Coverage, error) {
			return played(func(i int) *whose.Session {
				if i%1000 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				s := listener(uint16(i))
				return &s
			}), &whose.Coverage{}, nil
		})
		d, err := job.document(t.Context())
		took := time.Since(job.began)
		if err != nil || took >= zabbixTimeout || d.Complete || !job.late || d.Totals.Sessions < 100_000 || d.Discovery.Listeners != nil {
			t.Errorf("after %v: %v, late %v, %+v", took, err, job.late, d)
		}
		if _, err := job.wholeDocument(t.Context()); err == nil {
			t.Error("a discovery rule gets what is not all")
		}
	})
}

// TestZabbixJob_Deadline shows that the collector's own deadline is told.
func TestZabbixJob_Deadline(t *testing.T) {
	job := jobOf(time.Minute, func() (lots.Sessions, *whose.Coverage, error) {
		var c whose.Coverage
		c.Add(whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseDeadline})
		return lots.Slice{listener(1)}, &c, nil
	})
	d, err := job.document(t.Context())
	if err != nil || d.Complete || !job.late || d.Discovery.Listeners != nil || len(d.Gaps) != 1 {
		t.Errorf("%v, late %v, %+v", err, job.late, d)
	}
}

// TestZabbixJob_Fails shows that neither an error nor a fault of ours leaves an
// agent without a document.
func TestZabbixJob_Fails(t *testing.T) {
	for name, ask := range map[string]func() (lots.Sessions, *whose.Coverage, error){
		"error": func() (lots.Sessions, *whose.Coverage, error) { return nil, nil, errors.New("boom {#X}") },
		"fault": func() (lots.Sessions, *whose.Coverage, error) {
			return played(func(int) *whose.Session { panic("boom {#X}") }), &whose.Coverage{}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := jobOf(0, ask)
			_, err := job.document(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			var out bytes.Buffer
			g := zabbixGet{sh: &shell{out: &out, err: &out, getenv: func(string) string { return "" }}}
			if err := g.print(failedDocument(err)); err != nil {
				t.Fatal(err)
			}
			var d zabbix.Document
			if err := json.Unmarshal(out.Bytes(), &d); err != nil || d.Complete || len(d.Gaps) != 1 || bytes.Contains(out.Bytes(), []byte("{#X}")) {
				t.Errorf("%v: %s", err, out.Bytes())
			}
		})
	}
}
