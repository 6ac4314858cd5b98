package ask

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// This file is as much of HTTP/1.1 (RFC 9112) as the answers of an agent need.

var errHTTP = errors.New("malformed HTTP answer")

// readLine reads a line without its end. A longer one than the reader's buffer is
// malformed.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errHTTP
	case errors.Is(err, io.EOF):
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}

// readHeaders reads header lines to the empty one, by names in lower case.
func readHeaders(r *bufio.Reader, to map[string]string) error {
	for range mostHeaders {
		line, err := readLine(r)
		if err != nil || line == "" {
			return err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return errHTTP
		}
		to[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	return errHTTP
}

// bodyOf returns the body that the headers announce. Trailers are filled in when it
// has been read.
func bodyOf(r *bufio.Reader, headers, trailers map[string]string) (io.Reader, error) {
	if strings.EqualFold(headers["transfer-encoding"], "chunked") {
		return &chunked{r: r, trailers: trailers}, nil
	}
	length, err := strconv.ParseUint(headers["content-length"], 10, 62)
	if err != nil {
		return nil, fmt.Errorf("%w: it has neither a length nor chunks", errHTTP)
	}
	return &counted{r, int64(length)}, nil
}

// A counted body has a length.
type counted struct {
	r    io.Reader
	left int64
}

// Read reads up to the length. An earlier end is an error.
func (c *counted) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if errors.Is(err, io.EOF) && c.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// A chunked body comes in chunks, each with its length before it, and ends with an
// empty one and the trailers.
type chunked struct {
	r        *bufio.Reader
	left     uint64
	began    bool
	err      error
	trailers map[string]string
}

// Read reads from the current chunk. An end before the last chunk is an error.
func (c *chunked) Read(p []byte) (int, error) {
	if c.err == nil && c.left == 0 {
		c.err = c.next()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p[:min(uint64(len(p)), c.left)])
	c.left -= uint64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.err = err
	return n, err
}

// next begins the next chunk, io.EOF after the last one.
func (c *chunked) next() error {
	if c.began {
		if line, err := readLine(c.r); err != nil || line != "" {
			return malformed(err)
		}
	}
	c.began = true
	line, err := readLine(c.r)
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(line, ";") // extensions mean nothing
	if c.left, err = strconv.ParseUint(strings.TrimSpace(size), 16, 62); err != nil {
		return errHTTP
	}
	if c.left > 0 {
		return nil
	}
	if err := readHeaders(c.r, c.trailers); err != nil {
		return err
	}
	return io.EOF
}

func malformed(err error) error {
	if err != nil {
		return err
	}
	return errHTTP
}
