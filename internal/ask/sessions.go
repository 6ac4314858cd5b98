package ask

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// mostLine bounds the bytes of one session or event.
const mostLine = 16 << 20

// Sessions asks for sessions and calls fn with each, in order, until it returns
// false. The coverage is that of the whole answer, zero if fn ended it.
func (c *Client) Sessions(ctx context.Context, q *Question, fn func(*whose.Session) bool) (whose.Coverage, error) {
	return c.lines(ctx, PathSessions, q, func(line []byte) (bool, error) {
		s, err := whose.ParseSession(line)
		return err == nil && fn(&s), err
	})
}

// Events asks for events and calls fn with each, in order, until it returns false.
// The end of ctx is no error.
func (c *Client) Events(ctx context.Context, q *Question, fn func(*whose.Event) bool) (whose.Coverage, error) {
	cov, err := c.lines(ctx, PathEvents, q, func(line []byte) (bool, error) {
		e, err := whose.ParseEvent(line)
		return err == nil && fn(&e), err
	})
	if err != nil && ctx.Err() != nil {
		err = nil
	}
	return cov, err
}

// lines asks for an answer of lines.
func (c *Client) lines(ctx context.Context, path string, q *Question, fn func(line []byte) (more bool, err error)) (whose.Coverage, error) {
	values := q.Values()
	values.Set(ParamOutput, "jsonl")
	answer, err := c.Get(ctx, path, values)
	if err != nil {
		return whose.Coverage{}, err
	}
	defer answer.Close()
	if seq, err := strconv.ParseUint(answer.headers[strings.ToLower(HeaderSeq)], 10, 64); err == nil && q.Began != nil {
		q.Began(seq)
	}
	lines := bufio.NewScanner(answer)
	lines.Buffer(make([]byte, 0, 64<<10), mostLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue // it shows that the agent lives
		}
		more, err := fn(lines.Bytes())
		if lines.Err() != nil {
			break // the line is a part of one
		}
		if err != nil {
			return whose.Coverage{}, fmt.Errorf("read the answer of the agent: %w", err)
		}
		if !more {
			return whose.Coverage{}, nil
		}
	}
	if err := lines.Err(); err != nil {
		return whose.Coverage{}, c.readError(ctx, err)
	}
	cov, ok, err := answer.Coverage()
	if err == nil && !ok {
		err = errors.New("it has no coverage")
	}
	if err != nil {
		return cov, c.readError(ctx, err)
	}
	return cov, nil
}

// errBroken is the end of an answer that is not whole.
var errBroken = errors.New("it ended before its answer was whole")

// readError is the error of an answer that broke off.
func (c *Client) readError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errBroken
	}
	return fmt.Errorf("read the answer of the agent at %s: %w", c.Socket, err)
}

// JSON asks for one document and reads it into to.
func (c *Client) JSON(ctx context.Context, path string, q *Question, to any) error {
	answer, err := c.Get(ctx, path, q.Values())
	if err != nil {
		return err
	}
	defer answer.Close()
	text, err := io.ReadAll(io.LimitReader(answer, mostLine))
	if err != nil {
		return c.readError(ctx, err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("read the answer of the agent at %s: %w", c.Socket, err)
	}
	return nil
}
