package testenv

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// leakPatience is how long goroutines and descriptors may take to go after
// the test's own code has ended.
const leakPatience = 5 * time.Second

// CheckLeaks notes the goroutines and the open descriptors, and fails the test
// if at its end there are more of them: goroutines by number, descriptors one
// by one with what they refer to. Call it first, so that it is checked last,
// and not in parallel tests.
func CheckLeaks(t testing.TB) {
	t.Helper()
	goroutines, before := runtime.NumGoroutine(), descriptors(t)
	t.Cleanup(func() {
		deadline := time.Now().Add(leakPatience)
		for {
			extra := newDescriptors(before, descriptors(t))
			n := runtime.NumGoroutine()
			if n <= goroutines && len(extra) == 0 {
				return
			}
			if time.Now().After(deadline) {
				reportLeaks(t, extra, goroutines, n)
				return
			}
			runtime.GC() // files that were dropped without Close are closed now
			time.Sleep(time.Millisecond)
		}
	})
}

func reportLeaks(t testing.TB, extra []string, before, after int) {
	for _, fd := range extra {
		t.Errorf("leaked descriptor %s", fd)
	}
	if after > before {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		t.Errorf("leaked goroutines: %d before, %d after\n%s", before, after, stacks)
	}
}

// descriptors returns the open descriptors of this process, each as "N -> what".
func descriptors(t testing.TB) []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		// The descriptor of the directory itself is gone by now.
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil || runtimeOwn(target) {
			continue
		}
		all = append(all, e.Name()+" -> "+target)
	}
	return all
}

// runtimeOwn tells the descriptors that the Go runtime opens once and keeps.
func runtimeOwn(target string) bool {
	return strings.HasPrefix(target, "anon_inode:[eventpoll]") ||
		strings.HasPrefix(target, "anon_inode:[eventfd]") ||
		strings.HasPrefix(target, "anon_inode:[pidfd]")
}

func newDescriptors(before, after []string) []string {
	return slices.DeleteFunc(after, func(fd string) bool { return slices.Contains(before, fd) })
}
