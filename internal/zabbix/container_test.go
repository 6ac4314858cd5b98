package zabbix

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-44df2ae6/whose"
)

// TestContainerNames wants the names of containers in the rows of discovery, as far as
// they are known and no user may have made them up, and namespaces by them.
func TestContainerNames(t *testing.T) {
	web := process(7, "web", "", "root")
	web.Container, web.ContainerName, web.Image, web.PodName, web.PodNamespace = "aaaaaaaaaaaa", "api", "api:1", "api-0", "shop"
	db := process(8, "db", "", "root")
	db.Container, db.ContainerName = "bbbbbbbbbbbb", "shop-db"
	mine := process(9, "mine", "", "alice")
	mine.Container, mine.ContainerName = whose.ByUser+"cccccccccccc", whose.ByUser+"api"
	plain := process(10, "plain", "", "root")
	at := func(s whose.Session, inode uint32, name string) whose.Session {
		s.NetNS, s.NetNSName = inode, name
		return s
	}
	sessions := []whose.Session{
		at(tcp(whose.Listen, "0.0.0.0:80", "", web), 101, "api-0"),
		at(tcp(whose.Listen, "0.0.0.0:81", "", db), 102, "shop-db"),
		at(tcp(whose.Listen, "0.0.0.0:82", "", mine), 103, whose.ByUser+"api"),
		at(tcp(whose.Listen, "0.0.0.0:83", "", plain), 104, "process/plain"),
	}
	d := documentOf(t, usual(), sessions)
	for port, want := range map[string]struct {
		netns string
		names ContainerNames
	}{
		"80": {"api-0", ContainerNames{"api", "api:1", "api-0", "shop"}},
		"81": {"shop-db", ContainerNames{Name: "shop-db"}},
		"82": {"103", ContainerNames{}},
		"83": {"104", ContainerNames{}},
	} {
		row, _ := rowAt(t, d, "0.0.0.0", port, want.netns)
		if row.ContainerNames != want.names {
			t.Errorf("port %s: %+v, want %+v", port, row.ContainerNames, want.names)
		}
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := strictSchema(t).Validate(value); err != nil {
		t.Error(err)
	}
	for _, row := range d.Discovery.Processes {
		text, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		named := strings.Contains(string(text), "{#WHOSE.CONTAINER_NAME}")
		if want := row.Process == "web" || row.Process == "db"; named != want {
			t.Errorf("%s", text)
		}
	}
}
