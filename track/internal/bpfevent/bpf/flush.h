// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* What stands for longer than a moment is told of from the side, by the reader. */
#pragma once

#include "connect.h"

/*
 * Fills in a record from the side and hands it out, if nothing happened to the
 * socket meanwhile. Nothing but the word of a note is written from here.
 */
static always_inline bool tell_aside(struct note *n, u64 word, struct sock *sk, u32 what,
				     const struct who *who, u64 now)
{
	u64 cookie = word >> 8, still = 0, told = word | NOTE_TOLD;
	struct tcp_sock *tcp = (void *)sk;
	bool asked, subflow = false;
	struct tcp_record *r;

	if (what & WHAT_ACCEPT)
		told |= NOTE_ACCEPTED;
	what &= wanted;
	r = reserve(sizeof(*r), count_events(what));
	if (!r)
		return __sync_val_compare_and_swap(&n->word, word, told) == word;
	r->what = what;
	asked = what && put_socket(r, sk, false);
	if (field_exists(tcp->is_mptcp) && asked && r->proto == PROTO_TCP)
		probe(&subflow, &tcp->is_mptcp);
	put_note(r, n, cookie);
	if (who->tgid) {
		r->accepted = now;
		r->start = who->start;
		r->tgid = who->tgid;
		r->pid = who->pid;
	}
	r->time = what & WHAT_LISTEN ? r->began : r->accepted ? r->accepted : r->opened;
	r->flags |= (told & NOTE_OUT ? FLAG_OUT : 0) | (told & NOTE_ACCEPTED ? FLAG_ACCEPTED : 0);
	probe(&still, &sk->__sk_common.skc_cookie.counter);
	if (still != cookie || __sync_val_compare_and_swap(&n->word, word, told) != word) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return false;
	}
	if (asked && !subflow)
		submit(r);
	else
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
	return true;
}

/* An established connection: told of, and its note kept only until it is accepted. */
static always_inline void flush_open(struct note *n, u64 word, struct sock *sk, u64 now)
{
	u32 what = word & NOTE_TOLD ? 0 : WHAT_OPEN;
	struct who who = {};
	u64 cookie, cred;

	if (is_unclaimed(word)) {
		cred = file_cred(sk, false);
		if (cred && maker_of(&cred, &who, 0))
			what |= WHAT_ACCEPT;
	} else if (word & NOTE_ACCEPTED) {
		what |= WHAT_ACCEPT;
	}
	if (!what || !tell_aside(n, word, sk, what, &who, now))
		return;
	cookie = word >> 8;
	if (word & NOTE_OUT || what & WHAT_ACCEPT)
		bpf_map_delete_elem(&notes, &cookie);
}

struct flush {
	u64 now;
};

/*
 * When the last program was attached, by the boot clock; 0: not yet. Of a
 * connect that began before, its way to the socket may not have been seen.
 */
volatile u64 attached;

/* What flush sees of a socket. */
struct sight {
	u64 cookie;
	s32 owned; /* a call is under way */
	u8 state;
};

static always_inline void look_aside(struct sight *s, struct sock *sk)
{
	probe(&s->owned, &sk->sk_lock.owned);
	bpf_probe_read_kernel(&s->state, 1, (void *)&sk->__sk_common.skc_state);
	probe(&s->cookie, &sk->__sk_common.skc_cookie.counter);
}

/*
 * The socket of a note is gone, or closed. If the note is what it was when flush
 * looked, and was so the time before, it is no race: the connect came back at
 * once, or no program ran when the socket was closed.
 */
static always_inline void flush_over(struct note *n, u64 word)
{
	u64 cookie = word >> 8;

	if (n->doubt != (u32)cookie) {
		n->doubt = cookie;
		return;
	}
	if (__sync_val_compare_and_swap(&n->word, word, word | NOTE_TOLD) != word)
		return;
	if ((word & 0xff) != NOTE_OUT)
		count_loss(sockets, 1);
	else if (attached && n->began >= attached)
		tell_refused(n, cookie);
	bpf_map_delete_elem(&notes, &cookie);
}

static long flush_note(void *map, const u64 *key, struct note *n, struct flush *f)
{
	/* A note may be younger than the flush. */
	u64 age = f->now > n->began ? f->now - n->began : 0;
	u64 word = n->word, cookie = word >> 8;
	struct sock *sk = (void *)n->sk;
	struct who nobody = {};
	struct sight s = {};

	if (word & (NOTE_CLOSED | NOTE_BUSY))
		return 0;
	look_aside(&s, sk);
	if (s.cookie != cookie || s.state == TCP_CLOSE) {
		/* It is CLOSE too until connect or listen, which a task is in, sets it. */
		if (!(s.cookie == cookie && s.owned) &&
		    ((word & 0xff) != NOTE_OUT || age > ON_ITS_WAY))
			flush_over(n, word);
		return 0;
	}
	if (word & NOTE_OPEN) {
		flush_open(n, word, sk, f->now);
	} else if (word & NOTE_LISTEN && s.state == TCP_LISTEN && age > LISTEN_SETTLED &&
		   tell_aside(n, word, sk, WHAT_LISTEN, &nobody, f->now)) {
		bpf_map_delete_elem(&notes, &cookie);
	}
	return 0;
}

/* Run by the reader every so often. */
SEC("syscall")
int flush(void *ctx)
{
	struct flush f = {.now = bpf_ktime_get_boot_ns()};

	bpf_for_each_map_elem(&notes, flush_note, &f, 0);
	return 0;
}
