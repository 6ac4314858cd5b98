package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-44df2ae6/whose/internal/folder"
	"github.com/seed-44df2ae6/whose/internal/remote"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// folderFor returns a folder for a spool that is not there yet.
func folderFor(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := folder.Check(dir); err != nil {
		testenv.Missing(t, "a temporary folder that nobody else may exchange", err.Error())
	}
	return filepath.Join(dir, "spool")
}

func openSpool(t *testing.T, path string, size int64) *Spool {
	t.Helper()
	s, err := OpenSpool(path, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // most tests have closed it
	return s
}

// takeAll takes all whole batches and returns their lines.
func takeAll(t *testing.T, s *Spool) []string {
	t.Helper()
	var lines []string
	for s.Counts().Batches > 0 {
		b, ok := s.Next(t.Context())
		if !ok {
			t.Fatal("no batch, though one waits")
		}
		got := batchLines(t, s, &b)
		if len(got) != b.Lines {
			t.Errorf("batch %d has %d lines and says %d", b.Number, len(got), b.Lines)
		}
		lines = append(lines, got...)
		if err := s.Sent(&b, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

func batchLines(t *testing.T, s *Spool, b *Batch) []string {
	t.Helper()
	packed, err := s.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return unpack(t, packed)
}

func unpack(t *testing.T, packed []byte) []string {
	t.Helper()
	dec, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	text, err := io.ReadAll(dec)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func addLines(t *testing.T, s *Spool, from, n int, now time.Time) (want []string) {
	t.Helper()
	for i := from; i < from+n; i++ {
		line := fmt.Sprintf(`{"n":%d}`, i)
		want = append(want, line)
		if err := s.Add([]byte(line+"\n"), 1, now); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

func tick(t *testing.T, s *Spool, now time.Time) {
	t.Helper()
	if err := s.Tick(now); err != nil {
		t.Fatal(err)
	}
}

func TestSpool_KeepsOrderOverRestarts(t *testing.T) {
	path := folderFor(t)
	var want, tokens []string
	now := time.Unix(1e9, 0)
	for round := range 3 {
		s := openSpool(t, path, LeastSize)
		want = append(want, addLines(t, s, round*10, 5, now)...)
		tick(t, s, now.Add(batchAge))
		want = append(want, addLines(t, s, round*10+5, 5, now)...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := openSpool(t, path, LeastSize)
	for _, b := range s.waiting {
		tokens = append(tokens, s.Token(&b))
	}
	if got := takeAll(t, s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(tokens) != 6 || len(slices.Compact(slices.Clone(tokens))) != 6 {
		t.Errorf("tokens are not unique: %q", tokens)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSpool(t, path, LeastSize)
	addLines(t, s, 99, 1, now)
	tick(t, s, now.Add(batchAge))
	if token := s.Token(&s.waiting[0]); slices.Contains(tokens, token) {
		t.Errorf("token %s was used before", token)
	}
}

// TestSpool_Killed has a process end at any byte of the file it writes.
func TestSpool_Killed(t *testing.T) {
	path := folderFor(t)
	s := openSpool(t, path, LeastSize)
	now := time.Unix(1e9, 0)
	want := addLines(t, s, 0, 200, now)
	tick(t, s, now.Add(flushEvery)) // these are safe
	safe := s.open.written.n
	want = append(want, addLines(t, s, 200, 200, now)...)
	if err := s.open.enc.Flush(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(s.open.file.Name())
	whole, err := os.ReadFile(filepath.Join(path, name))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		cut := safe + rand.Int64N(int64(len(whole))-safe+1)
		again := folderFor(t)
		if err := os.Mkdir(again, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(again, name), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := openSpool(t, again, LeastSize)
		got := takeAll(t, s)
		if len(got) < 200 || !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("cut at %d of %d bytes: %d lines came back, want 200 at least, the first ones", cut, len(whole), len(got))
		}
		if left, _ := filepath.Glob(filepath.Join(again, "*"+endingPart)); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func TestSpool_DropsTheOldest(t *testing.T) {
	s := openSpool(t, folderFor(t), LeastSize)
	now := time.Unix(1e9, 0)
	noise := make([]byte, 1<<20) // does not compress
	total := 0
	add := func() {
		for i := range noise {
			noise[i] = 'a' + byte(rand.UintN(64))
		}
		line := append(slices.Clone(noise), '\n')
		if err := s.Add(line, 1, now); err != nil {
			t.Fatal(err)
		}
		total++
	}
	for range 6 {
		add()
	}
	tick(t, s, now.Add(batchAge))
	hand, ok := s.Next(t.Context())
	if !ok {
		t.Fatal("nothing waits")
	}
	for range 30 {
		add()
	}
	tick(t, s, now.Add(batchAge))
	c := s.Counts()
	if c.Bytes > LeastSize+batchBytes {
		t.Errorf("the spool holds %d bytes, want %d and the batch in hand at most", c.Bytes, LeastSize)
	}
	kept := 0
	for _, b := range s.waiting {
		kept += b.Lines
	}
	if c.Full == 0 || int(c.Full)+kept != total || int(c.Lines) != total {
		t.Errorf("%d lines were added, %d kept and %d dropped", total, kept, c.Full)
	}
	if _, err := s.Read(&hand); err != nil {
		t.Errorf("the batch in hand is gone: %v", err)
	}
}

func TestSpool_FullDisk(t *testing.T) {
	s := openSpool(t, folderFor(t), LeastSize)
	now := time.Unix(1e9, 0)
	addLines(t, s, 0, 3, now)
	_ = s.open.file.Close() // every further write fails
	if err := s.Tick(now.Add(batchAge)); err == nil {
		t.Fatal("a write to a closed file went well")
	}
	if c := s.Counts(); c.Disk != 3 || c.Batches != 0 {
		t.Errorf("counts are %+v, want 3 lines lost to the disk", c)
	}
	addLines(t, s, 3, 2, now)
	tick(t, s, now.Add(batchAge))
	if got := takeAll(t, s); len(got) != 2 {
		t.Errorf("after the disk works again: %q", got)
	}
}

func TestOpenSpool_InUse(t *testing.T) {
	path := folderFor(t)
	openSpool(t, path, LeastSize)
	if _, err := OpenSpool(path, LeastSize); !errors.Is(err, folder.ErrLocked) {
		t.Errorf("a second spool: got %v, want ErrLocked", err)
	}
}

// A scriptedSink answers by a list of errors, then takes all.
type scriptedSink struct {
	errs   []error
	got    map[string][]byte
	times  map[string]int
	broken bool
}

func (s *scriptedSink) String() string { return "a sink" }

func (s *scriptedSink) Send(_ context.Context, batch []byte, token string) error {
	if earlier, ok := s.got[token]; ok && !bytes.Equal(earlier, batch) {
		s.broken = true
	}
	s.got[token] = bytes.Clone(batch)
	s.times[token]++
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		return err
	}
	return nil
}

func TestSender(t *testing.T) {
	path := folderFor(t)
	s := openSpool(t, path, LeastSize)
	now := time.Unix(1e9, 0)
	for i := range 3 {
		addLines(t, s, i*10, 10, now)
		tick(t, s, now.Add(batchAge))
	}
	away := errors.New("no route to host")
	sink := &scriptedSink{
		errs: []error{away, away, nil, &RejectedError{errors.New("bad line")}, &remote.StatusError{Status: "503 away", Text: "no", After: 3 * time.Second}},
		got:  map[string][]byte{}, times: map[string]int{},
	}
	var reports []string
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var waits []time.Duration
	sender := &Sender{Spool: s, Sink: sink,
		Report: func(err error) { reports = append(reports, fmt.Sprint(err)) },
		wait:   func(_ context.Context, d time.Duration) { waits = append(waits, d) },
	}
	done := make(chan struct{})
	go func() { defer close(done); sender.Run(ctx) }()
	for s.Counts().Batches > 0 && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	c := s.Counts()
	if c.Sent != 20 || c.Rejected != 10 || c.Dropped() != 10 || sink.broken {
		t.Errorf("counts are %+v, bytes changed: %v", c, sink.broken)
	}
	if len(waits) != 3 || waits[2] < 3*time.Second || waits[0] > firstWait {
		t.Errorf("waits are %v", waits)
	}
	want := []string{"send to a sink: no route to host", "<nil>",
		"a sink refuses a batch of 10 lines, which is set aside: bad line", "send to a sink: 503 away: no", "<nil>"}
	if !slices.Equal(reports, want) {
		t.Errorf("reports are %q, want %q", reports, want)
	}
	why, err := os.ReadFile(filepath.Join(path, "aside", "000000000002-10"+endingBatch+endingWhy))
	if err != nil || !strings.Contains(string(why), "bad line") {
		t.Errorf("the reason beside the batch set aside: %q, %v", why, err)
	}
}

func TestHostileSpoolNames(t *testing.T) {
	path := folderFor(t)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(filepath.Dir(path), "precious")
	if err := os.WriteFile(outside, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	names := []string{"000000000001-5.jsonl.zst", "000000000002.part", "last2", "000000000003--1.jsonl.zst", "x-1.jsonl.zst"}
	for i, name := range names {
		var err error
		if i < 2 {
			err = os.Symlink(outside, filepath.Join(path, name))
		} else {
			err = os.WriteFile(filepath.Join(path, name), []byte("rubbish"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := openSpool(t, path, LeastSize)
	wrong := 0
	if n := s.Counts().Batches; n != 0 {
		t.Errorf("%d strange files were taken for batches", n)
		wrong++
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "precious" {
		t.Errorf("the file behind a link: %q, %v", text, err)
		wrong++
	}
	testenv.Tried(t, len(names), wrong)
}
