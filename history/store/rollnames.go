package store

import (
	"context"
	"database/sql"
)

// recentProgs is the number of programs of a file whose numbers are remembered. An
// older one is read again.
const recentProgs = 1 << 18

// A rollNames gives the programs and places of a file their numbers in its roll-up,
// where many are one. It remembers them from one chunk to the next.
type rollNames struct {
	// recent are the numbers of the file's programs from base on.
	recent []uint32
	base   uint64
	progs  map[nameHash]uint32
	places map[place]uint32
	// nextProg and nextPlace are the next numbers, 0 before the roll-up was read.
	nextProg, nextPlace uint32
	// rows are the numbers of rows of the latest minutes of the chunk before.
	rows map[int64]int

	ctx  context.Context
	conn *conn
	ref  *reference // of the file
	err  error      // the first one
}

// use begins a chunk: it reads the new names of the file.
func (n *rollNames) use(ctx context.Context, c *conn, p *part) error {
	n.ctx, n.conn, n.ref, n.err = ctx, c, p.ref, nil
	if n.nextProg == 0 {
		if err := n.read(ctx, c); err != nil {
			return err
		}
	}
	rows, err := p.tx.QueryContext(ctx, selectProg+" WHERE id >= ? ORDER BY id", n.base+uint64(len(n.recent)))
	if err != nil {
		return err
	}
	err = eachRow(rows, func(rows *sql.Rows) error {
		id, key, err := scanProg(rows)
		if err != nil {
			return err
		}
		for n.base+uint64(len(n.recent)) < id {
			n.recent = append(n.recent, 0) // no program has this number
		}
		if len(n.recent) >= 2*recentProgs {
			n.base += recentProgs
			n.recent = append(n.recent[:0], n.recent[recentProgs:]...)
		}
		n.recent = append(n.recent, n.number(key))
		return n.err
	})
	n.ref.places = nil // new ones
	return err
}

// read reads the names that the roll-up has.
func (n *rollNames) read(ctx context.Context, c *conn) error {
	*n = rollNames{base: 1, progs: make(map[nameHash]uint32), places: make(map[place]uint32), nextProg: 1, nextPlace: 1, ctx: n.ctx, conn: c, ref: n.ref}
	ref := newReference(ctx, c)
	rows, err := c.QueryContext(ctx, selectProg)
	if err != nil {
		return err
	}
	err = eachRow(rows, func(rows *sql.Rows) error {
		id, key, err := scanProg(rows)
		if err == nil {
			n.progs[hashOf(*key)] = uint32(id)
			n.nextProg = max(n.nextProg, uint32(id)+1)
		}
		return err
	})
	if err != nil {
		return err
	}
	ref.readPlaces()
	for id, p := range ref.places {
		n.places[*p] = uint32(id)
		n.nextPlace = max(n.nextPlace, uint32(id)+1)
	}
	return ref.err
}

// forget drops all numbers, as after a failed transaction.
func (n *rollNames) forget() { *n = rollNames{} }

// prog returns the number in the roll-up of a program of the file.
func (n *rollNames) prog(id uint64) uint32 {
	if id >= n.base && id < n.base+uint64(len(n.recent)) && n.recent[id-n.base] != 0 {
		return n.recent[id-n.base]
	}
	return n.number(n.ref.prog(id))
}

func (n *rollNames) number(p *progKey) uint32 {
	key := rollProg(*p)
	hash := hashOf(key)
	if id, ok := n.progs[hash]; ok {
		return id
	}
	if len(n.progs) >= maxNames {
		clear(n.progs)
	}
	id := n.nextProg
	n.nextProg++
	n.progs[hash] = id
	n.exec("INSERT INTO prog VALUES (?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", id, []byte(key.comm), blob(key.exe), key.uid,
		blob(key.user), blob(key.unit), blob(key.container), blob(key.pod),
		blob(key.containerName), blob(key.image), blob(key.podName), blob(key.podNamespace))
	return id
}

// place returns the number in the roll-up of a place of the file.
func (n *rollNames) place(id uint64) uint32 {
	p := rollPlace(*n.ref.place(id))
	at, ok := n.places[p]
	if !ok {
		if len(n.places) >= maxNames {
			clear(n.places)
		}
		at = n.nextPlace
		n.nextPlace++
		n.places[p] = at
		n.exec("INSERT INTO place VALUES (?, ?, ?, ?, ?, NULL, NULL, 0, ?, ?)", at, p.netns, blob(p.netnsName), p.uid, blob(p.user),
			blob(p.unit), blob(p.container))
	}
	return at
}

func (n *rollNames) exec(query string, args ...any) {
	if err := n.conn.exec(n.ctx, query, args...); err != nil && n.err == nil {
		n.err = err
	}
}
