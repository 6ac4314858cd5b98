package render

import (
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// eventMemo is the number of processes remembered by the lines of events. A
// listing remembers more: a watched host goes on making processes.
const eventMemo = 1 << 10

// An eventJSON writes each event as a JSON object on a line. It allocates
// nothing for an event of a known process.
type eventJSON struct {
	clock eventClock // with the text before and after a time
	// names are the first fields after the time, which have few values: the kind of
	// event, the way of the end, and the side that ended. Each outcome's text is
	// made once.
	names    []jsonField
	outcomes [outcomeSlots]outcome
	objects  []eventObject
	session  *jsonEncoder
}

// An outcome is the text of names, by their codes.
type outcome struct {
	codes uint32
	text  []byte
}

// outcomeSlots is the number of outcomes kept, by a hash.
const outcomeSlots = 64

// An eventObject is a part of an event beside the session: fields of the event
// itself, or an object within it.
type eventObject struct {
	key    string // of the object: `"sent":{`; empty: the event itself
	fields []jsonField
}

func newEventJSON(fields []*whose.Field) *eventJSON {
	r := &eventJSON{clock: utcClock(), session: newJSONEncoder(fields, `"session":`, "}\n")}
	for _, o := range []*jsonOwners{r.session.owners, r.session.peer} {
		if o != nil {
			o.memo.limit = eventMemo
		}
	}
	r.clock.head = `{"version":` + strconv.Itoa(whose.EventVersion) + `,"time":"`
	r.clock.suffix += `",`
	for _, o := range eventObjects() {
		object := eventObject{}
		if o.name != "" {
			object.key = `"` + o.name + `":{`
		}
		for i, f := range o.fields {
			object.fields = append(object.fields, newJSONField(f, o.keys[i]))
		}
		r.objects = append(r.objects, object)
	}
	own := &r.objects[0]
	own.fields = own.fields[1:] // the clock writes the time
	for len(own.fields) > 0 && own.fields[0].Kind == whose.KindName {
		r.names, own.fields = append(r.names, own.fields[0]), own.fields[1:]
	}
	return r
}

// A besideObject names an object of an event, or the event itself, with its
// fields and their keys.
type besideObject struct {
	name   string
	fields []*whose.Field
	keys   []string
}

// eventObjects returns the parts of an event beside the session, in order.
func eventObjects() []besideObject {
	var all []besideObject
	for _, f := range whose.EventFields() {
		name, key, nested := strings.Cut(f.EventKey, ".")
		if !nested {
			name, key = "", name
		}
		if n := len(all); n == 0 || all[n-1].name != name {
			all = append(all, besideObject{name: name})
		}
		o := &all[len(all)-1]
		o.fields, o.keys = append(o.fields, f), append(o.keys, key)
	}
	return all
}

// Head appends nothing.
func (r *eventJSON) Head(dst []byte) []byte { return dst }

// Resize does nothing.
func (r *eventJSON) Resize(int) {}

// Event appends one event. It leaves out keys without a value. A loss has no
// session.
func (r *eventJSON) Event(dst []byte, e *whose.Event) ([]byte, error) {
	row := e.Row()
	dst = r.appendNames(r.clock.append(dst, e.Time), row)
	if e.Kind.Ends() || e.Kind == whose.EventLost || e.StoodBefore || e.Seq != 0 || e.Host != "" { // others have nothing more
		for i := range r.objects {
			dst = r.objects[i].append(dst, row)
		}
	}
	if e.Kind == whose.EventLost {
		return append(dst[:len(dst)-1], "}\n"...), nil
	}
	return r.session.append(dst, row), nil
}

func (r *eventJSON) appendNames(dst []byte, row whose.Row) []byte {
	codes := uint32(1) // so that none is the zero of a slot
	for i := range r.names {
		codes = codes<<5 + uint32(r.names[i].get.Code(row))
	}
	slot := &r.outcomes[codes*0x9e3779b1>>26%outcomeSlots]
	if slot.codes != codes {
		slot.codes, slot.text = codes, slot.text[:0]
		for i := range r.names {
			slot.text = r.names[i].append(slot.text, row)
		}
	}
	return append(dst, slot.text...)
}

// append appends the fields with a value, each with a comma after it. It appends
// an object within the event whole, if any of its fields has a value.
func (o *eventObject) append(dst []byte, r whose.Row) []byte {
	dst = append(dst, o.key...)
	start := len(dst)
	for i := range o.fields {
		dst = o.fields[i].append(dst, r)
	}
	switch {
	case o.key == "":
		return dst
	case len(dst) == start:
		return dst[:start-len(o.key)]
	}
	return append(dst[:len(dst)-1], "},"...)
}
