package zabbix

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

const schemaPath = "../../docs/schema/whose-zabbix-v1.schema.json"

// strictSchema compiles the published schema so that it also refuses keys that
// it does not describe. Readers get it without, since new keys may come.
func strictSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(tree)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("strict.json", tree); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("strict.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeObjects(node any) {
	switch v := node.(type) {
	case map[string]any:
		if _, has := v["properties"]; has && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, child := range v {
			closeObjects(child)
		}
	case []any:
		for _, child := range v {
			closeObjects(child)
		}
	}
}

// TestSchema holds documents of every kind against the published schema: with
// all keys, with nothing, cut short, and cut down to a size.
func TestSchema(t *testing.T) {
	schema := strictSchema(t)
	late := documentOf(t, usual(), hostOf())
	late.CutShort()
	o := usual()
	o.Ephemeral = true
	busiest := tally.NewHost(usual().HostOptions)
	for s := range busy(2000) {
		busiest.Add(s)
	}
	for name, d := range map[string]*Document{
		"whole":     documentOf(t, usual(), hostOf()),
		"ephemeral": documentOf(t, o, hostOf()),
		"empty":     documentOf(t, usual(), nil),
		"late":      late,
		"failed":    Failed("1.2.3", whose.Gap{Kind: whose.GapAnswer, Cause: whose.CauseFailed, Detail: "open procfs: no such file or directory"}),
		"cut":       NewDocument(busiest.Count(), &whose.Coverage{Source: "netlink"}, usual().Options),
	} {
		t.Run(name, func(t *testing.T) {
			text, err := d.Encode(20_000, false)
			if err != nil {
				t.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
			if name == "cut" && d.Truncated == 0 {
				t.Error("nothing was cut")
			}
		})
	}
}

// TestSchema_Refuses shows that the schema can fail.
func TestSchema_Refuses(t *testing.T) {
	schema := strictSchema(t)
	text, err := documentOf(t, usual(), hostOf()).Encode(0, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"another schema": {Schema, "whose-zabbix-v2"},
		"a new key":      {`"in":`, `"inward":`},
		"a bad id":       {`"{#WHOSE.ID}":"`, `"{#WHOSE.ID}":"x`},
		"a text":         {`"sessions":22`, `"sessions":"22"`},
	} {
		var value any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), change[0], change[1])), &value); err != nil {
			t.Fatal(err)
		}
		if schema.Validate(value) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
