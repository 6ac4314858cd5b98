package bpfevent

import "testing"

// TestTasks_Bounded: processes whose exits never come, and a number that is used
// again before the exit of the first.
func TestTasks_Bounded(t *testing.T) {
	d := newDecoder()
	ignore := func(*Record) error { return nil }
	seen := func(tgid uint32, start uint64) {
		p := processRecord{kind: recordProcess, what: whatSeen, tgid: tgid, pid: tgid, start: start, comm: [16]byte{'c'}}
		if err := d.decode(raw(&p), ignore); err != nil {
			t.Fatal(err)
		}
	}
	const busy, many = 7, 10 * maxTasks
	seen(busy, 1)
	for i := range uint32(many) {
		seen(1000+i, uint64(i))
		if i%1000 == 0 && d.task(busy, busy, 1).Comm[0] != 'c' {
			t.Fatalf("a process that records name was forgotten after %d others", i)
		}
	}
	kept := len(d.tasks.young) + len(d.tasks.old)
	if kept > 2*maxTasks || kept < maxTasks {
		t.Errorf("%d processes kept, want no more than %d, and no less than half of it", kept, 2*maxTasks)
	}
	if got := int(d.tasks.forgotten.Load()) + kept; got != many+1 {
		t.Errorf("%d kept or counted, want all %d", got, many+1)
	}
	const again = 1000 + many - 1
	if got := d.task(again, again, 99e9); got.Comm[0] != 0 || got.Start != 9900 {
		t.Errorf("another process of that number: %+v", got)
	}
	seen(again, 99e9)
	x := exitRecord{kind: recordExit, tgid: again, pid: again, start: many - 1, time: 1}
	if err := d.decode(raw(&x), ignore); err != nil {
		t.Fatal(err)
	}
	d.tasks.exit(1, 1, 2*keepExited)
	if d.task(again, again, 99e9).Comm[0] != 'c' {
		t.Error("the late exit of the first process took the second one's name")
	}
}

// TestTasks_Exits: an exited process keeps its name for a while, and the exits
// have a bound of their own.
func TestTasks_Exits(t *testing.T) {
	var k tasks
	k.add(1, namedTask{5, Task{PID: 1}})
	k.exit(1, 5, 100)
	if _, ok := k.find(1, 5); !ok {
		t.Error("forgotten at once")
	}
	k.exit(2, 5, 101+keepExited)
	if _, ok := k.find(1, 5); ok {
		t.Error("kept for good")
	}
	for i := range uint32(3 * maxTasks) {
		k.exit(i, 1, 200+keepExited)
	}
	if len(k.gone) > maxTasks {
		t.Errorf("%d exits kept, want no more than %d", len(k.gone), maxTasks)
	}
	if n := k.forgotten.Load(); n != 0 {
		t.Errorf("%d counted as forgotten, which exited", n)
	}
}
