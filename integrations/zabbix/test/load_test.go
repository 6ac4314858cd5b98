//go:build zabbix

package zabbixtest

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// How large the document of TestLoad is, and how many of them are measured.
const (
	loadListeners = 1000
	loadProcesses = 200
	loadCycles    = 10
)

// TestLoad sends the document of a large host by zabbix_sender and measures
// what the server spends on it.
func TestLoad(t *testing.T) {
	r := newRig(t)
	opts := zabbix.TemplateOptions{Trapper: true}
	source, err := zabbix.Template(r.version(), opts)
	must(t, err)
	must(t, r.api.importTemplate(source))
	const name = "whose-load"
	host := r.addHost(t, name, zabbix.TemplateName(opts), nil)
	t.Cleanup(func() { r.dropHost(t, name) })

	r.deliver(t, name, largeDocument(0), "discovered rows", func() error {
		items, err := r.api.items(host)
		if err != nil {
			return err
		}
		rows := 0
		for key := range items {
			if strings.HasPrefix(key, "whose.listener.sockets[") || strings.HasPrefix(key, "whose.process.sessions[") {
				rows++
			}
		}
		if rows != loadListeners+loadProcesses {
			return fmt.Errorf("%d rows, want %d", rows, loadListeners+loadProcesses)
		}
		return nil
	})
	last, err := r.api.items(host)
	must(t, err)
	t.Logf("%d items", len(last))

	// Until the server knows the new items by their first values, it costs more.
	r.cycle(t, name, host, 0)
	before, sent := r.spent(t), 0
	for n := range loadCycles {
		sent += r.cycle(t, name, host, n+1)
	}
	after := r.spent(t)
	per := func(kind string) time.Duration { return (after[kind] - before[kind]) / time.Duration(sent) }
	t.Logf("a document of %d listeners and %d processes: %v preprocessing and %v discovery of the server's CPU time, in the mean of %d",
		loadListeners, loadProcesses, per("preprocessing"), per("lld"), sent)
	r.cutShort(t, name, host)
	r.oneMore(t, name, host)
}

// cycle delivers the document of a cycle, and returns how often that was sent.
func (r *rig) cycle(t *testing.T, name, host string, n int) int {
	t.Helper()
	doc := largeDocument(n)
	return r.deliver(t, name, doc, fmt.Sprintf("values of cycle %d", n), func() error {
		return r.holds(host, map[string]string{
			"whose.sessions":  strconv.Itoa(doc.Totals.Sessions),
			lastListener(doc): strconv.Itoa(n),
		})
	})
}

// cutShort wants that a document whose time ran out changes no row, and that a
// row that a whole document does not have reads 0.
func (r *rig) cutShort(t *testing.T, name, host string) {
	doc := largeDocument(loadCycles)
	key := lastListener(doc)
	doc.Totals.Sessions = 1
	doc.Complete, doc.Discovery, doc.Absent = false, zabbix.Discovery{}, nil
	doc.Listeners, doc.Processes = map[string]zabbix.Listener{}, map[string]zabbix.Process{}
	r.deliver(t, name, doc, "a document cut short", func() error {
		return r.holds(host, map[string]string{"whose.sessions": "1", key: strconv.Itoa(loadCycles)})
	})

	doc = largeDocument(loadCycles)
	delete(doc.Listeners, doc.Discovery.Listeners[loadListeners-1].ID)
	r.deliver(t, name, doc, "a row that the document has no more", func() error {
		return r.holds(host, map[string]string{key: "0"})
	})
}

// oneMore measures what discovery costs when a listener comes to so many.
func (r *rig) oneMore(t *testing.T, name, host string) {
	doc := largeDocument(loadCycles)
	row, id := doc.Discovery.Listeners[0], "ffffffffffff"
	row.ID, row.Port = id, "443"
	doc.Discovery.Listeners = append(doc.Discovery.Listeners, row)
	doc.Listeners[id] = zabbix.Listener{Sockets: 7}
	before := r.spent(t)
	sent := r.deliver(t, name, doc, "the value of one more listener", func() error {
		return r.holds(host, map[string]string{fmt.Sprintf("whose.listener.sockets[%q]", id): "7"})
	})
	t.Logf("one more listener: %v discovery of the server's CPU time, with the document sent %d times", r.spent(t)["lld"]-before["lld"], sent)
}

// largeDocument makes a document whose rows stay and whose counts follow cycle.
func largeDocument(cycle int) *zabbix.Document {
	d := &zabbix.Document{
		Schema: zabbix.Schema, Version: "load", Source: "bpf", Pinned: true, Duration: 0.1, Complete: true, Gaps: whose.Gaps{},
		Totals:    zabbix.Totals{Sessions: 100000 + cycle, TCP: map[string]int{}, UDP: map[string]int{}, Listeners: loadListeners, Processes: loadProcesses},
		Coverage:  zabbix.Coverage{Owned: 100000, Reasons: map[string]int{}},
		Absent:    new(zabbix.Absent),
		Listeners: map[string]zabbix.Listener{}, Processes: map[string]zabbix.Process{},
	}
	limit, used := uint64(4096), float64(cycle)
	for n := range loadListeners {
		id := fmt.Sprintf("%012x", n)
		d.Discovery.Listeners = append(d.Discovery.Listeners, zabbix.ListenerRow{
			ID: id, Proto: "tcp", Addr: "192.0.2.1", Port: strconv.Itoa(1000 + n), Process: "service-" + strconv.Itoa(n%loadProcesses),
			User: "service", Unit: fmt.Sprintf("service-%d.service", n%loadProcesses), Ephemeral: "0",
		})
		d.Listeners[id] = zabbix.Listener{Sockets: 1, Holders: "service", Established: cycle, QueueLimit: &limit, QueueUsed: &used, RemoteHosts: cycle}
	}
	for n := range loadProcesses {
		id := fmt.Sprintf("%012x", loadListeners+n)
		d.Discovery.Processes = append(d.Discovery.Processes, zabbix.ProcessRow{
			ID: id, Process: "service-" + strconv.Itoa(n), User: "service", Unit: fmt.Sprintf("service-%d.service", n),
		})
		d.Processes[id] = zabbix.Process{Processes: 1, Sessions: 500 + cycle, Established: 400 + cycle, In: 400 + cycle, RemoteHosts: 100 + cycle}
	}
	return d
}

// lastListener is the key of a value that follows the cycle.
func lastListener(d *zabbix.Document) string {
	return fmt.Sprintf("whose.listener.established[%q]", d.Discovery.Listeners[loadListeners-1].ID)
}

// resend is how long a document has to arrive before it is sent again.
const resend = 3 * time.Second

// deliver sends the server a document until check has no error any more, and
// returns how often. Once is not enough: until the server's cache has an item,
// it drops the item's values without a word.
func (r *rig) deliver(t *testing.T, host string, doc *zabbix.Document, what string, check func() error) (sent int) {
	t.Helper()
	var last time.Time
	eventually(t, what, func() error {
		if time.Since(last) >= resend {
			if err := r.send(host, doc); err != nil {
				return err
			}
			sent, last = sent+1, time.Now()
		}
		return check()
	})
	return sent
}

// send gives the server a document as whose zabbix send writes it, for deliver.
func (r *rig) send(host string, doc *zabbix.Document) error {
	text, err := doc.Encode(0, false)
	if err != nil {
		return err
	}
	path := filepath.Join(r.state, "lines")
	if err := os.WriteFile(path, zabbix.AppendLine(nil, host, zabbix.DocumentKey, string(text)), 0o644); err != nil {
		return err
	}
	out, err := exec.Command("zabbix_sender", "-z", "127.0.0.1", "-p", r.env["ZBX_SERVER_PORT"], "-i", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("zabbix_sender: %w\n%s", err, out)
	}
	return nil
}

// holds wants that items of a host have these values, by their keys.
func (r *rig) holds(host string, want map[string]string) error {
	keys := slices.Collect(maps.Keys(want))
	var found []item
	err := r.api.call("item.get", object{"hostids": host, "filter": object{"key_": keys}, "output": []string{"key_", "lastvalue"}}, &found)
	if err != nil {
		return err
	}
	got := map[string]string{}
	for _, i := range found {
		got[i.Key] = i.Value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("(-want +got):\n%s", diff)
	}
	return nil
}

// spent returns the CPU time that the server's processes have spent, by the
// first word of what they are.
func (r *rig) spent(t *testing.T) map[string]time.Duration {
	t.Helper()
	server := strconv.Itoa(r.pid(t, "server"))
	sum := map[string]time.Duration{}
	tasks, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	must(t, err)
	for _, task := range tasks {
		stat := strings.Join(readLines(filepath.Join(task, "stat")), " ")
		rest := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
		if len(rest) < 2 || rest[1] != server {
			continue
		}
		title, err := os.ReadFile(filepath.Join(task, "cmdline"))
		if err != nil {
			continue
		}
		_, what, _ := strings.Cut(string(title), ": ")
		kind, _, _ := strings.Cut(what, " ")
		usage := readLines(filepath.Join(task, "schedstat"))
		if len(usage) == 0 {
			continue
		}
		ns, err := strconv.ParseInt(strings.Fields(usage[0])[0], 10, 64)
		must(t, err)
		sum[kind] += time.Duration(ns)
	}
	if sum["preprocessing"] == 0 || sum["lld"] == 0 {
		t.Fatalf("no CPU time of the server's processes is known: %v", sum)
	}
	return sum
}
