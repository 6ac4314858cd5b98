package export

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose/internal/remote"
)

// The table into which every agent writes, and the database where the URL has none.
const (
	inTable   = "whose_in"
	defaultDB = "whose"
)

// A clickHouse is ClickHouse's HTTP interface.
type clickHouse struct {
	server *remote.Server
	query  string
}

func newClickHouse(server *remote.Server) (*clickHouse, error) {
	db := cmp.Or(strings.Trim(server.URL.Path, "/"), defaultDB)
	if !remote.PlainName(db) {
		return nil, fmt.Errorf("want the name of a database of letters, digits and _ after the host, got %q", db)
	}
	server.URL.Path = "/"
	return &clickHouse{server, "INSERT INTO " + db + "." + inTable + " FORMAT JSONEachRow"}, nil
}

func (c *clickHouse) String() string { return "ClickHouse at " + c.server.URL.Host }

// Send inserts the lines. The server leaves out what it has by the token, and what it
// has no column for.
func (c *clickHouse) Send(ctx context.Context, batch []byte, token string) error {
	params := url.Values{}
	for name, value := range map[string]string{
		"query": c.query, "insert_deduplication_token": token,
		"deduplicate_blocks_in_dependent_materialized_views":   "1",
		"input_format_skip_unknown_fields":                     "1",
		"input_format_json_ignore_unknown_keys_in_named_tuple": "1",
		"date_time_input_format":                               "best_effort",
	} {
		params.Set(name, value)
	}
	res, err := c.server.Post(ctx, &remote.Request{Query: params, Body: batch, Type: "application/x-ndjson", Encoding: "zstd"})
	if err != nil {
		return err
	}
	code, _ := strconv.Atoi(res.Header.Get("X-ClickHouse-Exception-Code"))
	if res.StatusCode == http.StatusOK && code == 0 {
		remote.Drain(res)
		return nil
	}
	bad := remote.ErrorOf(res)
	if bad.Code == http.StatusRequestEntityTooLarge ||
		bad.Code == http.StatusBadRequest && code != 0 && !slices.Contains(ownFaults, code) {
		return &RejectedError{bad}
	}
	return bad
}

// ownFaults are the codes of ClickHouse that say nothing of the batch: a missing table,
// column or database, a setting, rights, credentials.
var ownFaults = []int{16, 47, 60, 62, 81, 115, 164, 192, 193, 194, 452, 497, 516}
