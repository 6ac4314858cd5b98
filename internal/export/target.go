package export

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/seed-44df2ae6/whose/internal/remote"
)

// Open returns the sink of a target: clickhouse+https://HOST[:PORT][/DATABASE] with what
// it takes to be believed there, or file:/DIR. agent is the name by which we introduce
// ourselves. Nothing is sent yet.
func Open(t remote.Target, agent string) (Sink, error) {
	kind, place, _ := strings.Cut(t.URL, ":")
	kind, scheme, over := strings.Cut(kind, "+")
	switch {
	case kind == "file" && !over:
		return openFile(strings.TrimPrefix(place, "//"))
	case kind == "clickhouse" && over:
		t.URL = scheme + ":" + place
		server, err := t.Open(agent)
		if err != nil {
			return nil, err
		}
		return newClickHouse(server)
	}
	return nil, fmt.Errorf("want clickhouse+https://HOST or file:/DIR, got a URL that begins with %q", kind)
}

// openFile returns the sink of a folder.
func openFile(path string) (Sink, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("want file:/DIR with an absolute path, got %q", path)
	}
	return &fileSink{filepath.Clean(path)}, nil
}
