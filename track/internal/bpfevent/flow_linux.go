package bpfevent

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
)

// flowBatch is how many flows one call reads.
const flowBatch = 1024

// Flows calls fn for each UDP flow that the kernel counts, until fn returns
// false. Flows that come or go meanwhile may be among them or not, or twice. fn
// may close flows. The Flow is valid until fn returns. It may run beside Read.
func (s *Source) Flows(fn func(*Flow) bool) error {
	keys, values := make([]rawKey, flowBatch), make([]rawFlow, flowBatch)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := s.readFlows(&cursor, keys, values)
		over := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !over {
			return fmt.Errorf("read flows: %w", err)
		}
		for i := range n {
			f := newFlow(&keys[i], &values[i])
			if !fn(&f) {
				return nil
			}
		}
		if over {
			return nil
		}
	}
}

func (s *Source) readFlows(cursor *ebpf.MapBatchCursor, keys []rawKey, values []rawFlow) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released {
		return 0, fs.ErrClosed
	}
	return s.object.Maps[eventsMapFlows].BatchLookup(cursor, keys, values, nil)
}

// CloseFlow ends a flow, which is then told of no more, and returns its last
// counts. ok is false where there is no such flow any more: a UDPClose record
// tells of it. The next datagram begins it anew.
func (s *Source) CloseFlow(key FlowKey) (f Flow, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released {
		return Flow{}, false, fmt.Errorf("close flow: %w", fs.ErrClosed)
	}
	k := key.raw()
	var v rawFlow
	err = s.object.Maps[eventsMapFlows].LookupAndDelete(&k, &v)
	switch {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return Flow{}, false, nil
	case err != nil:
		return Flow{}, false, fmt.Errorf("close flow: %w", err)
	}
	return newFlow(&k, &v), true, nil
}
