package ask

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// The parameters of requests. Lists are parted by commas.
const (
	ParamFilter  = "filter"
	ParamProto   = "proto"
	ParamFamily  = "family"
	ParamState   = "state"
	ParamNetNS   = "netns"
	ParamSelf    = "self"
	ParamAt      = "at"
	ParamFrom    = "from"
	ParamTo      = "to"
	ParamUTC     = "utc"
	ParamFields  = "fields"
	ParamSort    = "sort"
	ParamLimit   = "limit"
	ParamOutput  = "output"
	ParamBy      = "by"
	ParamSum     = "sum"
	ParamTop     = "top"
	ParamPer     = "per"
	ParamEvents  = "events"
	ParamAfter   = "after"
	ParamFollow  = "follow"
	ParamInitial = "initial"
)

// The paths of the API.
const (
	PathSessions = "/v1/sessions"
	PathEvents   = "/v1/events"
	PathCount    = "/v1/count"
	PathCoverage = "/v1/coverage"
	PathHistory  = "/v1/history"
	PathHealth   = "/v1/health"
	PathVersion  = "/v1/version"
	PathOpenAPI  = "/v1/openapi.json"
)

// All is the value of [ParamState] and [ParamNetNS] for every one.
const All = "all"

// TrailerCoverage is the trailer of an answer in lines: the coverage as JSON.
const TrailerCoverage = "Whose-Coverage"

// HeaderSeq is the header of a stream of events: the number of the event after which
// its live part goes on. Who loses the stream before it had a live event resumes there.
const HeaderSeq = "Whose-Seq"

// A Question is what a request asks. The zero value of each part asks for the usual.
type Question struct {
	// Filter is an expression of the filter language.
	Filter   string
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	States   whose.Set[whose.State]
	// NetNS is a network namespace: "self", a name, an inode number; Self is the
	// number of the asker's own, 0 if unknown.
	NetNS string
	Self  uint32
	// At is a moment, From and To bound a span of time.
	At, From, To time.Time
	// Fields of sessions, by name; Sort orders them.
	Fields, Sort []string
	// Events are the kinds of events.
	Events whose.Set[whose.EventKind]
	// Follow: events go on into the present. Initial: the standing sessions come first.
	// After is the number of the last event that is known, 0 for none.
	Follow, Initial bool
	After           uint64
	// Began, if not nil, is called with the number of [HeaderSeq] when an answer begins.
	Began func(seq uint64)
}

// Values returns the parameters.
func (q *Question) Values() url.Values {
	v := make(url.Values)
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set(ParamFilter, q.Filter)
	set(ParamProto, names("proto", q.Protos))
	set(ParamFamily, names("family", q.Families))
	if q.States == whose.AllStates {
		set(ParamState, All)
	} else {
		set(ParamState, names("state", q.States))
	}
	if q.NetNS != All {
		set(ParamNetNS, q.NetNS)
	}
	if q.Self != 0 {
		set(ParamSelf, strconv.FormatUint(uint64(q.Self), 10))
	}
	set(ParamAt, instant(q.At))
	set(ParamFrom, instant(q.From))
	set(ParamTo, instant(q.To))
	set(ParamFields, strings.Join(q.Fields, ","))
	set(ParamSort, strings.Join(q.Sort, ","))
	set(ParamEvents, names("event", q.Events))
	if q.Follow {
		set(ParamFollow, "true")
	}
	if q.Initial {
		set(ParamInitial, "true")
	}
	if q.After != 0 {
		set(ParamAfter, strconv.FormatUint(q.After, 10))
	}
	return v
}

// names lists the members of a set of values of a field, "" for none.
func names[T ~uint8](field string, s whose.Set[T]) string {
	f := whose.FieldByName(field)
	var some []string
	for _, name := range f.Values {
		if s.Has(T(f.CodeOf(name))) {
			some = append(some, name)
		}
	}
	return strings.Join(some, ",")
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
