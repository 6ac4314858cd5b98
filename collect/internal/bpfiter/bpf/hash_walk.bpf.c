// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * One pass over the kernel's tables of TCP and UDP sockets, those of all
 * network namespaces at once, for what no descriptor holds: connections that
 * wait to be accepted, orphans, TIME_WAIT and request sockets, the kernel's
 * own. Of a socket that has a file only the inode is given, so that the reader
 * finds those that no process has: in flight over a UNIX socket, or held by
 * io_uring.
 *
 * The iterator visits the elements of an array that holds nothing; an element
 * stands for a few buckets. No lock is taken and no reference: memory is read
 * in ways that survive any pointer, and a socket counts only if it was the same
 * before and after it was read. Sockets of TCP are
 * reused without a grace period, so a chain may lead into another one: its end
 * tells by its nulls value, and the bucket is begun anew.
 */
#include "flow.h"
#include "tables.h"
#include "timer.h"
#include "view.h"

/* The kernel gives GPL-only helpers to a known few names of licences only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Few elements are quick to go through, many hold little each. A reader asks
 * apart for the rest of an element that holds more than a read. Of 262,144
 * connections in TIME_WAIT, the most that a kernel keeps by default, each of
 * TCP's holds some 128; a read has room for 200.
 */
#define TCP_ELEMENTS	  2048
#define LISTEN_ELEMENTS	  64
#define UDP_ELEMENTS	  128
#define UDPLITE_ELEMENTS  16
#define LISTEN_BASE  TCP_ELEMENTS
#define UDP_BASE     (LISTEN_BASE + LISTEN_ELEMENTS)
#define UDPLITE_BASE (UDP_BASE + UDP_ELEMENTS)
#define NETNS_BASE   (UDPLITE_BASE + UDPLITE_ELEMENTS)
#define ELEMENTS     (NETNS_BASE + NETNS_ELEMENTS)

#define MAX_RESTARTS 4

/* The kernel's buffer is eight pages, and what is written at once must fit it. */
#define OUTPUT_LIMIT (28 << 10)

#define LISTEN_NULLS_BASE (1U << 29)

struct {
	u32 (*type)[2];
	u32 (*max_entries)[ELEMENTS];
	u32 (*key_size)[4];
	u32 (*value_size)[8];
} elements SEC(".maps");

/* Some buckets of the table, looked at together. */
struct group {
	u32 first; /* number of the first bucket */
	u32 end;   /* of that after the last of the element */
	u32 todo;  /* a bit for each word that heads a chain to be walked */
	u32 restarts; /* of its present bucket */
};

/* How far the walk is. */
struct chain {
	u64 node;    /* address of the next in the chain */
	u32 passed;  /* sockets of the element that were passed */
	u32 skip;    /* as many are passed over */
	u32 restart; /* passed, at the start of the bucket */
	u32 written;
	struct view v;
	struct group g;
};

struct walk {
	void *seq;
	struct chain c;
};

/* Writes what a closer look at the socket shows. */
static noinline int visit_closely(struct walk *w, u64 address, bool minor)
{
	union {
		struct socket_record socket;
		struct tcp_record tcp;
		struct id_record id;
	} r = {};
	int verdict;

	if (minor)
		verdict = view_minor(&w->c.v, &r.socket, address);
	else
		verdict = view_socket(&w->c.v, &r.socket, address);
	if (verdict < EMIT_ID)
		return verdict;
	if (verdict == EMIT_ID) {
		r.id = (struct id_record){TAG(RECORD_ID), r.socket.netns, r.socket.inode, w->c.v.element};
		w->c.written += sizeof(r.id);
		return bpf_seq_write(w->seq, &r.id, sizeof(r.id)) ? -1 : PASS;
	}
	if (r.socket.flags & FLAG_SUBFLOW && r.socket.flags & FLAG_FILE) {
		/* The session too: its first subflow may be gone. */
		struct id_record id = {TAG(RECORD_ID), r.socket.netns, r.socket.inode, w->c.v.element};

		w->c.written += sizeof(id);
		if (bpf_seq_write(w->seq, &id, sizeof(id)))
			return -1;
	}
	if (unlikely(w->c.v.protos & ASK_FLOW))
		put_flow(&r.socket, minor || is_udp(r.socket.proto) ? 0 : address);
	w->c.written += sizeof(r.socket);
	if (bpf_seq_write(w->seq, &r.socket, sizeof(r.socket)))
		return -1;
	if (!(w->c.v.flags & ASK_TCPINFO) || (verdict != EMIT_TCP && !minor))
		return PASS;
	if (minor) {
		put_minor_timer(&r.tcp, address);
	} else {
		put_tcp(&r.tcp, address);
		put_timer(&r.tcp, address);
	}
	w->c.written += sizeof(r.tcp);
	return bpf_seq_write(w->seq, &r.tcp, sizeof(r.tcp)) ? -1 : PASS;
}

/* Looks at what the chain leads to, and writes its record. */
static always_inline int visit(struct walk *w, u64 address)
{
	struct id_record r = {.tag = TAG(RECORD_ID), .element = w->c.v.element};
	int verdict = view_id(&w->c.v, &r, address);

	if (verdict >= LOOK)
		return visit_closely(w, address, verdict == LOOK_MINOR);
	if (verdict != EMIT_ID)
		return verdict;
	w->c.written += sizeof(r);
	return bpf_seq_write(w->seq, &r, sizeof(r)) ? -1 : PASS;
}

/* Did the chain end where it began. */
static always_inline bool ends_right(const struct chain *c)
{
	u32 value = c->node >> 1;

	return c->v.t.kind >= TABLE_UDP || value == c->v.bucket ||
	       value - LISTEN_NULLS_BASE == c->v.bucket;
}

/*
 * Reads of the first sockets of the chains what is read later. Reads of one
 * wait for each other, those of several do not, and no cache has any of it. Of
 * most that are not asked for no more than the front is read.
 */
static always_inline void warm(const u64 *heads, u32 todo, bool whole)
{
#pragma clang loop unroll(full)
	for (u32 i = 0; i < GROUP_BYTES / 8; i++) {
		const struct sock *sk = (const void *)heads[i] -
					field_offset(struct sock_common, skc_nulls_node);
		u64 word = 0;

		if (!(todo >> i & 1))
			continue;
		probe(&word, (const u64 *)sk);
		probe(&word, (const u64 *)&sk->__sk_common.skc_nulls_node);
		if (!whole)
			continue;
		if (field_exists(sk->sk_ino))
			probe(&word, (const u64 *)&sk->sk_ino);
		probe(&word, (const u64 *)&sk->sk_protocol);
	}
}

/* 1 for the head of a chain with something in it, else 0. */
static always_inline u32 leads_on(u64 head)
{
	return (u32)((head | -head) >> 63 & ~head & 1);
}

/* A search for the next group with something in it. */
struct search {
	u64 at; /* address of the group */
	u32 first, end, group, words;
};

static long pass_empty(u32 i, struct search *s)
{
	const u64 *from = (const void *)s->at;
	u32 todo = 0;

#pragma clang loop unroll(full)
	for (u32 n = 0; n < GROUP_BYTES / 8; n++) {
		u64 head = 0;

		probe(&head, &from[n]);
		todo |= leads_on(head) << n;
	}
	if (todo & s->words)
		return 1;
	s->at += GROUP_BYTES;
	s->first += s->group;
	return s->first >= s->end;
}

/*
 * Passes over the groups in which nothing is. Most are empty, and a step of the
 * walk for each is much. Of a group that is not a whole line each is a step.
 */
static always_inline void pass_all_empty(const struct view *v, struct group *g)
{
	struct search s = {.at = v->t.buckets + (u64)g->first * v->t.stride, .end = g->end,
			   .group = v->t.group, .words = v->t.words};

	if (!CASTS || v->t.group * v->t.stride != GROUP_BYTES)
		return;
	s.first = hide(g->first);
	bpf_loop(MAX_STEPS, pass_empty, &s, 0);
	g->first = hide(s.first);
}

/* Looks at the group's heads, and notes those of chains with something in them. */
verified_once int read_group(const struct view *v, struct group *g)
{
	u64 heads[GROUP_BYTES / 8];
	const u64 *from;
	u32 todo = 0;

	if (!v || !g || g->first >= g->end)
		return 1;
	pass_all_empty(v, g);
	if (g->first >= g->end)
		return 1;
	from = (const void *)(v->t.buckets + (u64)g->first * v->t.stride);
	if (!CASTS && bpf_probe_read_kernel(heads, sizeof(heads), from))
		return 1;
#pragma clang loop unroll(full)
	for (u32 i = 0; i < GROUP_BYTES / 8; i++) {
		if (CASTS)
			probe(&heads[i], &from[i]);
		todo |= leads_on(heads[i]) << i;
	}
	todo = hide(todo & v->t.words);
	g->todo = todo;
	if (CASTS && todo)
		warm(heads, todo, !has(v->number, HAS_ENDS));
	return 0;
}

static always_inline u64 address_of(const struct view *v)
{
	return v->t.buckets + (u64)v->bucket * v->t.stride;
}

/* Sets out on the chain of the bucket. */
static always_inline void enter_bucket(struct chain *c)
{
	c->node = nought;
	probe(&c->node, (const u64 *)(address_of(&c->v) + c->v.t.head));
}

/* Sets out on the next chain of the group, or on the next group. */
verified_once int next_bucket(struct chain *c)
{
	u32 word;

	if (!c)
		return 1;
	if (!c->g.todo) {
		c->g.first += c->v.t.group;
		c->node = nought;
		return read_group(&c->v, &c->g);
	}
	word = __builtin_ctz(c->g.todo) & (GROUP_BYTES / 8 - 1);
	c->g.todo &= c->g.todo - 1;
	c->v.bucket = c->g.first + word * 8 / c->v.t.stride;
	enter_bucket(c);
	c->restart = c->passed;
	c->g.restarts = nought;
	return 0;
}

/* Begins the bucket anew, for a chain led elsewhere; not for ever. */
verified_once int begin_anew(struct chain *c)
{
	if (!c)
		return 1;
	if (++c->g.restarts > MAX_RESTARTS)
		return next_bucket(c);
	c->passed = c->restart;
	enter_bucket(c);
	return 0;
}

/* The compiler knows what a function returns, the verifier does not. */
static always_inline long as_bool(int result)
{
	barrier_var(result);
	return result ? 1 : 0;
}

/* One step of the walk: a socket, or the way to the next bucket. */
static long step(u32 i, struct walk *w)
{
	struct chain *c = &w->c;
	int verdict = PASS;

	if (!c->node)
		return as_bool(next_bucket(c));
	if (c->node & 1)
		return as_bool(ends_right(c) ? next_bucket(c) : begin_anew(c));
	if (c->passed++ >= c->skip)
		verdict = visit(w, c->node - field_offset(struct sock_common, skc_nulls_node));
	if (verdict < 0) {
		c->written = ~0;
		return 1;
	}
	if (verdict == MOVED || probe(&c->node, (const u64 *)c->node))
		return as_bool(begin_anew(c));
	/* A chain of TCP never ends so: the load failed. */
	if (!c->node && c->v.t.kind < TABLE_UDP)
		return as_bool(begin_anew(c));
	return c->written > OUTPUT_LIMIT;
}

/* Finds the buckets of the index-th of so many parts of the table, in whole groups. */
verified_once int set_bounds(struct group *g, const struct table *t, u32 index, u32 parts)
{
	u64 groups, share;

	if (!g || !t)
		return 0;
	groups = ((u64)t->mask + t->group) / t->group;
	share = (groups + parts - 1) / parts * t->group;
	g->first = share * index;
	g->end = share * (index + 1) <= t->mask ? share * (index + 1) : t->mask + 1;
	return 0;
}

static noinline int write_more(void *seq, const struct chain *c)
{
	struct more_record r = {.tag = TAG(RECORD_MORE), .element = c->v.element,
				.done = c->passed, .from = c->v.netns};

	return bpf_seq_write(seq, &r, sizeof(r)) ? 1 : 0;
}

/* Walks the index-th of so many parts of the table. */
static always_inline int walk_table(struct walk *w, u32 index, u32 parts)
{
	struct chain *c = &w->c;

	c->written = c->g.restarts = nought;
	c->passed = c->restart = c->node = nought;
	set_bounds(&c->g, &c->v.t, index, parts);
	if (!c->v.t.buckets || read_group(&c->v, &c->g))
		return 0;
	bpf_loop(MAX_STEPS, step, w, 0);
	if (c->written == ~0U)
		return 1;
	if (c->written <= OUTPUT_LIMIT)
		return 0;
	return write_more(w->seq, c);
}

#define TCP_STATES ((1 << 14) - 1 & ~(1 << TCP_LISTEN | 1 << TCP_CLOSE))

/* Can a socket in the table be what is asked for. */
static always_inline bool asks_table(const struct view *v)
{
	u32 states = v->t.kind == TABLE_TCP ? TCP_STATES
		     : v->t.kind == TABLE_LISTEN ? 1 << TCP_LISTEN
						 : 1 << STATE_UNCONN | 1 << TCP_ESTABLISHED;
	u32 protos = 1 << (v->t.proto & 31);

	if (v->t.kind <= TABLE_LISTEN)
		protos |= 1 << PROTO_MPTCP;
	return v->states & states && v->protos & protos;
}

/* Sockets are passed in steps of so many. */
#define SKIP_STEP 32

/* Where a reader goes on, by a question that is not about an own table. */
static always_inline void resume(struct chain *c, const struct question *q)
{
	u64 point = q->part | q->parts << 6 | (u64)q->number << 12;

	c->v.element = point & 0x7fff;
	c->skip = (point >> 15) * SKIP_STEP;
}

/* The question for an own table; see question.h. */
static always_inline void resume_own(struct chain *c, struct question *q, const u64 name[2])
{
	u64 low = name[0], high = name[1];
	u32 last = SEVEN(high, 6), top = SEVEN(high, 0);

	c->v.netns = SEVEN(low, 4) | SEVEN(low, 5) << 7 | SEVEN(low, 6) << 14 |
		     SEVEN(low, 7) << 21 | top << 28;
	c->v.element = hide(top >> 4 & 1 ? OWN_UDP : OWN_TCP);
	c->skip = (SEVEN(high, 1) | SEVEN(high, 2) << 7 | SEVEN(high, 3) << 14) * SKIP_STEP;
	q->states = (SEVEN(high, 4) | SEVEN(high, 5) << 7) << 1;
	q->flags = ASK_RESUME | (last & (ASK_V4 | ASK_V6 | ASK_TCPINFO | ASK_FULL));
	q->protos = (top >> 5 & 1 ? ASK_FLOW : 0) | (last >> 4 & 1) << PROTO_TCP | (last >> 5 & 1) << PROTO_UDP |
		    (last >> 6 & 1) << PROTO_MPTCP;
}

enum turn {
	SOMEBODY_ELSES, /* the element is for another thread to walk */
	OURS,
	ALONE, /* one element is asked for, whichever this is */
};

/*
 * Finds out what is asked for, and puts it into the view. In a frame of its own:
 * of that of the walk little is left.
 */
static noinline int read_walk(struct chain *c, u32 element)
{
	struct question q = {};
	u64 name[2] = {};
	int turn = OURS;

	bpf_get_current_comm(name, sizeof(name));
	c->v.element = element;
	if (unlikely((u32)name[0] == OWN_MAGIC)) {
		resume_own(c, &q, name);
		turn = ALONE;
	} else {
		as_question(&q, name);
		look_into_wanted(&q);
		if (unlikely(q.flags & ASK_RESUME)) {
			resume(c, &q);
			turn = ALONE;
		} else if (q.parts && element % q.parts != q.part) {
			return SOMEBODY_ELSES;
		}
	}
	c->v.states = q.states;
	c->v.protos = q.protos;
	c->v.flags = q.flags;
	c->v.number = q.number;
	if (has(q.number, HAS_ENDS))
		read_brief(&c->v.b, q.number);
	return turn;
}

SEC("iter/bpf_map_elem")
int hash_walk(struct bpf_iter__bpf_map_elem *ctx)
{
	u32 element, index, parts, table;
	struct walk w = {};
	int turn;

	if (write_header(ctx->meta, PROGRAM_HASH_WALK))
		return 1;
	if (!ctx->key)
		return 0;
	element = *ctx->key;
	turn = read_walk(&w.c, element);
	if (turn == SOMEBODY_ELSES)
		return 0;
	if (turn == ALONE && element)
		return 1; /* ends the read, and with EAGAIN the next */
	element = w.c.v.element;
	w.seq = ctx->meta->seq;

	if (element >= OWN_TCP) {
		if (!w.c.v.netns)
			return 0;
		own_table(&w.c.v.t, element, w.c.v.netns);
		index = 0;
		parts = 1;
	} else if (element >= ELEMENTS) {
		return 0; /* of no array, and asked for by none of us */
	} else if (element >= NETNS_BASE) {
		return write_netns(w.seq, element - NETNS_BASE);
	} else {
		table = TABLE_TCP;
		index = element;
		parts = TCP_ELEMENTS;
		if (element >= UDPLITE_BASE) {
			table = TABLE_UDPLITE;
			index -= UDPLITE_BASE;
			parts = UDPLITE_ELEMENTS;
		} else if (element >= UDP_BASE) {
			table = TABLE_UDP;
			index -= UDP_BASE;
			parts = UDP_ELEMENTS;
		} else if (element >= LISTEN_BASE) {
			table = TABLE_LISTEN;
			index -= LISTEN_BASE;
			parts = LISTEN_ELEMENTS;
		}
		w.c.v.t = *(struct table *)&roots.table[table];
	}
	return asks_table(&w.c.v) ? walk_table(&w, index, parts) : 0;
}
