package render

import (
	"io"

	"github.com/seed-44df2ae6/whose"
)

// An encoder appends the text of one session. It keeps caches of its own and
// belongs to one goroutine.
type encoder func(dst []byte, s *whose.Session) []byte

// A framing is a format which writes each session by itself: the encoder of a
// session and the text around the sessions.
type framing struct {
	// head comes before the first session.
	head []byte
	// sep begins the text of every session. It is cut from the first one.
	sep string
	// tail appends the text after the last session.
	tail func(dst []byte, c *whose.Coverage) []byte
	// newEncoder makes an encoder for one goroutine.
	newEncoder func() encoder
}

// framingOf returns the framing of a format, if it has one.
func framingOf(format string, opts *Options) framing {
	fields := opts.Fields
	if len(fields) == 0 {
		fields = DefaultFields(format)
	}
	switch format {
	case JSON:
		return jsonFraming(fields)
	case JSONL:
		return jsonlFraming(fields)
	case CSV:
		return csvFraming(fields, opts.NoHeader)
	case TSV:
		return tsvFraming(fields, opts.NoHeader)
	default:
		return pytcpFraming()
	}
}

// flushSize is the number of bytes gathered by a stream before it writes.
const flushSize = 64 << 10

// alone is the number of sessions encoded by a stream itself before it starts
// workers. For fewer sessions their start costs more than they save.
const alone = 2048

// A stream renders sessions one by one, on several goroutines if it pays.
type stream struct {
	out     frameWriter
	framing framing
	encode  encoder
	buf     []byte
	workers int
	seen    int
	pipe    *pipeline
}

func newStream(w io.Writer, f framing, workers int) *stream {
	return &stream{
		out:     frameWriter{w: w, head: f.head, cut: len(f.sep)},
		framing: f,
		encode:  f.newEncoder(),
		workers: workers,
	}
}

// Session encodes one session and now and then writes the gathered text.
func (r *stream) Session(s *whose.Session) error {
	if r.pipe != nil {
		return r.pipe.session(s)
	}
	r.buf = r.encode(r.buf, s)
	r.seen++
	if r.workers > 0 && r.seen >= alone {
		if err := r.flush(); err != nil {
			return err
		}
		r.pipe = startPipeline(r.out.sessions, r.framing.newEncoder, r.workers)
		return nil
	}
	if len(r.buf) >= flushSize {
		return r.flush()
	}
	return r.out.err
}

func (r *stream) flush() error {
	err := r.out.sessions(r.buf)
	r.buf = r.buf[:0]
	return err
}

// Close writes the rest.
func (r *stream) Close(c *whose.Coverage) error {
	if r.pipe != nil {
		r.pipe.close()
	}
	if err := r.flush(); err != nil {
		return err
	}
	if r.framing.tail != nil {
		r.buf = r.framing.tail(r.buf, c)
	}
	return r.out.rest(r.buf)
}

// A frameWriter writes the head before everything else, cuts the separator from
// the first session, and remembers the first error.
type frameWriter struct {
	w    io.Writer
	head []byte
	cut  int
	err  error
}

// sessions writes encoded sessions.
func (f *frameWriter) sessions(p []byte) error {
	if len(p) == 0 {
		return f.err
	}
	p = p[f.cut:]
	f.cut = 0
	return f.rest(p)
}

// rest writes other text.
func (f *frameWriter) rest(p []byte) error {
	if f.err == nil && len(f.head) > 0 {
		_, f.err = f.w.Write(f.head)
		f.head = nil
	}
	if f.err == nil && len(p) > 0 {
		_, f.err = f.w.Write(p)
	}
	return f.err
}
