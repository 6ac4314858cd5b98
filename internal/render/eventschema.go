package render

import (
	"bytes"
	"encoding/json"

	"github.com/seed-44df2ae6/whose"
)

// EventSchema returns the JSON Schema of a line of whose watch -o jsonl. It is
// made from the table of fields and the names of events. It allows unknown keys:
// later versions add some.
func EventSchema() ([]byte, error) {
	schema := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "https://github.com/seed-44df2ae6/whose/docs/schema/whose-event-v1.schema.json"},
		{"title", "whose watch -o jsonl"},
		{"description", "TCP and UDP sessions of a host as they open and close, with the processes that own them. " +
			"Each line is one event, or, as the last one with --summary, the summary. " +
			"What is not known, does not apply or was not asked for is left out. Durations are in microseconds."},
		{"oneOf", []object{ref("event"), ref("lost"), ref("summary")}},
		{"$defs", object{
			{"event", eventSchema()},
			{"lost", lostSchema()},
			{"session", sessionSchema()},
			{"owner", ownerSchema("A process that held the session at that moment.", whose.OfOwner)},
			{"peer", ownerSchema("A process that holds the other end, which is on this host too.", whose.OfPeer)},
			{"summary", summarySchema()},
			{"tally", tallySchema()},
			{"gap", gapSchema()},
		}},
	}
	raw, err := marshal(schema)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// described is a schema with its description.
func described(doc string, rest ...member) object {
	return append(object{{"description", doc}}, rest...)
}

// counted is a whole number, 0 or more.
func counted(doc string) object {
	return described(doc, member{"type", "integer"}, member{"minimum", 0})
}

// oneOf is one of some words.
func oneOf(doc string, words []string) object {
	return described(doc, member{"type", "string"}, member{"enum", words})
}

func eventVersion() member {
	return member{"version", object{{"const", whose.EventVersion},
		{"description", "Rises when a key changes its meaning or goes; new keys may come without."}}}
}

// besideSchema returns the schemas of the fields beside the session of an event,
// for the fields of this kind of event.
func besideSchema(has func(*whose.Field) bool) object {
	props := object{eventVersion()}
	for _, o := range eventObjects() {
		var own object
		for i, f := range o.fields {
			if has(f) {
				own = append(own, member{o.keys[i], fieldSchema(f)})
			}
		}
		switch {
		case o.name == "":
			props = append(props, own...)
		case len(own) > 0:
			props = append(props, member{o.name, described("What went that way since the session opened.",
				member{"type", "object"}, member{"properties", own})})
		}
	}
	return props
}

func ofLoss(f *whose.Field) bool { return f.Name == "lost" || f.Name == "cause" || f.Name == "why" }

func eventSchema() object {
	props := besideSchema(func(f *whose.Field) bool { return !ofLoss(f) })
	return object{
		{"type", "object"},
		{"required", []string{"version", "time", "event", "session"}},
		{"properties", append(props, member{"session", ref("session")})},
	}
}

// endWords are the names of the ends, in the order of their numbers.
func endWords() []string { return whose.FieldByName("end").Values }

func lostSchema() object {
	props := besideSchema(func(f *whose.Field) bool { return f.Name == "time" || ofLoss(f) })
	return object{
		{"type", "object"},
		{"description", "Events that were lost. Such a line is always written, whatever was asked for."},
		{"required", []string{"version", "time", "event", "lost"}},
		{"properties", append(props, member{"event", object{{"const", whose.EventLost.String()}}})},
	}
}

// fieldsSchema are the schemas of fields, by their names.
func fieldsSchema(names string) object {
	var props object
	for _, f := range fieldsNamed(names) {
		props = append(props, member{f.Name, fieldSchema(f)})
	}
	return props
}

func tallySchema() object {
	return object{
		{"type", "object"},
		{"required", []string{"out", "in", "failed"}},
		{"properties", append(fieldsSchema("comm reason remote_addr"), object{
			{"out", counted("Sessions opened from here.")},
			{"in", counted("Sessions opened from elsewhere.")},
			{"failed", counted("Connects that failed.")},
			{"stood", counted("Sessions from before that ended, or over which bytes went. Absent: none.")},
			{"sent", counted("Bytes sent since the watch began, over sessions that stand still too. Absent: unknown.")},
			{"received", counted("Bytes received since then. Absent: unknown.")},
			{"uncounted", counted("Sessions of unknown traffic, which sent and received leave out. Absent: none.")},
		}...)},
	}
}

func list(doc string, items object) object {
	return described(doc, member{"type", "array"}, member{"items", items})
}

func summarySchema() object {
	var kinds object
	for _, k := range whose.EventKinds() {
		if k != whose.EventLost {
			kinds = append(kinds, member{k.String(), counted("Events of this kind.")})
		}
	}
	return object{
		{"type", "object"},
		{"required", []string{"version", "summary"}},
		{"properties", object{
			eventVersion(),
			{"summary", object{
				{"type", "object"},
				{"description", "What came to pass: the last line with --summary."},
				{"required", []string{"duration", "events", "partial", "by_process", "by_remote", "failed", "busiest"}},
				{"properties", object{
					{"duration", counted("Microseconds that were watched.")},
					{"source", described("The source by which it was followed: bpf, netlink or snapshot.", member{"type", "string"})},
					{"events", object{{"type", "object"}, {"properties", kinds}}},
					{"partial", gapsSchema()},
					{"beyond", counted("Events that stand in no list, since there was no room to remember yet another process, remote or failure.")},
					{"by_process", list("By the name of the process, most events first.", ref("tally"))},
					{"by_remote", list("By remote address, most events first.", ref("tally"))},
					{"failed", list("Connects that failed, alike ones counted, most first.", failureSchema())},
					{"busiest", list("The sessions with most bytes since the watch began.", loadSchema())},
					{"more_processes", counted("Processes that by_process leaves out.")},
					{"more_remotes", counted("Remote addresses that by_remote leaves out.")},
					{"more_failed", counted("Kinds of failures that failed leaves out.")},
				}},
			}},
		}},
	}
}

func failureSchema() object {
	return object{
		{"type", "object"},
		{"required", []string{"count"}},
		{"properties", append(fieldsSchema("comm reason proto remote_addr remote_port"), object{
			{"end", oneOf("Why it failed.", endWords())},
			{"errno", counted("The kernel's error number.")},
			{"count", counted("How often.")},
		}...)},
	}
}

func loadSchema() object {
	return object{
		{"type", "object"},
		{"required", []string{"sent", "received", "duration"}},
		{"properties", append(fieldsSchema("comm pid reason proto direction local_addr local_port remote_addr remote_port"), object{
			{"sent", counted("Bytes sent since the watch began.")},
			{"received", counted("Bytes received since then.")},
			{"duration", counted("Microseconds that it lasted, as far as it was watched.")},
			{"stood_before", described("The session is from before.", member{"type", "boolean"})},
			{"open", described("The session stands still.", member{"type", "boolean"})},
		}...)},
	}
}
