package bpfevent

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
)

// flowBatch is the number of flows read by one call.
const flowBatch = 1024

// Flows calls fn for each UDP flow counted by the kernel, until fn returns
// false. Flows that come or go meanwhile may be missing or come twice. fn may
// close flows. The Flow is valid until fn returns. Flows may run beside
// [Source.Read].
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

// CloseFlow ends a flow and returns its last counts. The flow is then no longer
// reported. ok is false if the flow is gone: a UDPClose record reports it. The
// next datagram begins it anew.
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
