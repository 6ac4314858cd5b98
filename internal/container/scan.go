package container

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// A scanner reads one value of JSON from a stream. It keeps the wanted texts
// and goes past the rest, whose content is in its buffer and nowhere else.
type scanner struct {
	r *bufio.Reader
	// depth is the number of arrays and objects around the next value.
	depth int
	// key is room for the key read last, buf for the string read last.
	key [maxKey]byte
	buf [maxText]byte
}

const (
	// maxDepth bounds how deep values may lie in one another.
	maxDepth = 64
	// maxKey bounds a key; no wanted key is longer.
	maxKey = 128
	// maxText bounds a string that is wanted.
	maxText = 8 << 10
)

// errMalformed is the only error about content: it quotes nothing.
var errMalformed = errors.New("malformed JSON")

func newScanner(r io.Reader) *scanner { return &scanner{r: bufio.NewReader(r)} }

// end reads to the end of the stream, where only space may be.
func (s *scanner) end() error {
	if _, err := s.next(); err != io.EOF {
		return errMalformed
	}
	return nil
}

// next returns the next byte that is no space.
func (s *scanner) next() (byte, error) {
	for {
		c, err := s.r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			return c, nil
		}
	}
}

// must is next within a value, where the stream may not end.
func (s *scanner) must() (byte, error) {
	c, err := s.next()
	if err == io.EOF {
		err = errMalformed
	}
	return c, err
}

// back gives the byte read last back.
func (s *scanner) back() { _ = s.r.UnreadByte() } // it follows a read

// object reads an object and calls member with each key, to read the value. The key
// is valid during the call. Another value than an object is skipped.
func (s *scanner) object(member func(key []byte) error) error {
	return s.inside('{', '}', func() error {
		n, ok, err := s.text(s.key[:])
		if err != nil {
			return err
		}
		if c, err := s.must(); err != nil || c != ':' {
			return errors.Join(err, errMalformed)
		}
		if !ok {
			n = 0
		}
		return member(s.key[:n])
	})
}

// array reads an array and calls element for each value, to read it. Another value
// than an array is skipped.
func (s *scanner) array(element func() error) error { return s.inside('[', ']', element) }

// inside reads the elements between two brackets, parted by commas.
func (s *scanner) inside(open, shut byte, part func() error) error {
	c, err := s.must()
	if err != nil {
		return err
	}
	if c != open {
		s.back()
		return s.skip()
	}
	if s.depth++; s.depth > maxDepth {
		return errMalformed
	}
	if c, err = s.must(); err != nil {
		return err
	}
	for c != shut {
		s.back()
		if err := part(); err != nil {
			return err
		}
		if c, err = s.must(); err != nil {
			return err
		}
		switch c {
		case shut:
		case ',':
			if c, err = s.must(); err != nil || c == shut {
				return errors.Join(err, errMalformed)
			}
		default:
			return errMalformed
		}
	}
	s.depth--
	return nil
}

// string reads a string of at most limit bytes, up to maxText. A longer one, and another value, is
// skipped, and "" returned.
func (s *scanner) string(limit int) (string, error) {
	c, err := s.must()
	if err != nil {
		return "", err
	}
	s.back()
	if c != '"' {
		return "", s.skip()
	}
	n, ok, err := s.text(s.buf[:limit])
	if err != nil || !ok {
		return "", err
	}
	return string(s.buf[:n]), nil
}

// skip goes past a value.
func (s *scanner) skip() error {
	c, err := s.must()
	if err != nil {
		return err
	}
	s.back()
	switch {
	case c == '{':
		return s.object(func([]byte) error { return s.skip() })
	case c == '[':
		return s.array(s.skip)
	case c == '"':
		_, _, err := s.text(nil)
		return err
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	return errMalformed
}

func (s *scanner) word(w string) error {
	for i := range len(w) {
		if c, err := s.r.ReadByte(); err != nil || c != w[i] {
			return errMalformed
		}
	}
	return nil
}

// number goes past a number. Its digits do not matter, so their order is not
// looked at.
func (s *scanner) number() error {
	for {
		c, err := s.r.ReadByte()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
		default:
			s.back()
			return nil
		}
	}
}

// text reads a string into buf and returns its length. ok is false for a string
// longer than buf, of which nothing counts.
func (s *scanner) text(buf []byte) (n int, ok bool, err error) {
	if c, err := s.must(); err != nil || c != '"' {
		return 0, false, errors.Join(err, errMalformed)
	}
	ok = true
	add := func(b ...byte) {
		if ok = ok && n+len(b) <= len(buf); ok {
			n += copy(buf[n:], b)
		}
	}
	for {
		c, err := s.r.ReadByte()
		if err == io.EOF || err == nil && c < ' ' {
			return 0, false, errMalformed
		}
		switch {
		case err != nil:
			return 0, false, err
		case c == '"':
			return n, ok, nil
		case c != '\\':
			add(c)
			continue
		}
		r, err := s.escape()
		if err != nil {
			return 0, false, err
		}
		var enc [utf8.UTFMax]byte
		add(enc[:utf8.EncodeRune(enc[:], r)]...)
	}
}

// escape reads the rest of an escape, after its backslash.
func (s *scanner) escape() (rune, error) {
	c, err := s.r.ReadByte()
	if err != nil {
		return 0, errMalformed
	}
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return s.unicode()
	}
	return 0, errMalformed
}

// unicode reads the digits of an escape, and the second escape of a surrogate pair.
func (s *scanner) unicode() (rune, error) {
	r, err := s.hex()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if next, err := s.r.Peek(2); err != nil || string(next) != `\u` {
		return utf8.RuneError, nil
	}
	ahead, err := s.r.Peek(6)
	if err != nil {
		return 0, errMalformed
	}
	low, ok := hexRune(ahead[2:])
	if !ok {
		return 0, errMalformed
	}
	pair := utf16.DecodeRune(r, low)
	if pair != utf8.RuneError {
		_, err = s.r.Discard(6)
	}
	return pair, err
}

func (s *scanner) hex() (rune, error) {
	digits, err := s.r.Peek(4)
	if err != nil {
		return 0, errMalformed
	}
	r, ok := hexRune(digits)
	if !ok {
		return 0, errMalformed
	}
	_, err = s.r.Discard(4)
	return r, err
}

func hexRune(digits []byte) (r rune, ok bool) {
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
