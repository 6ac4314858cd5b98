// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * What a reader asks for. A pinned iterator takes no arguments and readers
 * share no memory with it, so a reader puts its question into the name of the
 * thread that reads (PR_SET_NAME): "who:" and one character for six bits each.
 * A reader with any other name gets everything. The name is the reader's own,
 * so a question touches nobody else's answer, and can never show more.
 *
 *	4    part of the work that this thread does, and
 *	5    into how many it is divided, 0: all of it
 *	6-8  states, a bit each
 *	9    protocols, a bit each, and in the upper one whether flow ids are asked for
 *	10   enum ask_flag
 *	11-14 process; with ASK_WANTED, where its struct wanted is in the memory of
 *	      the reader, in units of 16 MiB
 *
 * fd_walk has the first descriptor of its range in 11-14 or, with ASK_WANTED,
 * in 6-9, and then the states and protocols in struct wanted.
 *
 * One that goes on with an element of the walk (ASK_RESUME) has the element in
 * the lower 15 bits of 4, 5, 11-14, and above them a 32nd of the sockets passed.
 *
 * One for the descriptors of one process has ASK_RESUME, and where to begin, in
 * units of 64 descriptors, in 4, 5 and the upper three bits of 6-8.
 *
 * A namespace's own table has a name of its own, "own:" and one character for
 * seven bits each, with the whole number of the namespace:
 *
 *	4-8  the namespace, and above it 1 for UDP, 2 for flow ids
 *	9-11 a 32nd of the sockets passed
 *	12-13 states from the first on, a bit each
 *	14   four bits of enum ask_flag; TCP, UDP, MPTCP
 *
 * Anybody may write such a name, so no number in it is believed: a program
 * bounds each before use.
 */
#pragma once

#include "../../../../internal/bpf/conditions.h"
#include "../../../../internal/bpf/kernel.h"
#include "record.h"

enum ask_flag {
	ASK_V4 = 1 << 0,
	ASK_V6 = 1 << 1,
	ASK_TCPINFO = 1 << 2, /* a tcp_record after each TCP socket */
	ASK_FULL = 1 << 3,    /* full records of sockets that have a file too */
	ASK_MARKS = 1 << 3,   /* of fd_walk: marks of processes */
	ASK_RESUME = 1 << 4,  /* one element of the walk or process, from where a more_record says */
	ASK_WANTED = 1 << 5,  /* only the sockets of struct wanted; not beside ASK_RESUME */
};

/* Among the protocols: flow ids of connections. */
#define ASK_FLOW (1 << 5)

/* Of a question for one process: bits of its states, and descriptors to a unit. */
#define RESUME_STATES 15
#define RESUME_UNIT   64

#define ASK_MAGIC 0x3a6f6877 /* "who:" as the first four bytes */
#define OWN_MAGIC 0x3a6e776f /* "own:" */

struct question {
	u32 part, parts;
	u32 states;
	u32 protos;
	u32 flags;
	/* process, 0: all; or the place of struct wanted, and above it enum wanted_has */
	u32 number;
};

#define SIX(word, at)	((u32)((word) >> (at) * 8 & 0xff) - '0' & 0x3f)
#define SEVEN(word, at) ((u32)((word) >> (at) * 8 & 0xff) - '0' & 0x7f)

static always_inline void as_question(struct question *q, const u64 name[2])
{
	u64 low = name[0], high = name[1];

	if (likely((u32)low != ASK_MAGIC)) {
		q->part = q->parts = q->number = nought;
		q->states = hide(~0U);
		q->protos = hide(~(u32)ASK_FLOW);
		q->flags = hide((u32)(ASK_V4 | ASK_V6));
		return;
	}
	q->part = SIX(low, 4);
	q->parts = SIX(low, 5);
	q->states = SIX(low, 6) | SIX(low, 7) << 6 | SIX(high, 0) << 12;
	q->protos = SIX(high, 1);
	q->flags = SIX(high, 2);
	q->number = SIX(high, 3) | SIX(high, 4) << 6 | SIX(high, 5) << 12 | SIX(high, 6) << 18;
}

/*
 * Which sockets a reader asks for, in its own memory. It narrows the reader's own
 * answer and does nothing else: what it says is compared and never followed, and
 * where it cannot be read everything is wanted.
 */
#define WANTED_BITS 15

enum wanted_has {
	HAS_BITS = 1 << 0,  /* a bit for each inode or key */
	HAS_ENDS = 1 << 1,  /* conditions on both ends */
	HAS_NETNS = 1 << 2, /* namespaces */
	HAS_PAIRS = 1 << 3, /* for hash_walk: a bit for each pair of ports */
	HAS_FIRST = 1 << 4, /* for fd_walk: of each table no more than the first socket */
};

/*
 * What all conditions on the ends have in common: a socket with a remote end that
 * does not meet it meets none of them.
 */
struct brief {
	u16 port_first, port_last; /* one of both ports is among them */
	u32 address, mask;	   /* of the last 32 bits of one of both addresses */
};

struct wanted {
	u32 has; /* enum wanted_has */
	struct brief brief;
	u32 states, protos; /* for fd_walk */
	struct conditions conditions;
	u64 summary; /* of the bits, a bit for each key, by the six bits above */
	/*
	 * The sockets that a reader looks for once more: a bit for each inode or, where
	 * fd_walk is asked, for the key of each file, by its lower bits. Those of others
	 * with the same bits come along. Or a bit for each pair of a local and a remote
	 * port; what has no remote port has none.
	 */
	u64 bits[(1 << WANTED_BITS) / 64];
};

const struct wanted *any_wanted __attribute__((unused)); /* as any_record */

#define HAS_SHIFT 24

static always_inline const struct wanted *wanted_at(u32 number)
{
	return (const void *)((u64)(number & ((1U << HAS_SHIFT) - 1)) << 24);
}

static always_inline bool has(u32 number, enum wanted_has what)
{
	return number >> HAS_SHIFT & what;
}

/* Puts above the place of struct wanted what is in it. */
static always_inline void look_into_wanted(struct question *q)
{
	u32 all;

	if ((q->flags & (ASK_WANTED | ASK_RESUME)) == ASK_WANTED &&
	    !bpf_probe_read_user(&all, sizeof(all), &wanted_at(q->number)->has))
		q->number |= all << HAS_SHIFT;
}

static always_inline void read_question(struct question *q)
{
	u64 name[2] = {};

	bpf_get_current_comm(name, sizeof(name));
	as_question(q, name);
	look_into_wanted(q);
}

/* What most keys are told apart by, without a read for each. */
static always_inline u64 wanted_summary(u32 number)
{
	u64 summary;

	return bpf_probe_read_user(&summary, sizeof(summary), &wanted_at(number)->summary) ? ~0ULL
											     : summary;
}

/* 1 for what may be wanted, else 0. */
static always_inline u64 in_summary(u64 summary, u64 key)
{
	return summary >> (key >> WANTED_BITS & 63) & 1;
}

/* 1 for what is wanted, else 0. */
static always_inline u64 wanted_bit(u32 number, u64 inode)
{
	const struct wanted *w = wanted_at(number);
	u64 word;

	if (bpf_probe_read_user(&word, sizeof(word), &w->bits[(inode & ((1 << WANTED_BITS) - 1)) / 64]))
		return 1;
	return word >> (inode & 63) & 1;
}

/*
 * Is the process for the thread that asks. A multiplicative hash deals processes out:
 * by remainders half of the threads would idle where all numbers are even.
 */
static always_inline bool asks_process(const struct question *q, u32 tgid)
{
	u64 spread = (u32)(tgid * 0x9e3779b1);

	return !q->parts || spread * q->parts >> 32 == q->part;
}

static always_inline bool asks_kind(const struct question *q, u32 proto, u32 family, u32 state)
{
	return q->protos >> (proto & 31) & 1 && q->states >> (state & 31) & 1 &&
	       q->flags & (family == FAMILY_V6 ? ASK_V6 : ASK_V4);
}

/* The bits of a pair of ports. */
static always_inline u64 pair_bits(u16 lport, u16 rport)
{
	return (((u32)lport << 16 | rport) * 0x9e3779b1U) >> (32 - WANTED_BITS);
}

verified_once int asks_this_netns(u32 number, u32 netns)
{
	u32 some[MAX_NETNS];

	if (bpf_probe_read_user(some, sizeof(some), wanted_at(number)->conditions.netns))
		return 1;
	/* Beyond the last one is 0, as no namespace is numbered. */
#pragma clang loop unroll(full)
	for (u32 i = 0; i < MAX_NETNS; i++) {
		if (some[i] == netns)
			return 1;
	}
	return 0;
}

static always_inline bool asks_netns(u32 number, u32 netns)
{
	return likely(!has(number, HAS_NETNS)) || asks_this_netns(number, netns);
}

/* Is the word of an address that of the condition, both at the same place. */
static always_inline bool is_wanted_word(const u8 *addr, const u64 *want, const u64 *mask)
{
	u64 bits = 0, other = 0;

	if (bpf_probe_read_user(&bits, sizeof(bits), mask) ||
	    bpf_probe_read_user(&other, sizeof(other), want))
		return true;
	return !((*(const u64 *)addr ^ other) & bits);
}

verified_once int asks_these_ends(u32 number, const struct socket_record *r)
{
	const struct conditions *c = &wanted_at(number)->conditions;
	u16 ports[4];
	u32 n;

	if (!r || bpf_probe_read_user(&n, sizeof(n), &c->n_ends))
		return 1;
	for (u32 i = 0; i < MAX_ENDS; i++) {
		const struct ends_condition *e = &c->ends[i];

		if (i >= n)
			break;
		if (bpf_probe_read_user(ports, sizeof(ports), &e->lport_first))
			return 1;
		if (r->lport >= ports[0] && r->lport <= ports[1] && r->rport >= ports[2] &&
		    r->rport <= ports[3] && is_wanted_word(r->local, e->local, e->local_mask) &&
		    is_wanted_word(r->local + 8, e->local + 1, e->local_mask + 1) &&
		    is_wanted_word(r->remote, e->remote, e->remote_mask) &&
		    is_wanted_word(r->remote + 8, e->remote + 1, e->remote_mask + 1))
			return 1;
	}
	return 0;
}

/* An MPTCP session is needed for its subflows too, whose owners it has. */
static always_inline bool asks_ends(u32 number, const struct socket_record *r)
{
	return likely(!has(number, HAS_ENDS)) || r->proto == PROTO_MPTCP || asks_these_ends(number, r);
}

static always_inline void read_brief(struct brief *b, u32 number)
{
	if (bpf_probe_read_user(b, sizeof(*b), &wanted_at(number)->brief))
		*b = (struct brief){.port_last = 0xffff};
}

/* May a socket with these ends meet the conditions. Of one without a remote end nothing is said. */
static always_inline bool meets_brief(const struct brief *b, u16 lport, u16 rport, u32 local, u32 remote)
{
	u16 span = b->port_last - b->port_first;

	if (!rport)
		return true;
	if ((u16)(lport - b->port_first) > span && (u16)(rport - b->port_first) > span)
		return false;
	return !((local ^ b->address) & b->mask) || !((remote ^ b->address) & b->mask);
}
