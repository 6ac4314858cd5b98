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
#include "tables.h"
#include "view.h"

/* The kernel gives GPL-only helpers to a known few names of licences only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Few elements are quick to go through; many keep what a reader has to ask for
 * apart small. A million sockets in the usual table are 128 for each of TCP's.
 */
#define TCP_ELEMENTS	  8192
#define LISTEN_ELEMENTS	  256
#define UDP_ELEMENTS	  1024
#define UDPLITE_ELEMENTS  64
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

/* Some buckets of the table, copied at once. */
struct group {
	u64 heads[GROUP_BYTES / 8];
	u32 first; /* number of the first bucket */
	u32 todo;  /* a bit for each word that heads a chain to be walked */
};

struct walk {
	void *seq;
	u64 node;    /* address of the next in the chain */
	u64 passed;  /* sockets of the element that were passed */
	u64 skip;    /* as many are passed over */
	u64 restart; /* passed, at the start of the bucket */
	u32 stride;  /* buckets from group to group */
	u32 written;
	u32 restarts;
	struct view v;
	struct group g;
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
		verdict = view_minor(&w->v, &r.socket, address);
	else
		verdict = view_socket(&w->v, &r.socket, address);
	if (verdict < TELL_ID)
		return verdict;
	if (verdict == TELL_ID) {
		r.id = (struct id_record){TAG(RECORD_ID), r.socket.netns, r.socket.inode, w->v.element};
		w->written += sizeof(r.id);
		return bpf_seq_write(w->seq, &r.id, sizeof(r.id)) ? -1 : PASS;
	}
	w->written += sizeof(r.socket);
	if (bpf_seq_write(w->seq, &r.socket, sizeof(r.socket)))
		return -1;
	if (verdict != TELL_TCP || !(w->v.flags & ASK_TCPINFO))
		return PASS;
	put_tcp(&r.tcp, address);
	w->written += sizeof(r.tcp);
	return bpf_seq_write(w->seq, &r.tcp, sizeof(r.tcp)) ? -1 : PASS;
}

/* Looks at what the chain leads to, and writes what is to be told of it. */
static always_inline int visit(struct walk *w, u64 address)
{
	struct id_record r = {.tag = TAG(RECORD_ID), .element = w->v.element};
	int verdict = view_id(&w->v, &r, address);

	if (verdict >= LOOK)
		return visit_closely(w, address, verdict == LOOK_MINOR);
	if (verdict != TELL_ID)
		return verdict;
	w->written += sizeof(r);
	return bpf_seq_write(w->seq, &r, sizeof(r)) ? -1 : PASS;
}

/* Did the chain end where it began. */
static always_inline bool ends_right(const struct walk *w)
{
	u32 value = w->node >> 1;

	return w->v.t.kind >= TABLE_UDP || value == w->v.bucket ||
	       value - LISTEN_NULLS_BASE == w->v.bucket;
}

static always_inline const void *address_of(const struct view *v)
{
	return (const void *)(v->t.buckets + (u64)v->bucket * v->t.stride);
}

/*
 * Reads of the first sockets of the chains what is read later. Reads of one
 * wait for each other, those of several do not, and no cache has any of it.
 */
static always_inline void warm(const struct group *g)
{
#pragma clang loop unroll(full)
	for (u32 i = 0; i < GROUP_BYTES / 8; i++) {
		const struct sock *sk = (const void *)g->heads[i] -
					field_offset(struct sock_common, skc_nulls_node);
		u64 word = 0;

		if (!(g->todo >> i & 1))
			continue;
		probe(&word, (const u64 *)sk);
		probe(&word, (const u64 *)&sk->__sk_common.skc_nulls_node);
		if (field_exists(sk->sk_ino))
			probe(&word, (const u64 *)&sk->sk_ino);
		probe(&word, (const u64 *)&sk->sk_protocol);
	}
}

/* Copies the group's heads, and notes those of chains with something in them. */
noinline int read_group(const struct view *v, struct group *g)
{
	const u64 *from;
	u32 todo = 0;

	if (!v || !g || g->first > v->t.mask)
		return 1;
	from = (const void *)(v->t.buckets + (u64)g->first * v->t.stride);
	if (!CASTS && bpf_probe_read_kernel(g->heads, sizeof(g->heads), from))
		return 1;
#pragma clang loop unroll(full)
	for (u32 i = 0; i < GROUP_BYTES / 8; i++) {
		u64 head = g->heads[i];

		if (CASTS) {
			probe(&head, &from[i]);
			g->heads[i] = head;
		}
		todo |= (u32)((head | -head) >> 63 & ~head & 1) << i;
	}
	g->todo = todo & v->t.words;
	if (CASTS && todo)
		warm(g);
	return 0;
}

/* Sets out on the next chain of the group, or on the next group. */
static noinline int next_bucket(struct walk *w)
{
	u32 word;
	int over;

	if (!w->g.todo) {
		w->g.first += w->stride;
		w->node = nought;
		over = read_group(&w->v, &w->g);
		barrier_var(over); /* the compiler knows that it is 0 or 1, not the verifier */
		return over ? 1 : 0;
	}
	word = __builtin_ctz(w->g.todo) & (GROUP_BYTES / 8 - 1);
	w->g.todo &= w->g.todo - 1;
	w->node = w->g.heads[word];
	w->v.bucket = w->g.first + word * 8 / w->v.t.stride;
	w->restart = w->passed;
	w->restarts = nought;
	return 0;
}

/* Begins the bucket anew, for a chain led elsewhere; not for ever. */
static noinline int begin_anew(struct walk *w)
{
	if (++w->restarts > MAX_RESTARTS)
		return next_bucket(w);
	w->passed = w->restart;
	w->node = nought;
	probe(&w->node, (const u64 *)(address_of(&w->v) + w->v.t.head));
	return 0;
}

/* One step of the walk: a socket, or the way to the next bucket. */
static long step(u32 i, struct walk *w)
{
	int verdict = PASS;

	if (!w->node)
		return next_bucket(w);
	if (w->node & 1)
		return ends_right(w) ? next_bucket(w) : begin_anew(w);
	if (w->passed++ >= w->skip)
		verdict = visit(w, w->node - field_offset(struct sock_common, skc_nulls_node));
	if (verdict < 0) {
		w->written = ~0;
		return 1;
	}
	if (verdict == MOVED || probe(&w->node, (const u64 *)w->node))
		return begin_anew(w);
	/* A chain of TCP never ends so: the load failed. */
	if (!w->node && w->v.t.kind < TABLE_UDP)
		return begin_anew(w);
	return w->written > OUTPUT_LIMIT;
}

/* Walks the index-th of so many parts of the table. */
static always_inline int walk_table(struct walk *w, u32 index, u32 parts)
{
	struct more_record more = {.tag = TAG(RECORD_MORE), .element = w->v.element};

	w->written = w->restarts = nought;
	w->passed = w->restart = w->node = nought;
	w->stride = parts * w->v.t.group;
	w->g.first = index * w->v.t.group;
	if (!w->v.t.buckets || read_group(&w->v, &w->g))
		return 0;
	bpf_loop(MAX_STEPS, step, w, 0);
	if (w->written == ~0U)
		return 1;
	if (w->written <= OUTPUT_LIMIT)
		return 0;
	more.done = w->passed;
	return bpf_seq_write(w->seq, &more, sizeof(more)) ? 1 : 0;
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

SEC("iter/bpf_map_elem")
int hash_walk(struct bpf_iter__bpf_map_elem *ctx)
{
	u32 element, index, parts, table;
	struct question q = {};
	struct walk w = {};

	if (!ctx->key)
		return 0;
	element = *ctx->key;
	read_question(&q);
	if (q.flags & ASK_RESUME) {
		if (element)
			return 1; /* ends the read, and with EAGAIN the next */
		element = resume_point(&q) & 0x7fff;
		w.skip = resume_point(&q) >> 15 << 6;
	} else if (q.parts && element % q.parts != q.part) {
		return 0;
	}
	w.seq = ctx->meta->seq;
	w.v.element = element;
	w.v.states = q.states;
	w.v.protos = q.protos;
	w.v.flags = q.flags;
	w.v.number = q.number;

	if (element >= OWN_ELEMENTS) {
		own_table(&w.v.t, element - OWN_ELEMENTS);
		index = 0;
		parts = 1;
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
		w.v.t = *(struct table *)&places.table[table];
	}
	return asks_table(&w.v) ? walk_table(&w, index, parts) : 0;
}
