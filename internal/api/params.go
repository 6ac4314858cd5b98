package api

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// The parameters of the paths.
var (
	whichParams    = []string{ask.ParamFilter, ask.ParamProto, ask.ParamFamily, ask.ParamState, ask.ParamNetNS, ask.ParamSelf}
	whenParams     = []string{ask.ParamAt, ask.ParamFrom, ask.ParamTo, ask.ParamUTC}
	coverageParams = slices.Concat(whichParams, whenParams)
	sessionParams  = slices.Concat(whichParams, whenParams, []string{ask.ParamFields, ask.ParamSort, ask.ParamLimit, ask.ParamOutput})
	countParams    = slices.Concat(whichParams, whenParams, []string{ask.ParamBy, ask.ParamSum, ask.ParamTop, ask.ParamPer, ask.ParamOutput})
	eventParams    = []string{
		ask.ParamFilter, ask.ParamProto, ask.ParamFamily, ask.ParamNetNS, ask.ParamSelf, ask.ParamFrom, ask.ParamTo, ask.ParamUTC,
		ask.ParamEvents, ask.ParamFields, ask.ParamAfter, ask.ParamInitial, ask.ParamFollow, ask.ParamOutput,
	}
)

// The formats of answers.
var (
	sessionFormats = []string{render.JSON, render.JSONL, render.CSV, render.TSV}
	eventFormats   = []string{render.JSONL, formatSSE}
)

const (
	// mostText bounds the bytes of a value.
	mostText = 8 << 10
	// mostFields bounds the fields to count by.
	mostFields = 16
	// mostRows bounds limit and top.
	mostRows = 1_000_000
)

// params are the parameters of a request, each at most once.
type params struct{ values url.Values }

// readParams reads the query of a request. A parameter that the path does not take is
// a mistake: it would change nothing.
func readParams(query string, known []string) (*params, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, badRequest(fmt.Errorf("read the parameters: %w", err))
	}
	for name, all := range values {
		switch {
		case !slices.Contains(known, name):
			err := badRequest(fmt.Errorf("unknown parameter %q", short(name)))
			if near := ask.Nearest(short(name), known); near != "" {
				return nil, whose.WithHint(err, "did you mean %s?", near)
			}
			if len(known) == 0 {
				return nil, whose.WithHint(err, "this path takes none")
			}
			return nil, whose.WithHint(err, "the parameters are %s", strings.Join(known, ", "))
		case len(all) > 1:
			return nil, badRequest(fmt.Errorf("%s: it is given %d times", name, len(all)))
		case len(all[0]) > mostText:
			return nil, badRequest(fmt.Errorf("%s: want at most %d bytes", name, mostText))
		}
	}
	return &params{values}, nil
}

// short cuts a text of the asker for a message.
func short(text string) string {
	const longest = 40
	if len(text) > longest {
		return strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

func (p *params) text(name string) string { return p.values.Get(name) }

func (p *params) times() *ask.Times {
	return &ask.Times{At: p.text(ask.ParamAt), From: p.text(ask.ParamFrom), To: p.text(ask.ParamTo)}
}

func paramError(name, format string, args ...any) error {
	return &ask.ParamError{Param: name, Err: fmt.Errorf(format, args...)}
}

// boolean reads a parameter that is true or false, false by default.
func (p *params) boolean(name string) (bool, error) {
	switch text := p.text(name); text {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	default:
		return false, paramError(name, "want true or false, got %q", short(text))
	}
}

// number reads a whole number up to most, 0 by default.
func (p *params) number(name string, most uint64) (uint64, error) {
	text := p.text(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > most {
		return 0, paramError(name, "want a whole number up to %d, got %q", most, short(text))
	}
	return n, nil
}

// duration reads a time such as 1h, 0 by default. A bare number means seconds.
func (p *params) duration(name string) (time.Duration, error) {
	text := p.text(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if n, bad := strconv.ParseUint(text, 10, 32); bad == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d <= 0 {
		return 0, paramError(name, "want a time above zero, such as 500ms, 2s or 1m")
	}
	return d, nil
}

// set reads a list of values of a field, 0 by default.
func set[T ~uint8](p *params, name string) (whose.Set[T], error) {
	text, f := p.text(name), whose.FieldByName(name)
	if text == "" {
		return 0, nil
	}
	var s whose.Set[T]
	for word := range strings.SplitSeq(text, ",") {
		i := slices.IndexFunc(f.Values, func(v string) bool { return strings.EqualFold(v, strings.TrimSpace(word)) })
		if i < 0 {
			err := paramError(name, "unknown value %q", short(word))
			return 0, whose.WithHint(err, "the values are %s", strings.Join(f.Values, ", "))
		}
		s |= whose.SetOf(T(f.CodeOf(f.Values[i])))
	}
	return s, nil
}

// states reads the states, 0 by default.
func (p *params) states() (whose.Set[whose.State], error) {
	if p.text(ask.ParamState) == ask.All {
		return whose.AllStates, nil
	}
	return set[whose.State](p, ask.ParamState)
}

// format reads the format of the answer.
func (p *params) format(known []string) (string, error) {
	text := p.text(ask.ParamOutput)
	if text == "" {
		return known[0], nil
	}
	return text, ask.Format(ask.ParamOutput, text, known...)
}

// fields reads the fields to show. "" stands for those of the format. With a plus
// before the first name they are shown beside those.
func (p *params) fields(preset []*whose.Field) ([]*whose.Field, error) {
	text := p.text(ask.ParamFields)
	if text == "" {
		return preset, nil
	}
	var fields []*whose.Field
	if bare, adds := strings.CutPrefix(strings.TrimSpace(text), "+"); adds {
		text, fields = bare, slices.Clone(preset)
	}
	for name := range strings.SplitSeq(text, ",") {
		f, err := ask.Field(ask.ParamFields, strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// A filterError is a mistake in a filter. Its place stands beside the message.
type filterError struct{ *filter.SyntaxError }

// Error returns the message alone.
func (e *filterError) Error() string { return e.Msg }

// filter reads the filter.
func (p *params) filter(d filter.Dialect) (filter.Expr, error) {
	text := p.text(ask.ParamFilter)
	if text == "" {
		return nil, nil
	}
	e, err := d.Parse(text)
	var place *filter.SyntaxError
	switch {
	case errors.As(err, &place):
		return nil, &ask.ParamError{Param: ask.ParamFilter, Err: &filterError{place}}
	case err != nil:
		return nil, &ask.ParamError{Param: ask.ParamFilter, Err: err}
	}
	return e, nil
}
