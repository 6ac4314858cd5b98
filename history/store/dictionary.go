package store

import (
	"context"
	"database/sql"
	"hash/maphash"
	"sync"

	"github.com/seed-44df2ae6/whose"
)

// A progKey holds the facts that processes of one program have in common.
type progKey struct {
	comm, exe, cmdline, user, unit, container, pod string
	containerName, image, podName, podNamespace    string
	uid                                            uint32
}

func progOf(p *whose.Process) progKey {
	return progKey{p.Comm, p.Exe, p.Cmdline, p.User, p.Unit, p.Container, p.Pod, p.ContainerName, p.Image, p.PodName, p.PodNamespace, p.UID}
}

// maxNames bounds the remembered names of each kind. Beyond them all are
// forgotten, and written again where they are met again.
const maxNames = 1 << 16

// A nameHash stands for a name. Hashes of one name are equal, those of two never in
// practice: the seeds are by chance, so nobody can choose names for it.
type nameHash [2]uint64

var nameSeeds = sync.OnceValue(func() [2]maphash.Seed { return [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()} })

func hashOf[T comparable](v T) nameHash {
	seeds := nameSeeds()
	return nameHash{maphash.Comparable(seeds[0], v), maphash.Comparable(seeds[1], v)}
}

// A dictionary numbers the names of the file that is written. Numbers are given
// within a transaction; after a failed one forget is called.
type dictionary struct {
	noCmdline bool
	progs     map[nameHash]uint64
	places    map[nameHash]uint64
	// nextProg and nextPlace are the next numbers, 0 if they are to be read.
	nextProg, nextPlace uint64
	conn                *conn
	err                 error // the first one of the transaction
}

// use sets the connection, and reads the numbers to go on from.
func (d *dictionary) use(ctx context.Context, c *conn) error {
	d.conn, d.err = c, nil
	if d.nextProg > 0 {
		return nil
	}
	d.progs, d.places = make(map[nameHash]uint64), make(map[nameHash]uint64)
	var progs, places sql.NullInt64
	err := c.QueryRowContext(ctx, "SELECT (SELECT max(id) FROM prog), (SELECT max(id) FROM place)").Scan(&progs, &places)
	if err != nil {
		return err
	}
	d.nextProg, d.nextPlace = uint64(progs.Int64)+1, uint64(places.Int64)+1
	return nil
}

// forget drops all numbers.
func (d *dictionary) forget() { *d = dictionary{noCmdline: d.noCmdline} }

func (d *dictionary) prog(p *whose.Process) uint64 {
	key := progOf(p)
	if d.noCmdline {
		key.cmdline = ""
	}
	hash := hashOf(key)
	if id, ok := d.progs[hash]; ok {
		return id
	}
	if len(d.progs) >= maxNames {
		clear(d.progs)
	}
	id := d.nextProg
	d.nextProg++
	d.progs[hash] = id
	d.exec("INSERT INTO prog VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", id, []byte(key.comm), blob(key.exe), blob(key.cmdline), key.uid,
		blob(key.user), blob(key.unit), blob(key.container), blob(key.pod),
		blob(key.containerName), blob(key.image), blob(key.podName), blob(key.podNamespace))
	return id
}

func (d *dictionary) place(p *place) uint64 {
	hash := hashOf(*p)
	if id, ok := d.places[hash]; ok {
		return id
	}
	if len(d.places) >= maxNames {
		clear(d.places)
	}
	id := d.nextPlace
	d.nextPlace++
	d.places[hash] = id
	d.exec("INSERT INTO place VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", id, p.netns, blob(p.netnsName), p.uid, blob(p.user),
		blob(p.device), blob(p.scope), p.mark, blob(p.unit), blob(p.container))
	return id
}

func (d *dictionary) exec(query string, args ...any) {
	if err := d.conn.exec(context.Background(), query, args...); err != nil && d.err == nil {
		d.err = err
	}
}

// blob is a text as bytes, NULL for none.
func blob(s string) any {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// A reference is the dictionary of a file that is read. Names are read when they
// are first needed: one by one, and all where many are asked for.
type reference struct {
	q      querier
	ctx    context.Context // of the question
	progs  map[uint64]*progKey
	places map[uint64]*place
	one    *sql.Stmt // ends with the transaction
	// asked counts the names of programs read one by one, of so many. whole: all
	// were read.
	asked, size int64
	whole       bool
	err         error // the first one
}

// To read a name by itself takes as long as to read readOne of them in a row.
const readOne = 8

var noProg progKey

func newReference(ctx context.Context, q querier) *reference {
	return &reference{q: q, ctx: ctx, progs: make(map[uint64]*progKey)}
}

const selectProg = "SELECT id, comm, exe, cmdline, uid, user, unit, container, pod, cname, image, podname, podspace FROM prog"

func (r *reference) prog(id uint64) *progKey {
	if p, ok := r.progs[id]; ok {
		return p
	}
	if !r.whole {
		r.readProg(id)
	}
	if p, ok := r.progs[id]; ok {
		return p
	}
	r.progs[id] = &noProg // it is missing
	return &noProg
}

// readProg reads the name of a program, or all of them.
func (r *reference) readProg(id uint64) {
	var rows *sql.Rows
	var err error
	if r.one == nil {
		err = r.q.QueryRowContext(r.ctx, "SELECT ifnull(max(id), 0) FROM prog").Scan(&r.size)
		if err == nil {
			r.one, err = r.q.PrepareContext(r.ctx, selectProg+" WHERE id = ?")
		}
	}
	r.asked++
	r.whole = r.asked > r.size/readOne
	switch {
	case err != nil:
	case r.whole:
		rows, err = r.q.QueryContext(r.ctx, selectProg)
	default:
		rows, err = r.one.QueryContext(r.ctx, id)
	}
	if err == nil {
		err = eachRow(rows, r.keepProg)
	}
	if err != nil && r.err == nil {
		r.err = err
	}
}

func (r *reference) keepProg(rows *sql.Rows) error {
	id, p, err := scanProg(rows)
	if err == nil {
		r.progs[id] = p
	}
	return err
}

// scanProg reads a row of the table prog.
func scanProg(rows *sql.Rows) (id uint64, p *progKey, err error) {
	var comm, exe, cmdline, user, unit, container, pod, cname, image, podName, podSpace sql.RawBytes
	p = new(progKey)
	if err := rows.Scan(&id, &comm, &exe, &cmdline, &p.uid, &user, &unit, &container, &pod, &cname, &image, &podName, &podSpace); err != nil {
		return 0, nil, err
	}
	p.comm, p.exe, p.cmdline, p.user = string(comm), string(exe), string(cmdline), string(user)
	p.unit, p.container, p.pod = string(unit), string(container), string(pod)
	p.containerName, p.image, p.podName, p.podNamespace = string(cname), string(image), string(podName), string(podSpace)
	return id, p, nil
}

var noPlace place

func (r *reference) place(id uint64) *place {
	if r.places == nil {
		r.readPlaces()
	}
	if p, ok := r.places[id]; ok {
		return p
	}
	return &noPlace
}

func (r *reference) readPlaces() {
	r.places = make(map[uint64]*place)
	err := each(r.ctx, r.q, func(rows *sql.Rows) error {
		var id uint64
		var name, user, device, scope, unit, container sql.RawBytes
		p := new(place)
		if err := rows.Scan(&id, &p.netns, &name, &p.uid, &user, &device, &scope, &p.mark, &unit, &container); err != nil {
			return err
		}
		p.netnsName, p.user, p.device = string(name), string(user), string(device)
		p.scope, p.unit, p.container = string(scope), string(unit), string(container)
		r.places[id] = p
		return nil
	}, "SELECT * FROM place")
	if err != nil && r.err == nil {
		r.err = err
	}
}

// process makes a process of a task.
func (r *reference) process(t *task) *whose.Process {
	g := r.prog(t.prog)
	return &whose.Process{
		PID: t.pid, StartTime: t.startTime(), Parent: t.parent, Comm: g.comm, Exe: g.exe, Cmdline: g.cmdline,
		UID: g.uid, User: g.user, Unit: g.unit, Container: g.container, Pod: g.pod,
		ContainerName: g.containerName, Image: g.image, PodName: g.podName, PodNamespace: g.podNamespace,
	}
}
