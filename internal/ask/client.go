package ask

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// DefaultSocket is the socket of an agent by default.
const DefaultSocket = "/run/whose/agent.sock"

// A Client asks the agent behind a socket. Each question has a connection of its
// own. The zero value asks nobody.
type Client struct {
	// Socket is the path of the agent's socket.
	Socket string
}

// An AnswerError is a refusal or a failure of the agent.
type AnswerError struct {
	// Status is the HTTP status, Message and Hint the agent's words.
	Status        int
	Message, Hint string
}

// Error returns the agent's words.
func (e *AnswerError) Error() string { return e.Message }

// Gone reports whether an error is that of an agent that does not answer, has ended or
// broke its answer off, or is too busy: one that may answer again later.
func Gone(err error) bool {
	var words *AnswerError
	if errors.As(err, &words) {
		return !words.Refused()
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errBroken)
}

// Refused reports whether the question was at fault.
func (e *AnswerError) Refused() bool { return e.Status >= 400 && e.Status < 500 }

const (
	// headTime bounds the wait for the beginning of an answer.
	headTime = 30 * time.Second
	// mostHead bounds the bytes of a status line and of each header.
	mostHead = 16 << 10
	// mostHeaders bounds the number of headers and of trailers.
	mostHeaders = 64
	// mostError bounds the bytes of a refusal.
	mostError = 64 << 10
)

// An Answer is the body of an answer. It ends with io.EOF only if it is whole.
// Whoever asked closes it.
type Answer struct {
	body     io.Reader
	conn     net.Conn
	stop     func() bool
	headers  map[string]string
	trailers map[string]string
}

// Read reads the body.
func (a *Answer) Read(p []byte) (int, error) { return a.body.Read(p) }

// Close ends the connection.
func (a *Answer) Close() error {
	a.stop()
	return a.conn.Close()
}

// Coverage returns the coverage of an answer that was read to its end. ok is false
// if it has none.
func (a *Answer) Coverage() (c whose.Coverage, ok bool, err error) {
	text, ok := a.trailers[strings.ToLower(TrailerCoverage)]
	if !ok {
		return c, false, nil
	}
	c, err = whose.ParseCoverage([]byte(text))
	return c, true, err
}

// Get asks. The error is an [AnswerError] for the words of the agent.
func (c *Client) Get(ctx context.Context, path string, values url.Values) (*Answer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, c.dialError(ctx, err)
	}
	// The end of ctx ends every wait.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	a := &Answer{conn: conn, stop: stop, trailers: make(map[string]string)}
	if err := a.ask(path, values); err != nil {
		_ = a.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var words *AnswerError
		if errors.As(err, &words) {
			return nil, whose.WithHint(words, "%s", words.Hint)
		}
		return nil, fmt.Errorf("ask the agent at %s: %w", c.Socket, err)
	}
	return a, nil
}

// dialError explains why there is no connection.
func (c *Client) dialError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var call *net.OpError
	if errors.As(err, &call) {
		err = call.Err
	}
	err = fmt.Errorf("ask the agent at %s: %w", c.Socket, err)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return whose.WithHint(err, "no agent runs there; start one: sudo whose agent")
	case errors.Is(err, fs.ErrPermission):
		return whose.WithHint(err, "it answers root and the group of its --group")
	}
	return err
}

func (a *Answer) ask(path string, values url.Values) error {
	_ = a.conn.SetDeadline(time.Now().Add(headTime))
	target := path
	if len(values) > 0 {
		target += "?" + values.Encode()
	}
	if _, err := io.WriteString(a.conn, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	r := bufio.NewReaderSize(a.conn, mostHead)
	line, err := readLine(r)
	if err != nil {
		return err
	}
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || !strings.HasPrefix(version, "HTTP/1.") {
		return errors.New("no HTTP answer: another program listens there")
	}
	a.headers = make(map[string]string)
	if err := readHeaders(r, a.headers); err != nil {
		return err
	}
	if a.body, err = bodyOf(r, a.headers, a.trailers); err != nil {
		return err
	}
	if status != 200 {
		return a.refusal(status)
	}
	_ = a.conn.SetDeadline(time.Time{}) // an answer may take its time
	return nil
}

// refusal reads the words of the agent.
func (a *Answer) refusal(status int) error {
	text, err := io.ReadAll(io.LimitReader(a.body, mostError))
	if err != nil {
		return err
	}
	e := &AnswerError{Status: status}
	var words struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}
	if json.Unmarshal(text, &words) != nil || words.Error == "" {
		words.Error = fmt.Sprintf("the agent answers with status %d", status)
	}
	e.Message, e.Hint = words.Error, words.Hint
	return e
}
