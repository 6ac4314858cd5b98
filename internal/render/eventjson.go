package render

import (
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track"
)

// EventSchemaVersion is the version in every line of events. It rises when a
// key changes its meaning or goes; new keys leave it as it is.
const EventSchemaVersion = 1

// eventMemo is how many processes the lines of events remember. It is less
// than for a listing: a host makes processes as long as it is watched.
const eventMemo = 1 << 10

// An eventJSON writes each event as a JSON object on a line. It allocates
// nothing for an event of a process that it has seen.
type eventJSON struct {
	clock   eventClock
	head    []byte
	session *jsonEncoder
}

func newEventJSON(fields []*whose.Field) *eventJSON {
	r := &eventJSON{clock: utcClock(), session: newJSONEncoder(fields, "", "")}
	for _, o := range []*jsonOwners{r.session.owners, r.session.peer} {
		if o != nil {
			o.limit = eventMemo
		}
	}
	r.head = append(strconv.AppendInt([]byte(`{"version":`), EventSchemaVersion, 10), `,"time":"`...)
	return r
}

// Head appends nothing.
func (r *eventJSON) Head(dst []byte) []byte { return dst }

// Resize does nothing.
func (r *eventJSON) Resize(int) {}

// Event appends one event. Keys without a value are left out.
func (r *eventJSON) Event(dst []byte, e *track.Event) ([]byte, error) {
	dst = append(dst, r.head...)
	dst = r.clock.append(dst, e.Time)
	dst = append(dst, `","event":"`...)
	dst = append(append(dst, e.Kind.String()...), '"')
	if e.Kind == track.Lost {
		dst = strconv.AppendUint(append(dst, `,"lost":`...), e.Lost, 10)
		dst = appendJSONString(append(dst, `,"why":`...), e.Why)
		return append(dst, "}\n"...), nil
	}
	dst = appendEventEnd(dst, e)
	dst = r.session.append(append(dst, `,"session":`...), &e.Session)
	return append(dst, "}\n"...), nil
}

// appendEventEnd appends what a session or an attempt came to, where it ended.
func appendEventEnd(dst []byte, e *track.Event) []byte {
	dst = appendEventName(dst, `,"end":"`, e.End.String())
	dst = appendEventName(dst, `,"by":"`, e.By.String())
	if e.Errno != 0 {
		dst = strconv.AppendUint(append(dst, `,"errno":`...), uint64(e.Errno), 10)
	}
	if !ends(e.Kind) {
		return dst
	}
	dst = strconv.AppendInt(append(dst, `,"duration":`...), int64(e.Duration/time.Microsecond), 10)
	if e.Since {
		dst = append(dst, `,"stood_before":true`...)
	}
	if trafficKnown(e) {
		dst = appendEventTraffic(append(dst, `,"sent":`...), e, e.Sent)
		dst = appendEventTraffic(append(dst, `,"received":`...), e, e.Received)
	}
	return dst
}

// ends reports whether events of the kind have a duration.
func ends(k track.Kind) bool { return k == track.Close || k == track.Fail }

// trafficKnown reports whether the event tells what went over the session. A
// source that only saw it gone knows neither that nor how it ended.
func trafficKnown(e *track.Event) bool {
	return e.Kind == track.Close && (e.End != track.EndNone || e.Sent != track.Traffic{} || e.Received != track.Traffic{})
}

// isUDP reports whether the event is one of a protocol of datagrams.
func isUDP(e *track.Event) bool {
	return e.Session.Proto == whose.UDP || e.Session.Proto == whose.UDPLite
}

func appendEventName(dst []byte, key, name string) []byte {
	if name == "" {
		return dst
	}
	return append(append(append(dst, key...), name...), '"')
}

func appendEventTraffic(dst []byte, e *track.Event, t track.Traffic) []byte {
	dst = strconv.AppendUint(append(dst, `{"bytes":`...), t.Bytes, 10)
	if isUDP(e) {
		dst = strconv.AppendUint(append(dst, `,"datagrams":`...), t.Datagrams, 10)
	}
	return append(dst, '}')
}
