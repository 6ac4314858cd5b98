package render

import (
	"fmt"
	"io"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

// An encoder appends the text of one session. It keeps caches of its own and
// belongs to one goroutine. After an error it has appended nothing.
type encoder func(dst []byte, s *whose.Session) ([]byte, error)

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

// infallible makes an encoder of a function without errors.
func infallible(append func(dst []byte, s *whose.Session) []byte) encoder {
	return func(dst []byte, s *whose.Session) ([]byte, error) { return append(dst, s), nil }
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

// lotSize is the number of sessions that a goroutine takes at once: long enough
// for the coming and going to cost nothing, short enough for all to end together.
const lotSize = 512

// A stream writes sessions as they come, on several goroutines if it pays.
type stream struct {
	framing framing
	workers int
}

// Write writes the head, the sessions and the tail.
func (r *stream) Write(w io.Writer, sessions lots.Sessions, c *whose.Coverage) error {
	out := frameWriter{w: w, buf: append(make([]byte, 0, 2*small), r.framing.head...), cut: len(r.framing.sep)}
	failed := lots.Write(&out, lots.Of(sessions.Len(), lotSize), r.workers, func() lots.Encoder {
		read, encode := sessions.Reader(), r.framing.newEncoder()
		return func(dst []byte, i int) ([]byte, error) {
			dst, err := encode(dst, read(i))
			if err != nil {
				err = fmt.Errorf("session %d: %w", i+1, err)
			}
			return dst, err
		}
	})
	if failed == nil && r.framing.tail != nil {
		out.buf = r.framing.tail(out.buf, c)
	}
	if err := out.flush(); err != nil {
		return err
	}
	return failed
}

// small is the number of bytes which a frameWriter gathers before it writes. A
// short listing is one write, and nothing of a long one is copied.
const small = 16 << 10

// A frameWriter writes the text around sessions and the sessions. It cuts the
// separator from the first session, and remembers the first error.
type frameWriter struct {
	w   io.Writer
	buf []byte
	cut int
	err error
}

// Write writes encoded sessions, at least one.
func (f *frameWriter) Write(p []byte) (int, error) {
	text := p[f.cut:]
	f.cut = 0
	if len(f.buf)+len(text) <= small {
		f.buf = append(f.buf, text...)
		return len(p), nil
	}
	if f.flush() == nil {
		_, f.err = f.w.Write(text)
	}
	return len(p), f.err
}

// flush writes the gathered bytes.
func (f *frameWriter) flush() error {
	if f.err == nil && len(f.buf) > 0 {
		_, f.err = f.w.Write(f.buf)
		f.buf = f.buf[:0]
	}
	return f.err
}
