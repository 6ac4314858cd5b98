package ask

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// This file reads the words of a question: the values of flags and of parameters
// have the same rules and the same messages.

// A ParamError is a mistake in the value of a parameter, or of the flag of the same
// name.
type ParamError struct {
	Param string
	Err   error
}

// Error names the parameter.
func (e *ParamError) Error() string { return e.Param + ": " + e.Err.Error() }

// Unwrap returns the mistake.
func (e *ParamError) Unwrap() error { return e.Err }

func mistake(param, format string, args ...any) error {
	return &ParamError{param, fmt.Errorf(format, args...)}
}

// Field returns the field of sessions with a name.
func Field(param, name string) (*whose.Field, error) {
	f := whose.FieldByName(name)
	switch {
	case f != nil && f.Of == whose.OfEvent:
		return nil, whose.WithHint(mistake(param, "%s is a fact of events, not of sessions", f.Name), "every line of whose watch has it")
	case f != nil:
		return f, nil
	case name == "":
		return nil, whose.WithHint(mistake(param, "a name is missing"), "whose fields lists them")
	}
	err := mistake(param, "unknown field %q", name)
	if near := Nearest(name, fieldNames()); near != "" {
		return nil, whose.WithHint(err, "did you mean %q?", near)
	}
	return nil, whose.WithHint(err, "whose fields lists them")
}

// fieldNames returns every name of every field.
func fieldNames() []string {
	var names []string
	for _, f := range whose.Fields() {
		names = append(append(names, f.Name), f.Aliases...)
	}
	return names
}

// FieldsOnce reads a list of fields, each of which may be named once.
func FieldsOnce(param, list string) ([]*whose.Field, error) {
	var fields []*whose.Field
	for name := range strings.SplitSeq(list, ",") {
		f, err := Field(param, strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if slices.Contains(fields, f) {
			return nil, mistake(param, "field %s is named twice", f.Name)
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// Sums reads a list of fields to add up, beside those to count by. "" is none.
func Sums(param, list string, by []*whose.Field) ([]*whose.Field, error) {
	if list == "" {
		return nil, nil
	}
	fields, err := FieldsOnce(param, list)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		switch {
		case !tally.Summable(f):
			return nil, mistake(param, "field %s is no amount that can be added up", f.Name)
		case slices.Contains(by, f):
			return nil, mistake(param, "field %s is named twice", f.Name)
		}
	}
	return fields, nil
}

// Sort reads an order by fields, and returns their full names, each with "-" before
// it for downwards. "" is none.
func Sort(param, list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	names := strings.Split(list, ",")
	for i, name := range names {
		bare, down := strings.CutPrefix(strings.TrimSpace(name), "-")
		f, err := Field(param, bare)
		if err != nil {
			return nil, err
		}
		names[i] = f.Name
		if down {
			names[i] = "-" + f.Name
		}
	}
	return names, nil
}

// Kinds reads a list of kinds of events. "" is none, and stands for all.
func Kinds(param, list string) (whose.Set[whose.EventKind], error) {
	var kinds whose.Set[whose.EventKind]
	if list == "" {
		return 0, nil
	}
	names := KindNames()
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		at := slices.IndexFunc(whose.EventKinds(), func(k whose.EventKind) bool { return strings.EqualFold(k.String(), name) })
		if at < 0 {
			err := mistake(param, "unknown kind %q", name)
			if near := Nearest(name, names); near != "" {
				return 0, whose.WithHint(err, "did you mean %s? The kinds are %s", near, strings.Join(names, ", "))
			}
			return 0, whose.WithHint(err, "the kinds are %s", strings.Join(names, ", "))
		}
		kinds |= whose.SetOf(whose.EventKinds()[at])
	}
	return kinds, nil
}

// KindNames are the kinds of events that can be asked for: lost always comes.
func KindNames() []string {
	var names []string
	for _, k := range whose.EventKinds() {
		if k != whose.EventLost {
			names = append(names, k.String())
		}
	}
	return names
}

// Format checks the name of a format.
func Format(param, got string, known ...string) error {
	if slices.Contains(known, got) {
		return nil
	}
	err := mistake(param, "unknown format %q", got)
	if name := Nearest(got, known); name != "" {
		return whose.WithHint(err, "did you mean %s? The formats are %s", name, strings.Join(known, ", "))
	}
	return whose.WithHint(err, "the formats are %s", strings.Join(known, ", "))
}

// Times are the words of a question about the past.
type Times struct{ At, From, To string }

// Asked reports whether the question is about the past.
func (t *Times) Asked() bool { return t.At != "" || t.From != "" || t.To != "" }

// Span returns the time of the question. Equal ends are a moment. now is the moment
// of the question, in its zone.
func (t *Times) Span(now time.Time) (from, to time.Time, err error) {
	switch {
	case t.At != "" && (t.From != "" || t.To != ""):
		return from, to, mistake(ParamAt, "a moment, and %s and %s a span of time: they exclude each other", ParamFrom, ParamTo)
	case t.At != "":
		from, err = when(ParamAt, t.At, now)
		return from, from, err
	case t.From == "":
		return from, to, whose.WithHint(mistake(ParamTo, "want %s too", ParamFrom), "-1h and -30m for example")
	}
	from, err = when(ParamFrom, t.From, now)
	if to = now; err == nil && t.To != "" {
		to, err = when(ParamTo, t.To, now)
	}
	if err == nil && !from.Before(to) {
		err = mistake(ParamFrom, "%s is not before %s", from.Format(time.DateTime), to.Format(time.DateTime))
	}
	return from, to, err
}

func when(param, text string, now time.Time) (time.Time, error) {
	t, err := history.ParseTime(text, now)
	if err != nil {
		return t, whose.WithHint(&ParamError{param, err}, "%s", whose.Hint(err))
	}
	return t, nil
}

// Steps returns the beginning of a count in steps. With steps of whole minutes a
// beginning such as -24h is put to the whole minute before: a roll-up knows these.
func (t *Times) Steps(from time.Time, per time.Duration) time.Time {
	if per > 0 && per%time.Minute == 0 && strings.HasPrefix(strings.TrimSpace(t.From), "-") {
		return from.Truncate(time.Minute)
	}
	return from
}

// Per checks the steps of a count over a time, 0 for none.
func Per(param string, per time.Duration, from, to time.Time) error {
	switch {
	case per == 0:
		return nil
	case per < 0:
		return &ParamError{param, errors.New("want a time above zero, such as 1m or 1h")}
	case !from.Before(to):
		return mistake(param, "want %s, a moment has no steps", ParamFrom)
	case to.Sub(from)/per > tally.MostSteps:
		return mistake(param, "want at most %d steps", tally.MostSteps)
	}
	return nil
}
