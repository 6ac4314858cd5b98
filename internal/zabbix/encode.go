package zabbix

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose/internal/tally"
)

// MaxSize is the greatest size of a document in bytes: agents before 6.0.22 cut
// the output of a UserParameter at 512 KiB. It leaves some room for their
// additions.
const MaxSize = 512<<10 - 8<<10

// Encode returns the document as JSON on one line, or with indent on many, at
// most limit bytes long (0: no limit). To fit, it removes listeners and
// processes from d, each with its row of discovery and its values together. Every
// user has a share of the room; those of root stay first, then TCP before UDP and
// those with most sessions.
func (d *Document) Encode(limit int, indent bool) ([]byte, error) {
	text, err := encode(d, indent)
	if err != nil || limit <= 0 || len(text) <= limit {
		return text, err
	}
	if err := d.shrink(limit, indent); err != nil {
		return nil, err
	}
	return encode(d, indent)
}

// EncodeRows returns rows of discovery as a bare array, as Encode does.
func EncodeRows[R ListenerRow | ProcessRow](rows []R, indent bool) ([]byte, error) {
	if rows == nil {
		rows = []R{}
	}
	return encode(rows, indent)
}

// encode writes JSON as text for people: < and & stay unescaped.
func encode(v any, indent bool) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if indent {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// A candidate is a listener or process for possible removal.
type candidate struct {
	id string
	// weight counts its sessions by power of two, so the choice does not change
	// with every connection.
	weight int
	size   int
	// datagrams: it is a UDP listener. process: it is a row of processes.
	datagrams, process bool
	share              tally.Share
	// lot is the number of its lot among the rows of its share.
	lot int
}

// rowsInLot is the number of rows of a share that stay before others have more.
const rowsInLot = 128

// tier orders the shares within a lot.
func (c *candidate) tier() int {
	switch {
	case c.share.Root():
		return 0
	case c.share.System():
		return 1
	}
	return 2
}

// rank sorts the candidates, those that stay first. What a user may have many of
// comes last among his own rows, and his rows come in lots beside those of
// others: a thousand sockets take no room from somebody with ten.
func rank(all []candidate) {
	order := func(a, b candidate) int {
		return cmp.Or(last(a.datagrams, b.datagrams), cmp.Compare(b.weight, a.weight))
	}
	slices.SortStableFunc(all, order)
	type list struct {
		share   tally.Share
		process bool
	}
	met := make(map[list]int)
	for i := range all {
		c := &all[i]
		if of := (list{c.share, c.process}); !c.share.Root() {
			c.lot = met[of] / rowsInLot
			met[of]++
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.lot, b.lot), cmp.Compare(a.tier(), b.tier()), order(a, b))
	})
}

// last orders those of which something is true after the others.
func last(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// shrink removes rows until the document fits.
func (d *Document) shrink(limit int, indent bool) error {
	all, err := d.candidates(indent)
	if err != nil {
		return err
	}
	rank(all)
	bare := *d
	bare.Listeners, bare.Processes = map[string]Listener{}, map[string]Process{}
	bare.Discovery.keep(nil)
	bare.noRoom(len(all))
	text, err := encode(&bare, indent)
	if err != nil {
		return err
	}
	size, kept := len(text), 0
	for kept < len(all) && size+all[kept].size <= limit {
		size += all[kept].size
		kept++
	}
	stay := make(map[string]bool, kept)
	for _, c := range all[:kept] {
		stay[c.id] = true
	}
	maps.DeleteFunc(d.Listeners, func(id string, _ Listener) bool { return !stay[id] })
	maps.DeleteFunc(d.Processes, func(id string, _ Process) bool { return !stay[id] })
	d.Discovery.keep(stay)
	d.noRoom(len(all) - kept)
	return nil
}

// noRoom notes n rows left out for size.
func (d *Document) noRoom(n int) {
	d.Gaps = slices.Clone(d.Gaps)
	d.leftOut(n, "listeners and processes, for the size of the document")
}

// keep removes the rows with ids outside stay. Nil arrays stay nil.
func (d *Discovery) keep(stay map[string]bool) {
	d.Listeners = kept(d.Listeners, func(r ListenerRow) bool { return stay[r.ID] })
	d.Processes = kept(d.Processes, func(r ProcessRow) bool { return stay[r.ID] })
}

func kept[R any](rows []R, stays func(R) bool) []R {
	if rows == nil {
		return nil
	}
	left := make([]R, 0, len(rows))
	for _, r := range rows {
		if stays(r) {
			left = append(left, r)
		}
	}
	return left
}

// candidates measures all rows with their values, listeners first, in a stable
// order. If the time ran out there are values only.
func (d *Document) candidates(indent bool) ([]candidate, error) {
	rows := make(map[string]any, len(d.Listeners)+len(d.Processes))
	datagrams := make(map[string]bool)
	for i := range d.Discovery.Listeners {
		datagrams[d.Discovery.Listeners[i].ID] = strings.HasPrefix(d.Discovery.Listeners[i].Proto, "udp")
		rows[d.Discovery.Listeners[i].ID] = &d.Discovery.Listeners[i]
	}
	for i := range d.Discovery.Processes {
		rows[d.Discovery.Processes[i].ID] = &d.Discovery.Processes[i]
	}
	var all []candidate
	for _, id := range slices.Sorted(maps.Keys(d.Listeners)) {
		v := d.Listeners[id]
		size, err := sizeOf(rows[id], v, indent)
		if err != nil {
			return nil, err
		}
		sessions := uint64(v.Established+v.CloseWait+v.SynRecv) + v.Queue
		all = append(all, candidate{
			id: id, weight: bits.Len64(sessions), size: size, share: d.shares[id], datagrams: datagrams[id],
		})
	}
	for _, id := range slices.Sorted(maps.Keys(d.Processes)) {
		v := d.Processes[id]
		size, err := sizeOf(rows[id], v, indent)
		if err != nil {
			return nil, err
		}
		all = append(all, candidate{
			id: id, weight: bits.Len64(uint64(v.Sessions)), size: size, share: d.shares[id], process: true,
		})
	}
	return all, nil
}

// sizeOf is an upper bound for a row and its values in a document: their own
// length, the id as a key, and the commas; with indent the beginnings of lines.
func sizeOf(row, values any, indent bool) (int, error) {
	size := len(`"0123456789ab": ,,`)
	for _, v := range []any{row, values} {
		text, err := encode(v, indent)
		if err != nil {
			return 0, err
		}
		size += len(text)
		if indent {
			size += (bytes.Count(text, []byte("\n")) + 2) * len("\n      ")
		}
	}
	return size, nil
}
