package api

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A node is a piece of the description. Its keys are written in alphabetic order.
type node = map[string]any

// OpenAPI returns the description of the API as an OpenAPI 3.1 document: the paths and
// parameters of the server's own table, the answers by the schemas of the command, which
// are made of the table of fields.
func OpenAPI() ([]byte, error) {
	listing, err := render.Schema()
	if err != nil {
		return nil, err
	}
	event, err := render.EventSchema()
	if err != nil {
		return nil, err
	}
	paths := node{}
	for _, e := range endpoints() {
		paths[e.path] = node{"get": e.describe(listing)}
	}
	doc := node{
		"openapi": "3.1.0",
		"info": node{
			"title":       "whose agent",
			"version":     "1",
			"description": "What an agent knows of the sessions of its host. All of it reads. A mistake of the asker is answered with status 400 and the message of the command. Keys that are not known have no value; new ones may come without another version.",
			"license":     node{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []node{{"url": "http://localhost", "description": "over the Unix socket /run/whose/agent.sock, or at the address of --listen"}},
		"paths":   paths,
		"components": node{
			"securitySchemes": node{"token": node{"type": "http", "scheme": "bearer", "description": "The token of --listen. At the Unix socket the kernel says who asks."}},
			"schemas": node{
				"Listing":  json.RawMessage(listing),
				"Event":    json.RawMessage(event),
				"Coverage": documentOf("The coverage of an answer.", node{"version": integer("The version of the listing's schema."), "coverage": within(listing, "coverage")}, "version", "coverage"),
				"Error": documentOf("A refusal.", node{
					"error": text("The operation, the thing and the cause."), "hint": text("Something to do about it."),
					"offset": integer("The place of a mistake in the filter, in bytes."),
				}, "error"),
				"Health":  healthSchema(),
				"History": node{"type": "object", "description": "The span, the size and the gaps of the history, as whose history -o json writes them."},
				"Version": node{"type": "object", "description": "The program, as whose version -o json describes it."},
			},
		},
		"security": []node{{}, {"token": []string{}}},
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	return append(out, '\n'), err
}

func text(doc string) node    { return node{"type": "string", "description": doc} }
func integer(doc string) node { return node{"type": "integer", "minimum": 0, "description": doc} }
func boolean(doc string) node { return node{"type": "boolean", "description": doc} }

// component refers to a schema of the document, within to a part of one.
func component(name string) node { return node{"$ref": "#/components/schemas/" + name} }

// within refers to a part of a schema with an identity of its own.
func within(schema []byte, part string) node {
	var head struct {
		ID string `json:"$id"`
	}
	_ = json.Unmarshal(schema, &head) // it was just made
	return node{"$ref": head.ID + "#/$defs/" + part}
}

func documentOf(doc string, properties node, required ...string) node {
	return node{"type": "object", "description": doc, "properties": properties, "required": required}
}

func healthSchema() node {
	return documentOf("The state of an agent.", node{
		"status": node{"enum": []string{statusOK, statusEnded}, "description": "ended: the agent follows sessions no more, and the status of the answer is 503."},
		"source": text("The way in which sessions are followed."), "why": text("The reason for no better one."),
		"partial": node{"type": "array", "description": "The missing parts of all answers about now."},
		"since":   node{"type": "string", "format": "date-time", "description": "The start of the agent."}, "sessions": integer("Sessions in the live table."),
		"processes": integer("Processes in the live table."), "events": integer("Events since the start."),
		"lost": integer("Events that were lost since the start."), "seq": integer("The number of the latest event."),
		"history": boolean("A history is kept."), "streams": integer("Streams of events at this moment."),
	}, "status", "source", "partial", "since", "sessions", "processes", "events", "lost", "seq", "history", "streams")
}

// describe describes the operation of a path.
func (e *endpoint) describe(listing []byte) node {
	op := node{
		"operationId": strings.TrimSuffix(strings.TrimPrefix(e.path, "/v1/"), ".json"),
		"summary":     e.summary,
		"responses": node{
			"200":     node{"description": "the answer", "content": e.answers(listing)},
			"400":     refusal("a mistake in the parameters"),
			"403":     refusal("the asker may not ask"),
			"503":     refusal("too many questions at once, or the answer took too long"),
			"default": refusal("a failure"),
		},
	}
	if len(e.params) > 0 {
		var params []node
		for _, name := range e.params {
			schema := paramSchema(name, e)
			params = append(params, node{"name": name, "in": "query", "description": schema["description"], "schema": schema})
		}
		op["parameters"] = params
	}
	return op
}

func refusal(doc string) node {
	return node{"description": doc, "content": node{typeJSON: node{"schema": component("Error")}}}
}

// answers are the kinds of documents of a path, with their schemas.
func (e *endpoint) answers(listing []byte) node {
	lines := func(schema node) node {
		return node{"schema": schema, "x-lines": "each line is such an object"}
	}
	plain := node{"schema": node{"type": "string"}}
	switch e.path {
	case ask.PathSessions:
		return node{
			typeJSON: node{"schema": component("Listing")}, typeLines: lines(within(listing, "session")),
			typeCSV: plain, typeTSV: plain,
		}
	case ask.PathCount:
		return node{
			typeJSON: node{"schema": within(listing, "count")}, typeLines: lines(within(listing, "group")),
			typeCSV: plain, typeTSV: plain,
		}
	case ask.PathEvents:
		return node{typeLines: lines(component("Event")), typeSSE: lines(component("Event"))}
	case ask.PathCoverage:
		return node{typeJSON: node{"schema": component("Coverage")}}
	case ask.PathHistory:
		return node{typeJSON: node{"schema": component("History")}}
	case ask.PathHealth:
		return node{typeJSON: node{"schema": component("Health")}}
	case ask.PathVersion:
		return node{typeJSON: node{"schema": component("Version")}}
	}
	return node{typeJSON: node{"schema": node{"type": "object"}}}
}

// paramSchema describes a parameter; nil for one that nobody described, which a test
// does not let pass.
func paramSchema(name string, e *endpoint) node {
	formats := sessionFormats
	if e.path == ask.PathEvents {
		formats = eventFormats
	}
	names := func(doc string) node { return node{"type": "string", "description": doc, "maxLength": mostText} }
	values := func(field, doc string) node {
		return names(doc + ": a list of " + strings.Join(whose.FieldByName(field).Values, ", ") + ", parted by commas.")
	}
	count := func(doc string) node {
		return node{"type": "integer", "minimum": 0, "maximum": mostRows, "description": doc}
	}
	switch name {
	case ask.ParamFilter:
		return names("An expression of the filter language.")
	case ask.ParamProto:
		return values("proto", "Protocols")
	case ask.ParamFamily:
		return values("family", "Families of addresses")
	case ask.ParamState:
		return values("state", "States, or all")
	case ask.ParamNetNS:
		return names("A network namespace: self, all, its number or its name.")
	case ask.ParamSelf:
		return integer("The number of the asker's own network namespace, for self.")
	case ask.ParamAt:
		return names("A moment: 03:12, yesterday 14:00, -1h, or a time of RFC 3339.")
	case ask.ParamFrom:
		return names("The beginning of a span of time.")
	case ask.ParamTo:
		return names("The end of a span of time; now by default.")
	case ask.ParamUTC:
		return boolean("Times without a zone are in UTC.")
	case ask.ParamFields:
		return names("Fields to show, parted by commas; with a plus before the first, beside the usual ones.")
	case ask.ParamSort:
		return names("Fields to order by, each with a minus before it for the largest first.")
	case ask.ParamLimit:
		return count("At most so many sessions; 0 for all.")
	case ask.ParamBy:
		return names("Fields to count by, parted by commas.")
	case ask.ParamSum:
		return names("Fields to add up, parted by commas.")
	case ask.ParamTop:
		return count("The largest groups alone; 0 for all.")
	case ask.ParamPer:
		return names("A row for each step of this length of a span of time, such as 1h.")
	case ask.ParamEvents:
		return names("Kinds of events, parted by commas.")
	case ask.ParamAfter:
		return integer("The number of the last event that is known: the stream goes on after it.")
	case ask.ParamFollow:
		return boolean("The stream goes on with the events that come.")
	case ask.ParamInitial:
		return boolean("The standing sessions come first.")
	case ask.ParamOutput:
		return node{"type": "string", "enum": formats, "default": formats[0], "description": "The format of the answer."}
	}
	return nil
}

func (s *Server) openAPI(w http.ResponseWriter, _ *request) error {
	doc, err := OpenAPI()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", typeJSON)
	_, err = w.Write(doc)
	return err
}
