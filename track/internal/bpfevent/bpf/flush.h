// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The reader runs these programs every so often. They emit what stands
 * for longer than a moment, from the side, while the socket goes on.
 */
#pragma once

#include "connect.h"

/* Changes the word of a note, if it is still `was`. 0 lets go of the note. */
static always_inline bool change(u32 at, u64 was, u64 word)
{
	if (!change_word(at, was, word))
		return false;
	if (!word && at >= NOTE_HOT)
		__sync_fetch_and_add(&spares, -1);
	return true;
}

/* The cookie by which the socket of a note is found now, 0 where it is another. */
static always_inline u64 key_of(const struct note *n)
{
	struct sock *sk = (void *)n->sk, *first = (void *)n->first;

	if (!first)
		return known_cookie(sk);
	return first_of(sk) == first ? known_cookie(first) : 0;
}

/*
 * Fills in a record from the side and submits it, if nothing happened to
 * the socket meanwhile. Its note goes, unless an accept is still to come.
 */
static always_inline void emit_aside(struct note *n, u32 at, u64 was, struct sock *sk, u32 what,
				     const struct who *who, u64 now)
{
	u64 cookie = was >> 8, word = was | NOTE_EMITTED;
	struct tcp_record *r;
	bool asked;
	u32 flags = 0;

	if (what & WHAT_ACCEPT)
		word |= NOTE_ACCEPTED;
	flags |= word & NOTE_OUT ? FLAG_OUT : 0;
	flags |= word & NOTE_ACCEPTED ? FLAG_ACCEPTED : 0;
	if (word & (NOTE_OUT | NOTE_ACCEPTED | NOTE_LISTEN))
		word = 0;
	what &= wanted;
	r = reserve(sizeof(*r), count_events(what));
	if (!r) {
		change(at, was, word);
		return;
	}
	r->what = what;
	asked = what && put_socket(r, sk, n, false);
	put_note(r, n, n->first ? known_cookie(sk) : cookie);
	if (who->tgid) {
		r->called = now;
		r->start = who->start;
		r->tgid = who->tgid;
		r->pid = who->pid;
	}
	r->time = was & NOTE_OUT || !r->called ? r->opened : r->called;
	r->flags |= flags;
	if (key_of(n) != cookie || !change(at, was, word) || !asked)
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
	else
		submit(r);
}

/* An established connection is emitted, and its note kept until it is accepted. */
static always_inline void flush_open(struct note *n, u32 at, u64 was, struct sock *sk, u64 now)
{
	u32 what = was & NOTE_EMITTED ? 0 : WHAT_OPEN;
	struct who who = {};
	u64 cred;

	if (is_unclaimed(was)) {
		cred = file_cred(sk, false);
		if (cred && maker_of(&cred, &who, 0))
			what |= WHAT_ACCEPT;
	} else if (was & NOTE_ACCEPTED) {
		what |= WHAT_ACCEPT;
	}
	if (what)
		emit_aside(n, at, was, sk, what, &who, now);
}

/*
 * The time when the last program was attached, by the boot clock; 0:
 * not yet. An earlier connect may have reached the socket unseen.
 */
volatile u64 attached;

/* The time after which an open connection is emitted without its end, ns. */
volatile u64 emit_after;

/* The view of flush on a socket. */
struct sight {
	u64 cookie;
	s32 owned; /* a call is under way */
	u8 state;
};

static always_inline void look_aside(struct sight *s, struct note *n)
{
	struct sock *sk = (void *)n->sk;

	probe(&s->owned, &sk->sk_lock.owned);
	bpf_probe_read_kernel(&s->state, 1, (void *)&sk->__sk_common.skc_state);
	s->cookie = key_of(n);
}

/*
 * The socket of a note is gone, or closed. If the note has not changed
 * since flush looked, nor since the time before, this is no race: the
 * connect came back at once, or no program ran when the socket was closed.
 */
static always_inline void flush_over(struct note *n, u32 at, u64 was)
{
	u64 cookie = was >> 8;

	if (n->doubt != (u32)cookie) {
		n->doubt = cookie;
		return;
	}
	if ((was & 0xff) == NOTE_OUT) {
		if (attached && n->called >= attached)
			emit_refused(n, at, was);
		if (!change(at, was | NOTE_EMITTED, 0))
			change(at, was, 0);
	} else if (change(at, was, 0)) {
		count_loss(sockets, 1); /* closed, and no record says so */
	}
}

/* Looks at the note at a place. The verifier goes through it once. */
noinline u32 flush_note(u32 at, u64 now)
{
	struct note *n = note_at(at);
	u64 was, age;
	struct who nobody = {};
	struct sight s = {};
	struct sock *sk;

	if (!n)
		return 0;
	was = word_of(at);
	if (!was || was & (NOTE_CLOSED | NOTE_BUSY))
		return 0;
	sk = (void *)n->sk;
	age = now > n->called ? now - n->called : 0; /* it may be younger than the flush */
	look_aside(&s, n);
	if (s.cookie != was >> 8 || s.state == TCP_CLOSE) {
		/* It is CLOSE too until connect or listen, which a task is in, sets it. */
		if (!(s.cookie == was >> 8 && s.owned) &&
		    ((was & 0xff) != NOTE_OUT || age > ON_ITS_WAY))
			flush_over(n, at, was);
		return 0;
	}
	if (was & NOTE_OPEN && now > n->opened + emit_after)
		flush_open(n, at, was, sk, now);
	else if (was & NOTE_LISTEN && s.state == TCP_LISTEN && age > LISTEN_SETTLED)
		emit_aside(n, at, was, sk, WHAT_LISTEN, &nobody, now);
	return 0;
}

struct flush {
	u64 now;
	u32 first;
};

static long flush_at(u32 i, struct flush *f)
{
	if (word_of(f->first + i))
		flush_note(f->first + i, f->now);
	return 0;
}

/* Run by the reader every so often. */
SEC("syscall")
int flush(void *ctx)
{
	struct flush f = {.now = bpf_ktime_get_boot_ns()};

	bpf_loop(NOTE_HOT, flush_at, &f, 0);
	f.first = NOTE_HOT;
	if (spares)
		bpf_loop(NOTE_SPARES, flush_at, &f, 0);
	return 0;
}
