package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/seed-44df2ae6/whose/internal/limits"
)

// second has a second process do the whole command where a limit of the system may
// end the process that collects, and returns its output: at most most bytes, which
// valid accepts. done is false where this process is to do it itself.
func (j *zabbixJob) second(sh *shell, most int, valid func([]byte) bool) (text []byte, done bool, err error) {
	limit, tight := limits.Tight()
	if !tight || sh.out != io.Writer(os.Stdout) {
		return nil, false, nil
	}
	// It ends by itself a fortieth of the time before the end.
	text, err = limit.Run(j.began, j.timeout-j.timeout/80, most)
	var died *limits.DiedError
	var late *limits.LateError
	switch {
	case errors.As(err, &died) && died.Exit == exitFailed: // it could say why
		return nil, true, errors.New(strings.TrimPrefix(died.Said, errorPrefix))
	case err == nil && !valid(text):
		return nil, true, &limits.DiedError{Limit: limit, Status: "its output is not whole"}
	case err == nil, errors.As(err, &died), errors.As(err, &late):
		return text, true, err
	}
	return nil, false, nil // there is no second process to be had
}
