package render

import (
	"sync"
	"sync/atomic"

	"github.com/seed-44df2ae6/whose"
)

// batchSize is the number of sessions in a batch.
const batchSize = 256

// A batch holds sessions on their way. The caller fills it, a worker encodes it,
// it is written in its turn, and used again.
type batch struct {
	sessions []whose.Session
	out      []byte
	done     chan struct{}
}

// A pipeline encodes batches on several goroutines and hands on the results in
// order.
type pipeline struct {
	current     *batch
	free        chan *batch
	work, order chan *batch
	ended       sync.WaitGroup
	failed      atomic.Pointer[error]
}

// startPipeline starts the workers, each with an encoder of its own. take gets
// the encoded batches in order, on one goroutine. Their memory belongs to the
// batch.
func startPipeline(take func([]byte) error, newEncoder func() encoder, workers int) *pipeline {
	batches := 2*workers + 2
	p := &pipeline{
		free:  make(chan *batch, batches),
		work:  make(chan *batch, batches),
		order: make(chan *batch, batches),
	}
	for range batches {
		p.free <- &batch{sessions: make([]whose.Session, 0, batchSize), done: make(chan struct{}, 1)}
	}
	p.current = <-p.free
	for range workers {
		enc := newEncoder()
		p.ended.Go(func() { p.encode(enc) })
	}
	p.ended.Go(func() { p.write(take) })
	return p
}

// session hands in one session. The error comes from an earlier write.
func (p *pipeline) session(s *whose.Session) error {
	p.current.sessions = append(p.current.sessions, *s)
	if len(p.current.sessions) < batchSize {
		return nil
	}
	p.hand()
	p.current = <-p.free
	if err := p.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// hand gives the current batch to the workers. No channel can be full: each has
// room for every batch.
func (p *pipeline) hand() {
	p.order <- p.current
	p.work <- p.current
}

// close waits until all sessions handed in are written.
func (p *pipeline) close() {
	p.hand()
	close(p.work)
	close(p.order)
	p.ended.Wait()
}

func (p *pipeline) encode(enc encoder) {
	for b := range p.work {
		b.out = b.out[:0]
		for i := range b.sessions {
			b.out = enc(b.out, &b.sessions[i])
		}
		b.done <- struct{}{}
	}
}

// write hands the batches to take in order. After an error it drops them and
// goes on, so nobody waits for a batch for ever.
func (p *pipeline) write(take func([]byte) error) {
	for b := range p.order {
		<-b.done
		if p.failed.Load() == nil {
			if err := take(b.out); err != nil {
				p.failed.Store(&err)
			}
		}
		clear(b.sessions)
		b.sessions = b.sessions[:0]
		p.free <- b
	}
}
