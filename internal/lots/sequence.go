package lots

import (
	"errors"
	"sync"
)

// errAbandoned ends a sequence after a panic, which the caller gets itself.
var errAbandoned = errors.New("a lot was not made")

// A sequence puts the values of lots into their order. Whoever ends the lot
// whose turn it is hands it on, and those ready behind it; the others go on.
type sequence[T any] struct {
	list List
	// emit takes what was made, in the order of the lots, from one goroutine at a
	// time. Its error ends everything.
	emit func(T) error
	// size is the size of a value. mostWaiting bounds what waits for its turn. It is
	// generous: on a busy host the goroutine whose turn it is may have to wait for a
	// processor, and the others should not wait with it.
	size        func(T) int
	mostWaiting int

	mu     sync.Mutex
	change sync.Cond
	// next is the number of the next lot to make, turn that of the next to emit.
	next, turn int
	// ready holds the lots made before their turn. waiting is their size.
	ready   []made[T]
	waiting int
	// free are emitted values, to be used again.
	free []T
	// emitting: a goroutine is handing on.
	emitting bool
	err      error
}

// made is the value of a lot.
type made[T any] struct {
	value T
	ok    bool
	// err ends the output behind value.
	err error
}

// A maker makes the value of a lot, in the memory of an earlier one or of the zero
// value.
type maker[T any] func(l Lot, memory T) (T, error)

// run makes all lots on the caller's goroutine and up to others further ones.
func (s *sequence[T]) run(others int, newMaker func() maker[T]) error {
	s.ready = make([]made[T], s.list.Len())
	s.change.L = &s.mu
	s.list.share(others, func() {
		ended := false
		defer func() {
			if !ended {
				s.abandon()
			}
		}()
		s.work(newMaker())
		ended = true
	})
	return s.err
}

// work makes lots until none is left.
func (s *sequence[T]) work(make maker[T]) {
	for {
		lot, memory, ok := s.take()
		if !ok {
			return
		}
		value, err := make(lot, memory)
		s.give(lot.No, made[T]{value, true, err})
	}
}

// take returns the next lot, and memory to make it in. It waits while too much
// waits for its turn, and returns false if no lot is left or all has ended.
func (s *sequence[T]) take() (lot Lot, memory T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.waiting >= s.mostWaiting {
		s.change.Wait()
	}
	if s.err != nil || s.next == s.list.Len() {
		return lot, memory, false
	}
	lot = s.list.lot(s.next)
	s.next++
	if last := len(s.free) - 1; last >= 0 {
		memory, s.free = s.free[last], s.free[:last]
	}
	return lot, memory, true
}

// give hands in a lot, and emits all lots that come next.
func (s *sequence[T]) give(no int, m made[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[no] = m
	s.waiting += s.size(m.value)
	for s.err == nil && !s.emitting && s.turn < len(s.ready) && s.ready[s.turn].ok {
		m := s.ready[s.turn]
		s.ready[s.turn] = made[T]{}
		s.hand(m.value)
		if s.err == nil {
			s.err = m.err
		}
		s.waiting -= s.size(m.value)
		s.free = append(s.free, m.value)
		s.turn++
		s.change.Broadcast()
	}
}

// early emits a part of a lot when its turn has come.
func (s *sequence[T]) early(no int, part T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && (s.turn != no || s.emitting) {
		s.change.Wait()
	}
	if s.err == nil {
		s.hand(part)
	}
}

// hand emits a value without the lock. Nobody else does meanwhile.
func (s *sequence[T]) hand(value T) {
	var err error
	s.emitting = true
	s.mu.Unlock()
	defer func() { // after a panic too
		s.mu.Lock()
		s.emitting = false
		if err != nil && s.err == nil {
			s.err = err
			s.change.Broadcast()
		}
	}()
	err = s.emit(value)
}

// abandon ends the sequence.
func (s *sequence[T]) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = errAbandoned
	}
	s.change.Broadcast()
}
