package render

import (
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
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
	clock    eventClock // with what stands before a time and after it
	outcomes [outcomeSlots]outcomeText
	session  *jsonEncoder
}

// An outcome is what happened, in the few words that there are for it.
type outcome struct {
	kind whose.EventKind
	end  whose.End
	by   whose.Side
}

// An outcomeText is the text of an outcome.
type outcomeText struct {
	of   outcome
	text []byte
}

// outcomeSlots is how many texts of outcomes are kept, by a hash.
const outcomeSlots = 64

func newEventJSON(fields []*whose.Field) *eventJSON {
	r := &eventJSON{clock: utcClock(), session: newJSONEncoder(fields, `,"session":`, "}\n")}
	for _, o := range []*jsonOwners{r.session.owners, r.session.peer} {
		if o != nil {
			o.limit = eventMemo
		}
	}
	r.clock.head = `{"version":` + strconv.Itoa(EventSchemaVersion) + `,"time":"`
	r.clock.suffix += `","event":"`
	return r
}

// Head appends nothing.
func (r *eventJSON) Head(dst []byte) []byte { return dst }

// Resize does nothing.
func (r *eventJSON) Resize(int) {}

// Event appends one event. Keys without a value are left out.
func (r *eventJSON) Event(dst []byte, e *whose.Event) ([]byte, error) {
	dst = r.clock.append(dst, e.Time)
	if e.Kind == whose.EventLost {
		dst = append(append(dst, e.Kind.String()...), `","lost":`...)
		dst = append(appendUint(dst, e.Lost), `,"why":`...)
		return append(appendJSONString(dst, e.Why), "}\n"...), nil
	}
	dst = r.appendOutcome(dst, outcome{e.Kind, e.End, e.By})
	if e.Errno != 0 {
		dst = appendUint(append(dst, `,"errno":`...), uint64(e.Errno))
	}
	if ends(e.Kind) {
		dst = appendEventEnd(dst, e)
	}
	return r.session.append(dst, &e.Session), nil
}

// appendOutcome appends the name of the kind, whose quotes are open, how a
// session ended, and who ended it.
func (r *eventJSON) appendOutcome(dst []byte, o outcome) []byte {
	slot := &r.outcomes[(uint8(o.kind)<<4^uint8(o.end)<<2^uint8(o.by))%outcomeSlots]
	if slot.of != o || slot.text == nil {
		text := append(append(slot.text[:0], o.kind.String()...), '"')
		text = appendEventName(text, `,"end":"`, o.end.String())
		text = appendEventName(text, `,"by":"`, o.by.String())
		slot.of, slot.text = o, text
	}
	return append(dst, slot.text...)
}

// appendEventEnd appends what a session or an attempt came to.
func appendEventEnd(dst []byte, e *whose.Event) []byte {
	dst = strconv.AppendInt(append(dst, `,"duration":`...), int64(e.Duration/time.Microsecond), 10)
	if e.Since {
		dst = append(dst, `,"stood_before":true`...)
	}
	if trafficKnown(e) {
		dst = appendEventTraffic(append(dst, `,"sent":{"bytes":`...), e, e.Sent)
		dst = appendEventTraffic(append(dst, `,"received":{"bytes":`...), e, e.Received)
	}
	return dst
}

// ends reports whether events of the kind have a duration.
func ends(k whose.EventKind) bool { return k == whose.EventClose || k == whose.EventFail }

// trafficKnown reports whether the event tells what went over the session. A
// source that only saw it gone knows neither that nor how it ended.
func trafficKnown(e *whose.Event) bool {
	return e.Kind == whose.EventClose && (e.End != whose.EndNone || e.Sent != whose.Traffic{} || e.Received != whose.Traffic{})
}

// isUDP reports whether the event is one of a protocol of datagrams.
func isUDP(e *whose.Event) bool {
	return e.Session.Proto == whose.UDP || e.Session.Proto == whose.UDPLite
}

func appendEventName(dst []byte, key, name string) []byte {
	if name == "" {
		return dst
	}
	return append(append(append(dst, key...), name...), '"')
}

// appendEventTraffic appends what went one way, after the key of its bytes.
func appendEventTraffic(dst []byte, e *whose.Event, t whose.Traffic) []byte {
	dst = appendUint(dst, t.Bytes)
	if isUDP(e) {
		dst = appendUint(append(dst, `,"datagrams":`...), t.Datagrams)
	}
	return append(dst, '}')
}
