package lots

import (
	"sync"
	"sync/atomic"
)

// A Lot is the entries From to To-1 of a list. It is number No of the list's
// lots, from 0.
type Lot struct{ No, From, To int }

// A List is the division of n entries into lots of a size. The last may be
// smaller.
type List struct{ n, size int }

// Of divides n entries into lots of size entries.
func Of(n, size int) List { return List{n, size} }

// Len returns the number of lots.
func (l List) Len() int { return (l.n + l.size - 1) / l.size }

func (l List) lot(no int) Lot { return Lot{no, no * l.size, min(l.n, (no+1)*l.size)} }

// Each divides all lots between the caller's goroutine and up to others further
// ones. Each of them makes a worker and calls it with one lot after the other,
// in rising order. Each returns when all lots are done.
func Each(l List, others int, worker func() func(Lot)) {
	var next atomic.Int64
	l.share(others, func() {
		work := worker()
		for {
			no := int(next.Add(1)) - 1
			if no >= l.Len() {
				return
			}
			work(l.lot(no))
		}
	})
}

// share calls do on the caller's goroutine and up to others further ones, but on
// no more than there are lots. It returns when all have returned. A panic of any
// becomes one of the caller's goroutine.
func (l List) share(others int, do func()) {
	var ended sync.WaitGroup
	var fault atomic.Pointer[any]
	defer func() {
		ended.Wait()
		if f := fault.Load(); f != nil {
			panic(*f)
		}
	}()
	for range min(others, l.Len()-1) {
		ended.Go(func() {
			defer func() {
				if f := recover(); f != nil {
					fault.CompareAndSwap(nil, &f)
				}
			}()
			do()
		})
	}
	do()
}
