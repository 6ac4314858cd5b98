package render

import (
	"bytes"
	"encoding/json"

	"github.com/seed-44df2ae6/whose"
)

// EventSchema returns the JSON Schema of a line of whose watch -o jsonl. It is
// made from the table of fields and the names of events. Keys that it does not
// know are allowed: later versions add some.
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
			{"traffic", trafficSchema()},
			{"summary", summarySchema()},
			{"tally", tallySchema()},
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

// described is a schema with what it says.
func described(doc string, rest ...member) object {
	return append(object{{"description", doc}}, rest...)
}

// counted is a whole number that is not negative.
func counted(doc string) object {
	return described(doc, member{"type", "integer"}, member{"minimum", 0})
}

// oneOf is one of some words.
func oneOf(doc string, words []string) object {
	return described(doc, member{"type", "string"}, member{"enum", words})
}

func eventVersion() member {
	return member{"version", object{{"const", EventSchemaVersion},
		{"description", "Rises when a key changes its meaning or goes; new keys may come without."}}}
}

func eventTime() member {
	return member{"time", described("When it happened, by the wall clock, with microseconds, in UTC.",
		member{"type", "string"}, member{"format", "date-time"})}
}

func eventSchema() object {
	var kinds []string
	for _, k := range whose.EventKinds() {
		if k != whose.EventLost {
			kinds = append(kinds, k.String())
		}
	}
	return object{
		{"type", "object"},
		{"required", []string{"version", "time", "event", "session"}},
		{"properties", object{
			eventVersion(), eventTime(),
			{"event", oneOf("What happened: standing (it was there when the watch began), open, close, fail (a connect that did not come about), "+
				"listen, unlisten, bind (of UDP), owned (its owners are others now).", kinds)},
			{"end", oneOf("How it ended, or why the connect failed.", endWords())},
			{"by", oneOf("Who ended it first: the process here, or the other end there.", []string{whose.Here.String(), whose.There.String()})},
			{"errno", counted("The kernel's error number. Left out for none.")},
			{"duration", counted("Microseconds that the session lasted, or that the attempt took.")},
			{"stood_before", described("The session stood before the watch began, so duration is less than the whole. Left out if it did not.", member{"const", true})},
			{"sent", ref("traffic")},
			{"received", ref("traffic")},
			{"session", ref("session")},
		}},
	}
}

// endWords are the names of the ends, in the order of their numbers.
func endWords() []string {
	var words []string
	for e := whose.EndNone + 1; e <= whose.EndError; e++ {
		words = append(words, e.String())
	}
	return words
}

func lostSchema() object {
	return object{
		{"type", "object"},
		{"description", "Events that were lost. Such a line is always written, whatever was asked for."},
		{"required", []string{"version", "time", "event", "lost", "why"}},
		{"properties", object{
			eventVersion(), eventTime(),
			{"event", object{{"const", whose.EventLost.String()}}},
			{"lost", counted("How many.")},
			{"why", described("Where: \"ring buffer full\".", member{"type", "string"})},
		}},
	}
}

func trafficSchema() object {
	return object{
		{"type", "object"},
		{"description", "What went one way since the session opened."},
		{"required", []string{"bytes"}},
		{"properties", object{
			{"bytes", counted("Bytes of payload, those sent again not counted twice.")},
			{"datagrams", counted("Datagrams, of UDP only.")},
		}},
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
		{"required", []string{"out", "in", "failed", "sent", "received"}},
		{"properties", append(fieldsSchema("comm reason remote_addr"), object{
			{"out", counted("Sessions opened from here.")},
			{"in", counted("Sessions opened from elsewhere.")},
			{"failed", counted("Connects that failed.")},
			{"sent", counted("Bytes sent over sessions that ended.")},
			{"received", counted("Bytes received over sessions that ended.")},
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
				{"required", []string{"duration", "events", "lost", "by_process", "by_remote", "failed", "busiest"}},
				{"properties", object{
					{"duration", counted("Microseconds that were watched.")},
					{"source", described("The source by which it was followed: bpf, netlink or snapshot.", member{"type", "string"})},
					{"events", object{{"type", "object"}, {"properties", kinds}}},
					{"lost", counted("Events that were lost.")},
					{"beyond", counted("Events that stand in no list, since there was no room to remember yet another process, remote or failure.")},
					{"by_process", list("By the name of the process, most events first.", ref("tally"))},
					{"by_remote", list("By remote address, most events first.", ref("tally"))},
					{"failed", list("Connects that failed, alike ones counted, most first.", failureSchema())},
					{"busiest", list("The sessions with most bytes of those that ended.", loadSchema())},
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
			{"sent", counted("Bytes sent.")},
			{"received", counted("Bytes received.")},
			{"duration", counted("Microseconds that it lasted.")},
		}...)},
	}
}
