// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * TCP. A note is kept of a connection from its connect, or from when it is
 * established, until it is told of. Most are closed by then, and told of in one
 * record; the reader has the others told by running `flush` every so often, and
 * their notes go. So the table holds the last moment, not all that stands.
 *
 * What happens to one socket happens under its lock, one after the other; only
 * `flush` comes from the side.
 */
#pragma once

#include "process.h"

enum note_bit {
	NOTE_OUT = 1 << 0,	/* connected from here */
	NOTE_OPEN = 1 << 1,	/* established */
	NOTE_ACCEPTED = 1 << 2, /* and accepted */
	NOTE_TOLD = 1 << 3,	/* in a record */
	NOTE_LISTEN = 1 << 4,	/* a listener */
	NOTE_CLOSED = 1 << 5,	/* closed, and being told of */
	NOTE_SENT = 1 << 6,	/* connect got as far as to send */
	NOTE_BUSY = 1 << 7,	/* being written: nothing for the flush */
};

struct note {
	u64 word; /* cookie << 8 | enum note_bit, changed as a whole only */
	u64 sk;
	u64 began; /* boot clock, ns, as all times here */
	u64 opened;
	u64 accepted;
	u64 inode; /* as long as it had one, 0: not seen */
	struct who who;
	/* Of a connect, which may come back before the socket knows any of it. */
	u8 remote[16];
	u16 rport;
	u8 family;
	u8 pad;
	u32 netns;
	u32 uid;
	u32 err;
	u32 doubt; /* of the cookie of which flush saw no socket, or a closed one */
};

struct {
	uint(type, BPF_MAP_TYPE_HASH);
	uint(max_entries, 32768);
	type(key, u64);
	type(value, struct note);
} notes SEC(".maps");

/*
 * The kernel leaves a program out that would interrupt itself: what comes in on
 * the way of a softirq while a system call's program is under way. A second
 * copy takes what the first did not. The first notes what it took, by CPU, on a
 * stack, since one may interrupt the other. What the second was left out of
 * stays there for a while: so it is noted by cookie, which never comes again,
 * and not by address, which the next socket has soon.
 */
#define TAKEN_DEPTH 4

struct taken {
	u32 depth;
	u32 pad;
	u64 event[TAKEN_DEPTH];
};

struct {
	uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	uint(max_entries, 1);
	type(key, u32);
	type(value, struct taken);
} taken SEC(".maps");

static always_inline void take(u64 event)
{
	u32 zero = 0, depth;
	struct taken *t = bpf_map_lookup_elem(&taken, &zero);

	if (!t)
		return;
	depth = t->depth;
	if (depth >= TAKEN_DEPTH)
		depth = 0; /* leftovers of what the second copy was left out of */
	t->event[depth] = event;
	t->depth = depth + 1;
}

static always_inline bool is_taken(u64 event)
{
	u32 zero = 0;
	s32 depth;
	struct taken *t = bpf_map_lookup_elem(&taken, &zero);

	if (!t)
		return false;
	depth = t->depth;
	for (int i = TAKEN_DEPTH - 1; i >= 0; i--) {
		if (i >= depth || t->event[i] != event)
			continue;
		t->depth = i;
		return true;
	}
	return false;
}

/*
 * Sets bits of a note. False where the note has become another socket's: what
 * is deleted is used again at once, whoever looks at it. Besides the one whose
 * socket it is only the flush sets any, and each bit once.
 */
static always_inline bool turn(struct note *n, u64 cookie, u32 bits, u32 *before)
{
	for (u32 i = 0; i < 4; i++) {
		u64 word = n->word;

		if (word >> 8 != cookie)
			return false;
		if (__sync_val_compare_and_swap(&n->word, word, word | bits) == word) {
			*before = word & 0xff;
			return true;
		}
	}
	return false;
}
