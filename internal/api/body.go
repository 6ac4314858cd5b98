package api

import (
	"net/http"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// The media types of answers.
const (
	typeJSON  = "application/json"
	typeLines = "application/jsonl"
	typeCSV   = "text/csv; charset=utf-8"
	typeTSV   = "text/tab-separated-values; charset=utf-8"
	typeSSE   = "text/event-stream"
)

// contentTypes are those of the formats.
var contentTypes = map[string]string{
	render.JSON: typeJSON, render.JSONL: typeLines, render.CSV: typeCSV, render.TSV: typeTSV, formatSSE: typeSSE,
}

// formatSSE is the format of server-sent events.
const formatSSE = "sse"

// A body is the body of an answer. It knows whether it has begun.
type body struct {
	http.ResponseWriter
	begun bool
}

// Write writes a part of the body.
func (b *body) Write(p []byte) (int, error) {
	b.begun = true
	return b.ResponseWriter.Write(p)
}

// Unwrap returns what is behind it, for [http.ResponseController].
func (b *body) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// start begins an answer in a format. One whose document has no place for the
// coverage has it as a trailer.
func start(w http.ResponseWriter, format string) {
	w.Header().Set("Content-Type", contentTypes[format])
	if format != render.JSON {
		w.Header().Set("Trailer", ask.TrailerCoverage)
	}
}

// finish ends an answer.
func finish(w http.ResponseWriter, format string, cov *whose.Coverage) {
	if format != render.JSON {
		w.Header().Set(ask.TrailerCoverage, string(render.AppendCoverage(nil, cov)))
	}
}
