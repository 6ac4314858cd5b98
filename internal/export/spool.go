package export

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-44df2ae6/whose/internal/folder"
)

// What a batch holds at most: it is closed at the first of these.
const (
	batchBytes = 4 << 20 // compressed
	batchAge   = 10 * time.Second
	// batchText bounds its lines before they are compressed, so that a receiver's
	// bound holds for lines that compress well.
	batchText = 64 << 20
	// flushEvery is how much is lost if the process is killed.
	flushEvery = time.Second
)

// LeastSize is the least bound of a spool: two batches.
const LeastSize = 2 * batchBytes

// asideBytes bounds the batches that were set aside.
const asideBytes = 16 << 20

// A Spool is a folder of batches that wait for their sink. One process writes it. Its
// lines survive the death of the process but for the last second. Beyond its size the
// oldest batch is removed, and counted.
//
// Get one from [OpenSpool]. It is safe for concurrent use.
type Spool struct {
	root *os.Root
	lock *os.File
	path string
	size int64
	// id is the name of this folder for the receiver; it makes the number of a batch
	// unique among all hosts.
	id string

	mu    sync.Mutex
	ready sync.Cond
	// waiting are the whole batches, the oldest first.
	waiting []Batch
	bytes   int64
	// sending is the number of the batch in hand, 0 for none.
	sending uint64
	open    *openBatch
	next    uint64
	closed  bool
	err     error // of the last write; nil after one that went well
	counts  Counts
}

// Counts are what became of the lines since the start.
type Counts struct {
	// Lines is the number of lines taken, Sent of those that the sink has.
	Lines, Sent uint64
	// Full, Disk and Rejected are the lines that were dropped: the spool was full, the
	// disk took no more, or the sink refused them for good.
	Full, Disk, Rejected uint64
	// Batches and Bytes are what waits, in whole batches.
	Batches int
	Bytes   int64
	// LastSuccess is the time when the sink took the last batch; zero for never.
	LastSuccess time.Time
	// Failing is the reason why the latest attempt failed; nil if it did not.
	Failing error
}

// Dropped is the number of lines that no sink will get.
func (c *Counts) Dropped() uint64 { return c.Full + c.Disk + c.Rejected }

// An openBatch is the file being written.
type openBatch struct {
	batch   Batch
	file    *os.File
	enc     *zstd.Encoder
	written countingWriter
	text    int
	began   time.Time
	flushed time.Time
}

// A countingWriter counts what goes through it.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// OpenSpool opens a folder for the writer, or makes it, with mode 0700. Batches of an
// earlier process wait in it; one that was being written is closed at its last whole
// line. The error is an [folder.UnsafeError] where others could exchange the folder, and
// [folder.ErrLocked] where another process has it.
func OpenSpool(path string, size int64) (*Spool, error) {
	s := &Spool{path: path, size: max(size, LeastSize)}
	s.ready.L = &s.mu
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the spool %s: %w", path, err), s.release())
	}
	return s, nil
}

func (s *Spool) start() (err error) {
	if err = folder.Make(s.path, 0o700); err != nil {
		return err
	}
	if s.root, err = os.OpenRoot(s.path); err != nil {
		return err
	}
	if s.lock, err = folder.Lock(filepath.Join(s.path, "lock")); err != nil {
		return err
	}
	if s.id, err = s.identity(); err != nil {
		return err
	}
	if err = s.recover(); err != nil {
		return err
	}
	if s.waiting, err = batches(s.root); err != nil {
		return err
	}
	if s.next, err = s.afterLast(); err != nil {
		return err
	}
	for _, b := range s.waiting {
		s.bytes += b.Size
		s.next = max(s.next, b.Number+1)
	}
	return nil
}

// identity reads the name of the folder, or makes one.
func (s *Spool) identity() (string, error) {
	text, err := s.root.ReadFile("id")
	if id := strings.TrimSpace(string(text)); err == nil && len(id) >= 16 && len(id) <= 64 {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := rand.Text()
	return id, s.root.WriteFile("id", []byte(id+"\n"), 0o600)
}

// afterLast is the first number that no batch has had: the receiver knows the token of
// a batch that is gone.
func (s *Spool) afterLast() (uint64, error) {
	text, err := s.root.ReadFile("last")
	if errors.Is(err, fs.ErrNotExist) {
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	last, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("last: %w", err)
	}
	return last + 1, nil
}

// Token names a batch for the receiver: the same batch has the same token.
func (s *Spool) Token(b *Batch) string { return fmt.Sprintf("%s-%d", s.id, b.Number) }

// Add takes whole lines, n of them, each with its newline. It fails only where the disk
// does; the lines are counted then.
func (s *Spool) Add(lines []byte, n int, now time.Time) error {
	if n == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Lines += uint64(n)
	err := s.add(lines, n, now)
	if err != nil {
		s.abandon(n)
	}
	s.err = err
	return err
}

func (s *Spool) add(lines []byte, n int, now time.Time) error {
	if s.open == nil {
		if err := s.begin(now); err != nil {
			return err
		}
	}
	o := s.open
	if _, err := o.enc.Write(lines); err != nil {
		return err
	}
	o.batch.Lines += n
	if o.text += len(lines); o.text >= batchText || o.written.n >= batchBytes {
		return s.seal()
	}
	return nil
}

// Tick writes out what was added: each second to the file, and the file as a batch when
// it is old enough. Call it a few times a second.
func (s *Spool) Tick(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return nil
	}
	var err error
	switch o := s.open; {
	case now.Sub(o.began).Abs() >= batchAge:
		err = s.seal()
	case now.Sub(o.flushed).Abs() >= flushEvery:
		o.flushed, err = now, o.enc.Flush()
		if err == nil && o.written.n >= batchBytes {
			err = s.seal()
		}
	}
	if err != nil {
		s.abandon(0)
	}
	s.err = err
	return err
}

func (s *Spool) begin(now time.Time) error {
	number := s.next
	file, err := s.root.OpenFile(fmt.Sprintf("%012d%s", number, endingPart), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	s.next++
	o := &openBatch{batch: Batch{Number: number}, file: file, began: now, flushed: now}
	o.written.w = file
	if o.enc, err = newEncoder(&o.written); err != nil {
		return errors.Join(err, file.Close())
	}
	s.open = o
	return nil
}

// newEncoder returns an encoder that costs little memory.
func newEncoder(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true))
}

// seal makes a batch of the file being written. It is on the disk before it has its name.
func (s *Spool) seal() error {
	o := s.open
	if err := errors.Join(o.enc.Close(), o.file.Sync()); err != nil {
		return err
	}
	o.batch.Size = o.written.n
	part := filepath.Base(o.file.Name())
	if err := o.file.Close(); err != nil {
		return err
	}
	if err := s.root.Rename(part, o.batch.name()); err != nil {
		return err
	}
	s.open = nil
	s.waiting = append(s.waiting, o.batch)
	s.bytes += o.batch.Size
	s.ready.Broadcast()
	return s.shrink()
}

// abandon gives up the file being written, and n lines that are not in it yet.
func (s *Spool) abandon(n int) {
	if o := s.open; o != nil {
		n = max(n, o.batch.Lines)
		_ = o.file.Close() // it failed already
		_ = s.root.Remove(filepath.Base(o.file.Name()))
		s.open = nil
	}
	s.counts.Disk += uint64(n)
}

// shrink removes the oldest batches beyond the size, but not the one in hand.
func (s *Spool) shrink() error {
	for i := 0; s.bytes > s.size && i < len(s.waiting); {
		b := s.waiting[i]
		if b.Number == s.sending {
			i++
			continue
		}
		if err := s.remove(i); err != nil {
			return err
		}
		s.counts.Full += uint64(b.Lines)
	}
	return nil
}

// remove removes a batch that waits.
func (s *Spool) remove(i int) error {
	b := s.waiting[i]
	if err := s.root.Remove(b.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
	s.bytes -= b.Size
	return nil
}

// Counts returns what became of the lines until now.
func (s *Spool) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Batches, c.Bytes = len(s.waiting), s.bytes
	return c
}

// Next waits for the oldest batch and takes it in hand. ok is false when ctx ends, or
// the spool is closed.
func (s *Spool) Next(ctx context.Context) (b Batch, ok bool) {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ready.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && !s.closed && ctx.Err() == nil {
		s.ready.Wait()
	}
	if s.closed || ctx.Err() != nil {
		return b, false
	}
	s.sending = s.waiting[0].Number
	return s.waiting[0], true
}

// Read returns the bytes of a batch in hand.
func (s *Spool) Read(b *Batch) ([]byte, error) { return s.root.ReadFile(b.name()) }

// Sent removes a batch that the sink has.
func (s *Spool) Sent(b *Batch, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Sent += uint64(b.Lines)
	s.counts.LastSuccess, s.counts.Failing = now, nil
	return s.giveBack(b, func(i int) error {
		return errors.Join(s.noteLast(b.Number), s.remove(i))
	})
}

// noteLast keeps the number of the last batch, whose successor is free.
func (s *Spool) noteLast(n uint64) error {
	return s.root.WriteFile("last", fmt.Appendf(nil, "%d\n", n), 0o600)
}

// Failed notes that an attempt failed. The batch stays the next one.
func (s *Spool) Failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Failing, s.sending = err, 0
}

// SetAside keeps a batch that the sink refused for good in the folder aside, with the
// reason in a file beside it. The oldest go beyond 16 MiB.
func (s *Spool) SetAside(b *Batch, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Rejected += uint64(b.Lines)
	s.counts.Failing = nil
	return s.giveBack(b, func(i int) error {
		if err := s.root.Mkdir("aside", 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		name := filepath.Join("aside", b.name())
		err := errors.Join(s.noteLast(b.Number), s.root.Rename(b.name(), name),
			s.root.WriteFile(name+endingWhy, []byte(why.Error()+"\n"), 0o600))
		s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
		s.bytes -= b.Size
		return errors.Join(err, s.shrinkAside())
	})
}

// giveBack gives a batch out of the hand to fn, by its place.
func (s *Spool) giveBack(b *Batch, fn func(i int) error) error {
	s.sending = 0
	for i := range s.waiting {
		if s.waiting[i].Number == b.Number {
			return fn(i)
		}
	}
	return nil
}

func (s *Spool) shrinkAside() error {
	aside, err := s.root.OpenRoot("aside")
	if err != nil {
		return err
	}
	defer aside.Close()
	all, err := batches(aside)
	if err != nil {
		return err
	}
	var sum int64
	for _, b := range all {
		sum += b.Size
	}
	for _, b := range all {
		if sum <= asideBytes {
			break
		}
		if err := errors.Join(aside.Remove(b.name()), aside.Remove(b.name()+endingWhy)); err != nil {
			return err
		}
		sum -= b.Size
	}
	return nil
}

// recover makes batches of files that a process left while it wrote them, up to their
// last whole line.
func (s *Spool) recover() error {
	entries, err := readDir(s.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), endingPart)
		if !ok || !e.Type().IsRegular() {
			continue
		}
		var b Batch
		if _, err := fmt.Sscan(strings.TrimLeft(stem, "0"), &b.Number); err != nil {
			continue
		}
		if err := s.recoverPart(e.Name(), &b); err != nil {
			return fmt.Errorf("recover %s: %w", e.Name(), err)
		}
	}
	return nil
}

func (s *Spool) recoverPart(part string, b *Batch) error {
	text, err := s.readPart(part)
	if err != nil {
		return err
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	if b.Lines = bytes.Count(text, []byte("\n")); b.Lines == 0 {
		return s.root.Remove(part)
	}
	const again = "recovered"
	f, err := s.root.OpenFile(again, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	enc, err := newEncoder(f)
	if err == nil {
		_, err = enc.Write(text)
		err = errors.Join(err, enc.Close(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = s.root.Rename(again, b.name()); err != nil {
		return err
	}
	return s.root.Remove(part)
}

// readPart reads as much as was written whole.
func (s *Spool) readPart(part string) ([]byte, error) {
	f, err := s.root.Open(part)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dec, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<20))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	text, _ := io.ReadAll(io.LimitReader(dec, 2*batchText)) // it breaks off where it was killed
	return text, nil
}

// Close writes out the lines of the batch in hand, and gives the folder free. Whole
// batches wait for the next process.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.open != nil {
		if err = s.seal(); err != nil {
			s.abandon(0)
		}
	}
	s.closed = true
	s.ready.Broadcast()
	return errors.Join(err, s.release())
}

func (s *Spool) release() error {
	var err error
	if s.lock != nil {
		err = s.lock.Close()
	}
	if s.root != nil {
		err = errors.Join(err, s.root.Close())
	}
	return err
}
