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
 *	9    protocols, a bit each
 *	10   enum ask_flag
 *	11-14 process; with ASK_WANTED, where its struct wanted is in the memory of
 *	      the reader, in units of 16 MiB
 *
 * fd_walk has the first descriptor of its range in 11-14 or, with ASK_WANTED,
 * in 6-9.
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
 *	4-8  the namespace, and above it 1 for UDP
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

/*
 * A function of its own to the verifier, so that it looks at it once (Linux
 * 5.12). What is built BEFORE_5_12 has it looked at with each call.
 */
#ifdef BEFORE_5_12
#define verified_once static noinline
#else
#define verified_once noinline
#endif

enum ask_flag {
	ASK_V4 = 1 << 0,
	ASK_V6 = 1 << 1,
	ASK_TCPINFO = 1 << 2, /* a tcp_record after each TCP socket */
	ASK_FULL = 1 << 3,    /* full records of sockets that have a file too */
	ASK_MARKS = 1 << 3,   /* of fd_walk: marks of processes */
	ASK_RESUME = 1 << 4,  /* one element of the walk or process, from where a more_record says */
	ASK_WANTED = 1 << 5,  /* only sockets with a file that are in struct wanted */
};

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
	u32 number; /* process, 0: all; or the place of struct wanted */
};

#define SIX(word, at)	((u32)((word) >> (at) * 8 & 0xff) - '0' & 0x3f)
#define SEVEN(word, at) ((u32)((word) >> (at) * 8 & 0xff) - '0' & 0x7f)

static always_inline void as_question(struct question *q, const u64 name[2])
{
	u64 low = name[0], high = name[1];

	if (likely((u32)low != ASK_MAGIC)) {
		q->part = q->parts = q->number = nought;
		q->states = q->protos = hide(~0U);
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

static always_inline void read_question(struct question *q)
{
	u64 name[2] = {};

	bpf_get_current_comm(name, sizeof(name));
	as_question(q, name);
}

/*
 * The sockets that a reader looks for once more: a bit for each inode or, where
 * fd_walk is asked, for the key of each file, by its lower bits. Those of others
 * with the same bits come along.
 */
#define WANTED_BITS 15

struct wanted {
	u64 bits[(1 << WANTED_BITS) / 64];
	u64 summary; /* a bit for each key, by the six bits above */
};

/* What most keys are told apart by, without a read for each. */
static always_inline u64 wanted_summary(u32 number)
{
	const struct wanted *w = (const void *)((u64)number << 24);
	u64 summary = ~0ULL;

	bpf_probe_read_user(&summary, sizeof(summary), &w->summary);
	return summary;
}

/* 1 for what may be wanted, else 0. */
static always_inline u64 in_summary(u64 summary, u64 key)
{
	return summary >> (key >> WANTED_BITS & 63) & 1;
}

/* 1 for what is wanted, else 0. */
static always_inline u64 wanted_bit(u32 number, u64 inode)
{
	const struct wanted *w = (const void *)((u64)number << 24);
	u64 word = ~0ULL;

	/* What cannot be read is not there: everything is wanted then. */
	bpf_probe_read_user(&word, sizeof(word), &w->bits[(inode & ((1 << WANTED_BITS) - 1)) / 64]);
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

/*
 * Conditions that only the process that loaded the programs can set, and that a
 * pinned iterator has none of. Volatile: the program never writes them, and the
 * loader does, as a map of their own.
 */
volatile struct conditions conditions SEC(".data.conditions");

static always_inline bool asks_netns(u32 netns)
{
	return meets_netns(&conditions, netns);
}

verified_once int asks_these_ends(const struct socket_record *r)
{
	return r && meets_ends(&conditions, r->local, r->remote, r->lport, r->rport);
}

/* An MPTCP session is needed for its subflows too, whose owners it has. */
static always_inline bool asks_ends(const struct socket_record *r)
{
	return likely(!conditions.n_ends) || r->proto == PROTO_MPTCP || asks_these_ends(r);
}
