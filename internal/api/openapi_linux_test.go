package api

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/ask"
)

var update = flag.Bool("update", false, "write the generated page")

const openAPIPage = "../../docs/schema/whose-api-v1.openapi.json"

func TestOpenAPI_Fresh(t *testing.T) {
	got, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(openAPIPage, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(openAPIPage)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is stale (%v): go test ./internal/api -run Fresh -update", openAPIPage, err)
	}
}

// Each path of the server is described, with all parameters that it takes.
func TestOpenAPI_Complete(t *testing.T) {
	for _, e := range endpoints() {
		for _, name := range e.params {
			if schema := paramSchema(name, &e); schema == nil || schema["description"] == "" {
				t.Errorf("%s: parameter %s is not described", e.path, name)
			}
		}
	}
}

// described compiles the schemas of the description.
type described struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
}

func describe(t *testing.T, text string) *described {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := &described{doc.(map[string]any), jsonschema.NewCompiler()}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := d.compiler.AddResource("api.json", doc); err != nil {
		t.Fatal(err)
	}
	return d
}

// schema compiles the schema of the answer of a path.
func (d *described) schema(t *testing.T, path, media string) *jsonschema.Schema {
	t.Helper()
	at := "api.json#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/get/responses/200/content/" + strings.ReplaceAll(media, "/", "~1") + "/schema"
	s, err := d.compiler.Compile(at)
	if err != nil {
		t.Fatalf("%s %s: %v", path, media, err)
	}
	return s
}

// Real answers are as the description says.
func TestOpenAPI_Answers(t *testing.T) {
	s := serveTable(t, someSessions(), &agent.Viewer{All: true, NetNS: hostNetNS})
	status, text := s.get(t, ask.PathOpenAPI)
	if status != http.StatusOK {
		t.Fatal(status, text)
	}
	d := describe(t, text)
	check := func(schema *jsonschema.Schema, target, text string) {
		t.Helper()
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v\n%s", target, err, text)
		}
	}
	for _, target := range []string{
		ask.PathSessions, ask.PathSessions + "?fields=%2Bcmdline&sort=pid&limit=2", ask.PathCount, ask.PathCount + "?by=comm,remote_addr&top=1",
		ask.PathCoverage, ask.PathHealth, ask.PathVersion, ask.PathOpenAPI,
	} {
		status, text := s.get(t, target)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", target, status, text)
			continue
		}
		path, _, _ := strings.Cut(target, "?")
		check(d.schema(t, path, typeJSON), target, text)
	}
	for _, path := range []string{ask.PathSessions, ask.PathCount} {
		status, text := s.get(t, path+"?output=jsonl")
		if status != http.StatusOK || strings.TrimSpace(text) == "" {
			t.Fatalf("%s: %d %q", path, status, text)
		}
		for line := range strings.Lines(text) {
			check(d.schema(t, path, typeLines), path+" as lines", line)
		}
	}
	status, text = s.get(t, ask.PathEvents+"?initial=true")
	if status != http.StatusOK || strings.TrimSpace(text) == "" {
		t.Fatalf("events: %d %q", status, text)
	}
	for line := range strings.Lines(text) {
		check(d.schema(t, ask.PathEvents, typeLines), "events", line)
	}
	refused, err := d.compiler.Compile("api.json#/components/schemas/Error")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{ask.PathSessions + "?filter=%28", ask.PathCount + "?by=nothing", ask.PathHealth + "?x=1", "/v1/none"} {
		status, text := s.get(t, target)
		if status/100 != 4 {
			t.Errorf("%s: %d %s", target, status, text)
		}
		check(refused, target, text)
	}
}
