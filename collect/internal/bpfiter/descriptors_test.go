package bpfiter

import (
	"fmt"
	"sync"
	"testing"
	"unsafe"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// batches returns what reads of fd_walk give: processes with so many sockets each,
// every read of one process.
func batches(processes, sockets int) [][]byte {
	var all [][]byte
	for p := range processes {
		records := make([]socketRecord, sockets)
		for i := range records {
			records[i] = socketRecord{
				tag: recordMagic<<16 | recordVersion<<8 | uint32(recordSocket), netns: 1, inode: uint64(p*sockets + i + 1), cookie: uint64(i + 1),
				proto: uint8(whose.TCP), family: uint8(whose.IPv4), state: uint8(whose.Established), flags: flagFile,
				pid: uint32(p + 1), fd: int32(i),
			}
		}
		bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(records))), len(records)*int(unsafe.Sizeof(records[0])))
		all = append(all, bytes)
	}
	return all
}

// applyAll has threads apply the batches, each its own part.
func applyAll(t testing.TB, rd *reading, all [][]byte, threads int) {
	var wg sync.WaitGroup
	for n := range threads {
		wg.Go(func() {
			for i := n; i < len(all); i += threads {
				if err := rd.applyDescriptors(all[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestApplyDescriptors_Threads has threads fill the arrays while these grow, with
// sockets that several processes hold: each socket stands once, with every holding.
func TestApplyDescriptors_Threads(t *testing.T) {
	const processes, sockets = 300, 150
	all := batches(processes, sockets)
	all = append(all, all...) // each socket is met twice
	for _, threads := range []int{1, 2, 8} {
		var rd reading
		var snap source.Snapshot
		q := source.Everything()
		rd.reset(&q, &snap)
		applyAll(t, &rd, all, threads)
		seen := make(map[uint64]int)
		for _, s := range snap.Sockets {
			if s.State != whose.Established || s.NetNS != 1 {
				t.Fatalf("%d threads: a place is not filled: %+v", threads, s)
			}
			seen[s.Inode]++
		}
		held := make(map[source.Holding]int)
		for _, h := range snap.Holdings {
			held[h]++
		}
		for i := range processes * sockets {
			h := source.Holding{Inode: uint64(i + 1), PID: uint32(i/sockets + 1), FD: int32(i % sockets)}
			if seen[h.Inode] != 1 || held[h] != 2 {
				t.Fatalf("%d threads: socket %d stands %d times, and %+v %d times", threads, h.Inode, seen[h.Inode], h, held[h])
			}
		}
		if len(snap.Sockets) != processes*sockets || len(snap.Holdings) != 2*processes*sockets {
			t.Errorf("%d threads: %d sockets, %d holdings", threads, len(snap.Sockets), len(snap.Holdings))
		}
	}
}

// BenchmarkApplyDescriptors is what a reader does with 100,000 sockets of 1,000
// processes.
func BenchmarkApplyDescriptors(b *testing.B) {
	all := batches(1000, 100)
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprint(threads), func(b *testing.B) {
			var rd reading
			var snap source.Snapshot
			q := source.Everything()
			for b.Loop() {
				snap.Reset()
				rd.reset(&q, &snap)
				applyAll(b, &rd, all, threads)
			}
		})
	}
}
