// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Notes of TCP. A connection has a note from its connect, or from its
 * establishment, until it is emitted. Most are closed by then, and emitted as one
 * record. The reader runs `flush` every so often, which emits the others, and
 * their notes go. So the table holds the last moment, not everything that stands.
 *
 * The events of one socket happen under its lock, one
 * after the other; only `flush` comes from the side.
 */
#pragma once

#include "../../../../internal/bpf/flow.h"
#include "process.h"

enum note_bit {
	NOTE_OUT = 1 << 0,	/* connected from here */
	NOTE_OPEN = 1 << 1,	/* established */
	NOTE_ACCEPTED = 1 << 2, /* and accepted */
	NOTE_EMITTED = 1 << 3,	/* in a record */
	NOTE_LISTEN = 1 << 4,	/* a listener */
	NOTE_CLOSED = 1 << 5,	/* closed, and being emitted */
	NOTE_SENT = 1 << 6,	/* connect got as far as to send */
	NOTE_BUSY = 1 << 7,	/* being written: nothing for the flush */
};

/* Two lines of the cache, of which all but connect use the first alone. */
struct note {
	u64 sk;
	u64 called; /* when connect or listen was, or accept came back; ns, as in the records */
	u64 opened;
	struct who who;
	u32 inode; /* as long as it had one, 0: not seen */
	u32 doubt; /* of the cookie of which flush saw no socket, or a closed one */
	u64 first; /* the subflow by whose cookie it is found, 0: by that of sk; see mptcp.h */
	struct isns isns; /* 0 for both: not known */
	/* Of a connect, which may come back before the socket knows any of it. */
	u8 remote[16];
	u16 rport;
	u8 family;
	u8 pad2;
	u32 netns;
	u32 uid;
	u32 err;
	u64 pad3[4];
};

/*
 * The notes lie in an array, in sets. Cookies, which are given one after
 * the other, fill the sets evenly. A small array part for short lives
 * stays in the cache, and a large one serves when many are opened at a
 * time. Every change of a note goes through its word, so there are no
 * locks and nothing is allocated: a hash map costs several times as much.
 */
#define NOTE_SETS   256
#define NOTE_WAYS   2
#define NOTE_HOT    (NOTE_SETS * NOTE_WAYS)
#define SPARE_SETS  16384
#define SPARE_WAYS  4
#define NOTE_SPARES (SPARE_SETS * SPARE_WAYS)

#define NOTES	    (NOTE_HOT + NOTE_SPARES)
#define NO_NOTE	    ~0U

/*
 * The words of the notes: cookie << 8 | enum note_bit, changed as a whole
 * only; 0: free. They lie by themselves, those of a set side by side, so
 * most of a search for notes stays within some lines of the cache.
 */
u64 words[NOTES] __attribute__((aligned(64)));

struct {
	uint(type, BPF_MAP_TYPE_ARRAY);
	uint(max_entries, NOTES);
	uint(map_flags, BPF_F_MMAPABLE); /* whole pages: a note begins with a line */
	type(key, u32);
	type(value, struct note);
} notes SEC(".maps");

u64 spares; /* in use */

static always_inline struct note *note_at(u32 at)
{
	return bpf_map_lookup_elem(&notes, &at);
}

static always_inline volatile u64 *word_at(u32 at)
{
	u64 i = at;

	barrier_var(i); /* what is compared is what is used */
	return i < NOTES ? &words[i] : NULL;
}

static always_inline u64 word_of(u32 at)
{
	volatile u64 *word = word_at(at);

	return word ? *word : 0;
}

/* Changes a word, if it is still `was`. */
static always_inline bool change_word(u32 at, u64 was, u64 word)
{
	volatile u64 *w = word_at(at);

	return w && __sync_val_compare_and_swap(w, was, word) == was;
}

/* The place of a socket's note. These are global functions: see introduce. */
noinline u32 find_note(u64 cookie)
{
	u32 at = cookie % NOTE_SETS * NOTE_WAYS;

	for (u32 i = 0; i < NOTE_WAYS; i++, at++) {
		if (word_of(at) >> 8 == cookie)
			return at;
	}
	if (!*(volatile u64 *)&spares)
		return NO_NOTE;
	at = NOTE_HOT + cookie % SPARE_SETS * SPARE_WAYS;
	for (u32 i = 0; i < SPARE_WAYS; i++, at++) {
		if (word_of(at) >> 8 == cookie)
			return at;
	}
	return NO_NOTE;
}

static always_inline bool enter_at(u32 at, u64 cookie)
{
	return !word_of(at) && change_word(at, 0, cookie << 8 | NOTE_BUSY);
}

/* Makes a busy note for a socket that has none. */
noinline u32 enter_note(u64 cookie)
{
	u32 at = cookie % NOTE_SETS * NOTE_WAYS;

	for (u32 i = 0; i < NOTE_WAYS; i++, at++) {
		if (enter_at(at, cookie))
			return at;
	}
	__sync_fetch_and_add(&spares, 1);
	at = NOTE_HOT + cookie % SPARE_SETS * SPARE_WAYS;
	for (u32 i = 0; i < SPARE_WAYS; i++, at++) {
		if (enter_at(at, cookie))
			return at;
	}
	__sync_fetch_and_add(&spares, -1);
	count_loss(sockets, 1);
	return NO_NOTE;
}

/*
 * Sets bits of a note. False where the note now belongs to another socket.
 * Only its socket and the flush set bits, and the flush sets each once.
 */
static always_inline bool turn(u32 at, u64 cookie, u32 bits, u32 *before)
{
	for (u32 i = 0; i < 4; i++) {
		u64 word = word_of(at);

		if (word >> 8 != cookie)
			return false;
		if (change_word(at, word, word | bits)) {
			*before = word & 0xff;
			return true;
		}
	}
	return false;
}

/* Publishes a busy note, which nobody else may change. */
static always_inline void set_word(u32 at, u64 word)
{
	volatile u64 *w = word_at(at);

	if (w)
		__sync_lock_test_and_set(w, word);
}

/* Lets go of a note that is busy or closed. */
static always_inline void free_note(u32 at)
{
	set_word(at, 0);
	if (at >= NOTE_HOT)
		__sync_fetch_and_add(&spares, -1);
}

/*
 * A busy note for a socket's new beginning. Before are
 * the bits of its present note, 0 where it had none.
 */
noinline u32 renew_note(u64 cookie, u32 *before)
{
	u32 at = find_note(cookie);

	if (!before)
		return NO_NOTE;
	*before = 0;
	if (turn(at, cookie, NOTE_BUSY, before))
		return at;
	return enter_note(cookie);
}

/*
 * The kernel skips a program that would interrupt itself: events in a
 * softirq while a system call's program is under way. A second copy
 * handles the events skipped by the first. The first notes its events, by
 * CPU, on a stack, since one may interrupt the other. Events skipped by
 * the second stay there for a while. So they are noted by cookie, which
 * never comes again, and not by address, which the next socket has soon.
 */
#define HANDLED_DEPTH 4

struct handled {
	u32 depth;
	u32 pad;
	u64 event[HANDLED_DEPTH];
};

struct {
	uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	uint(max_entries, 1);
	type(key, u32);
	type(value, struct handled);
} handled SEC(".maps");

static always_inline void mark_handled(u64 event)
{
	u32 zero = 0, depth;
	struct handled *h = bpf_map_lookup_elem(&handled, &zero);

	if (!h)
		return;
	depth = h->depth;
	if (depth >= HANDLED_DEPTH)
		depth = 0; /* leftovers of what the second copy was left out of */
	h->event[depth] = event;
	h->depth = depth + 1;
}

static always_inline bool was_handled(u64 event)
{
	u32 zero = 0;
	s32 depth;
	struct handled *h = bpf_map_lookup_elem(&handled, &zero);

	if (!h)
		return false;
	depth = h->depth;
	for (int i = HANDLED_DEPTH - 1; i >= 0; i--) {
		if (i >= depth || h->event[i] != event)
			continue;
		h->depth = i;
		return true;
	}
	return false;
}
