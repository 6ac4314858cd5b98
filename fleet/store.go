package fleet

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/remote"
)

// DefaultDatabase is the database where a URL names none.
const DefaultDatabase = "whose"

// A Store is the ClickHouse of a fleet. Get one from [Open]. It is safe for concurrent
// use.
type Store struct {
	server *remote.Server
	db     string
}

// Open returns the store at a target: https://HOST[:PORT][/DATABASE]. agent is the name
// by which we introduce ourselves. Nothing is sent yet.
func Open(t *remote.Target, agent string) (*Store, error) {
	server, err := t.Open(agent)
	if err != nil {
		return nil, err
	}
	db := cmp.Or(strings.Trim(server.URL.Path, "/"), DefaultDatabase)
	if !remote.PlainName(db) {
		return nil, fmt.Errorf("want the name of a database of letters, digits and _ after the host, got %q", db)
	}
	server.URL.Path = "/"
	return &Store{server, db}, nil
}

// A ServerError is a refusal by ClickHouse.
type ServerError struct {
	// Code is ClickHouse's number of the error: 60 for an unknown table.
	Code int
	Err  error
}

func (e *ServerError) Error() string { return e.Err.Error() }

// Unwrap returns the answer.
func (e *ServerError) Unwrap() error { return e.Err }

// Numbers of ClickHouse's errors.
const (
	codeUnknownTable    = 60
	codeUnknownDatabase = 81
	codeNoRight         = 497
)

// run runs a statement; values go beside its text, as {name:Type} in it.
func (s *Store) run(ctx context.Context, statement string, values map[string]string) (*http.Response, error) {
	query := url.Values{"database": {s.db}, "wait_end_of_query": {"1"}}
	if values == nil {
		query.Del("database") // it may not be there yet
	}
	for name, value := range values {
		query.Set("param_"+name, value)
	}
	res, err := s.server.Post(ctx, &remote.Request{Query: query, Body: []byte(statement)})
	if err != nil {
		return nil, fmt.Errorf("ask ClickHouse at %s: %w", s.server.URL.Host, err)
	}
	code, _ := strconv.Atoi(res.Header.Get("X-ClickHouse-Exception-Code")) // 0: it is none of ClickHouse's
	if res.StatusCode == http.StatusOK && code == 0 {
		return res, nil
	}
	err = fmt.Errorf("ask ClickHouse at %s: %w", s.server.URL.Host, remote.ErrorOf(res))
	if code == codeUnknownTable || code == codeUnknownDatabase {
		err = whose.WithHint(err, "whose fleet init makes the tables")
	}
	return nil, &ServerError{code, err}
}

// exec runs a statement without an answer.
func (s *Store) exec(ctx context.Context, statement string) error {
	res, err := s.run(ctx, strings.ReplaceAll(statement, "{db}", s.db), nil)
	if err != nil {
		return err
	}
	remote.Drain(res)
	return nil
}

// mostLine bounds a row of an answer.
const mostLine = 1 << 20

// rows runs a question and hands each row to fn, which reads it into a value of its own.
func rows[T any](ctx context.Context, s *Store, question string, values map[string]string, fn func(*T) error) error {
	if values == nil {
		values = map[string]string{}
	}
	res, err := s.run(ctx, question+" FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0", values)
	if err != nil {
		return err
	}
	defer remote.Drain(res)
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, mostLine)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		row := new(T)
		if err := json.Unmarshal(lines.Bytes(), row); err != nil {
			return fmt.Errorf("read the answer of ClickHouse: %w", err)
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the answer of ClickHouse: %w", err)
	}
	return nil
}

// hasCode reports whether an error is one of ClickHouse's with one of these numbers.
func hasCode(err error, codes ...int) bool {
	var bad *ServerError
	if !errors.As(err, &bad) {
		return false
	}
	for _, c := range codes {
		if bad.Code == c {
			return true
		}
	}
	return false
}
