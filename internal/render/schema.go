package render

import (
	"bytes"
	"encoding/json"

	"github.com/seed-44df2ae6/whose"
)

// An object is a JSON object with ordered keys.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			out = append(out, ',')
		}
		value, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		out = append(appendJSONString(out, m.key), ':')
		out = append(out, value...)
	}
	return append(out, '}'), nil
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// Schema returns the JSON Schema of the format JSON. A line of JSONL is its
// "session". It is made from the table of fields. It allows unknown keys: later
// versions add some.
func Schema() ([]byte, error) {
	schema := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "https://github.com/seed-44df2ae6/whose/docs/schema/whose-v1.schema.json"},
		{"title", "whose -o json"},
		{"description", "TCP and UDP sessions of a host with the processes that own them. " +
			"What is not known, does not apply or was not asked for is left out. With -o jsonl each line is one session, as in $defs/session. " +
			"What whose count -o json writes is $defs/count."},
		{"type", "object"},
		{"required", []string{"version", "sessions"}},
		{"properties", object{
			{"version", object{{"const", SchemaVersion}, {"description", "Rises when a key changes its meaning or goes; new keys may come without."}}},
			{"sessions", object{{"type", "array"}, {"items", ref("session")}}},
			{"coverage", ref("coverage")},
		}},
		{"$defs", object{
			{"session", sessionSchema()},
			{"owner", ownerSchema("A process that holds the session. For a connection still in the accept queue (reason accept-queue): "+
				"an owner of its listener, with no descriptors of it.", whose.OfOwner)},
			{"peer", ownerSchema("A process that holds the other end, which is on this host too.", whose.OfPeer)},
			{"coverage", coverageSchema()},
			{"gap", gapSchema()},
			{"count", countSchema()},
			{"group", groupSchema()},
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

func ref(name string) object { return object{{"$ref", "#/$defs/" + name}} }

func sessionSchema() object {
	var props object
	for _, f := range whose.Fields() {
		if f.Of == whose.OfSession {
			props = append(props, member{f.JSONKey(), fieldSchema(f)})
		}
	}
	props = append(props,
		member{"owners", object{{"type", "array"}, {"items", ref("owner")},
			{"description", "All processes that hold the session, by process id; empty where nobody does, see reason."}}},
		member{"peer", object{{"type", "array"}, {"items", ref("peer")}, {"minItems", 1},
			{"description", "The owners of the other end, where that is on this host."}}})
	for _, of := range []whose.Group{whose.OfTCP, whose.OfLife} {
		for _, f := range fieldsOf(whose.Fields(), of) {
			props = append(props, member{f.JSONKey(), fieldSchema(f)})
		}
	}
	return object{{"type", "object"}, {"properties", props}}
}

func ownerSchema(doc string, group whose.Group) object {
	var props object
	for _, f := range fieldsOf(whose.Fields(), group) {
		props = append(props, member{f.JSONKey(), fieldSchema(f)})
	}
	return object{{"type", "object"}, {"description", doc}, {"properties", props}}
}

// fieldSchema describes a field's values.
func fieldSchema(f *whose.Field) object {
	s := object{{"description", f.Doc}}
	if f.Unit != "" {
		s[0].value = f.Doc + " In " + f.Unit + "."
	}
	switch f.Kind {
	case whose.KindName:
		return append(s, member{"type", "string"}, member{"enum", f.Values})
	case whose.KindText, whose.KindAddr:
		return append(s, member{"type", "string"})
	case whose.KindHex:
		return append(s, member{"type", "string"}, member{"pattern", "^[0-9a-f]{16}$"})
	case whose.KindTime, whose.KindInstant:
		return append(s, member{"type", "string"}, member{"format", "date-time"})
	case whose.KindBool:
		return append(s, member{"type", "boolean"})
	case whose.KindNumbers:
		return append(s, member{"type", "array"}, member{"items", object{{"type", "integer"}}})
	case whose.KindPort:
		return append(s, member{"type", "integer"}, member{"minimum", 0}, member{"maximum", 65535})
	}
	return append(s, member{"type", "integer"}, member{"minimum", 0})
}

func coverageSchema() object {
	count := func(doc string) object {
		return object{{"description", doc}, {"type", "integer"}, {"minimum", 0}}
	}
	reasons := whose.FieldByName("reason").Values
	return object{
		{"type", "object"},
		{"description", "What was seen, what was not, and why."},
		{"required", []string{"source", "pinned", "sessions", "processes", "namespaces", "partial", "duration"}},
		{"properties", object{
			{"source", object{{"description", "The source that answered: bpf, netlink or procfs."}, {"type", "string"}}},
			{"pinned", object{{"description", "Whether it answered through a pinned iterator."}, {"type", "boolean"}}},
			{"sessions", count("Sessions of the answer.")},
			{"owned", count("Sessions with owners. Left out where owners were not asked for.")},
			{"ownerless", object{
				{"description", "Sessions without owners, by reason. Left out where owners were not asked for."},
				{"type", "object"},
				{"propertyNames", object{{"enum", reasons}}},
				{"additionalProperties", object{{"type", "integer"}, {"minimum", 1}}},
			}},
			{"processes", count("Processes whose descriptors were looked into.")},
			{"namespaces", count("Network namespaces that were looked into.")},
			{"partial", gapsSchema()},
			{"duration", count("Microseconds that the collection took.")},
		}},
	}
}

// countSchema is the schema of [Counts] as JSON.
func countSchema() object {
	return object{
		{"type", "object"},
		{"description", "Sessions counted by the values of some fields. With -o jsonl each line is one group."},
		{"required", []string{"version", "by", "groups", "total"}},
		{"properties", object{
			{"version", object{{"const", SchemaVersion}}},
			{"by", object{{"description", "The fields that the groups were made by."}, {"type", "array"}, {"items", object{{"type", "string"}}}}},
			{"groups", object{{"type", "array"}, {"items", ref("group")}}},
			{"total", object{{"description", "All sessions, each counted once."}, {"type", "integer"}, {"minimum", 0}}},
			{"coverage", ref("coverage")},
		}},
	}
}

// groupSchema is the schema of one group. Its keys are the fields' unique names.
func groupSchema() object {
	var props object
	for _, f := range whose.Fields() {
		props = append(props, member{f.Name, fieldSchema(f)})
	}
	props = append(props, member{"count", object{{"description", "Sessions in the group."}, {"type", "integer"}, {"minimum", 1}}})
	return object{{"type", "object"}, {"required", []string{"count"}}, {"properties", props}}
}

// gapsSchema is the schema of the gaps, the same in every output.
func gapsSchema() object {
	return object{
		{"description", "What could not be seen. Empty: the answer is whole."},
		{"type", "array"}, {"items", ref("gap")},
	}
}

func gapSchema() object {
	text := func(doc string) object { return object{{"description", doc}, {"type", "string"}} }
	return object{
		{"type", "object"},
		{"required", []string{"kind", "cause", "why"}},
		{"properties", object{
			{"kind", object{{"description", "What kind of thing could not be seen."}, {"enum", whose.GapKinds()}}},
			{"cause", object{{"description", "What kind of reason there is."}, {"enum", whose.Causes()}}},
			{"count", object{{"description", "How many; left out where nobody can know."}, {"type", "integer"}, {"minimum", 1}}},
			{"detail", text("What the operation itself said. Left out where the cause says all.")},
			{"why", text("All of it in a sentence.")},
			{"hint", text("What can be done about it.")},
			{"from", text("Of the past: since when it is missing, in UTC. Absent: since the beginning.")},
			{"to", text("Of the past: until when it is missing, in UTC. Absent: to the end.")},
		}},
	}
}
