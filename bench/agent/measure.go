//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// calm is the time after the start of an agent until its memory is what it is: two
// snapshots, two looks of the metrics, and two chances to give memory back.
const calm = 35 * time.Second

// quiet measures an idle host.
func (b *bench) quiet(ctx context.Context, h *host) error {
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	before, err := h.cpu()
	woken, werr := h.status("voluntary_ctxt_switches", true)
	began := time.Now()
	if err := errors.Join(err, werr, sleep(ctx, b.idle)); err != nil {
		return err
	}
	after, err := h.cpu()
	wokenNow, werr := h.status("voluntary_ctxt_switches", true)
	if err := errors.Join(err, werr); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	share := 100 * (after - before).Seconds() / took
	b.add("idle, 1,000 sessions: share of a core", "under 0.5 %", fmt.Sprintf("%.2f %%, %.0f wake-ups a second", share, float64(wokenNow-woken)/took), share < 0.5)
	return nil
}

// memory measures the memory beside a load.
func (b *bench) memory(ctx context.Context, h *host, most int64) error {
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	var all []int64
	for range 5 {
		kib, err := h.status("VmRSS", false)
		if err := errors.Join(err, sleep(ctx, time.Second)); err != nil {
			return err
		}
		all = append(all, kib)
	}
	peak, err := h.status("VmHWM", false)
	if err != nil {
		return err
	}
	slices.Sort(all)
	mib := float64(all[2]) / 1024
	b.add(fmt.Sprintf("%d sessions: resident memory", h.sockets), fmt.Sprintf("at most %d MiB", most),
		fmt.Sprintf("%.0f MiB, at its peak %.0f", mib, float64(peak)/1024), mib <= float64(most))
	return nil
}

// most measures the memory beside 100,000 sessions.
func (b *bench) most(ctx context.Context, h *host) error { return b.memory(ctx, h, 96) }

// many measures memory and API beside 10,000 sessions.
func (b *bench) many(ctx context.Context, h *host) error {
	if err := b.memory(ctx, h, 64); err != nil {
		return err
	}
	if err := b.counts(ctx, h); err != nil {
		return err
	}
	var all []time.Duration
	var size int64
	for range 15 {
		began := time.Now()
		n, err := h.get(ctx, "/v1/sessions?output=jsonl&filter=established")
		if err != nil {
			return err
		}
		all, size = append(all, time.Since(began)), n
	}
	slices.Sort(all)
	ms := float64(all[len(all)/2].Microseconds()) / 1000
	b.add("an answer of 10,000 sessions", "30 ms", fmt.Sprintf("%.1f ms, %.1f MB", ms, float64(size)/1e6), ms <= 30)
	return b.streams(ctx, h)
}

// counts asks for counts by four askers at once.
func (b *bench) counts(ctx context.Context, h *host) error {
	const span, askers = 5 * time.Second, 4
	within, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	before, err := h.cpu()
	if err != nil {
		return err
	}
	var n atomic.Int64
	var asking sync.WaitGroup
	faults := make([]error, askers)
	for i := range askers {
		asking.Go(func() {
			for within.Err() == nil {
				if _, err := h.get(within, "/v1/count?by=proto,state"); err == nil {
					n.Add(1)
				} else if within.Err() == nil {
					faults[i] = err
					return
				}
			}
		})
	}
	asking.Wait()
	after, err := h.cpu()
	if err := errors.Join(append(faults, err)...); err != nil {
		return err
	}
	each := float64(n.Load()) / span.Seconds()
	b.add("counts by protocol and state of 10,000 sessions", "1,000 a second",
		fmt.Sprintf("%.0f a second, %.0f µs of the agent's CPU each", each, float64((after-before).Microseconds())/float64(max(1, n.Load()))), each >= 1000)
	return nil
}

const (
	// readers is the number of streams, made is that of the connections made while they
	// are read.
	readers = 100
	made    = 3000
)

// streams reads many streams at once, one of which takes nothing, while connections are
// made. Each of the others is to have all of their events.
func (b *bench) streams(ctx context.Context, h *host) error {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer server.Close()
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	path := fmt.Sprintf("/v1/events?follow=true&events=close&filter=lport+%d", server.Addr().(*net.TCPAddr).Port)
	slow, err := h.open(within, "/v1/events?follow=true")
	if err != nil {
		return err
	}
	defer slow.Close()
	began := time.Now()
	var reading sync.WaitGroup
	var whole atomic.Int64
	var ended atomic.Int64 // the time of the last event, in nanoseconds
	opened := make(chan error, readers)
	for range readers - 1 {
		reading.Go(func() {
			body, err := h.open(within, path)
			if opened <- err; err != nil {
				return
			}
			defer body.Close()
			lines := bufio.NewScanner(body)
			for n := 0; n < made && lines.Scan(); {
				if len(lines.Bytes()) > 0 {
					n++
				}
				if n == made {
					whole.Add(1)
					ended.Store(max(ended.Load(), int64(time.Since(began))))
				}
			}
		})
	}
	for range readers - 1 {
		if err := <-opened; err != nil {
			return err
		}
	}
	began = time.Now()
	for range made {
		client, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			return err
		}
		accepted, err := server.Accept()
		if err != nil {
			return err
		}
		client.Close()
		accepted.Close()
	}
	took := time.Since(began)
	time.AfterFunc(20*time.Second, cancel)
	reading.Wait()
	late := time.Duration(ended.Load()) - took
	b.add(fmt.Sprintf("%d streams at once, one of which reads nothing", readers), "none of the others harmed",
		fmt.Sprintf("%d had all %d events, the last %.2f s after it", whole.Load(), made, late.Seconds()), whole.Load() == readers-1)
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
