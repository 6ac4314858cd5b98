// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * TCP sockets as they change their state: in the process
 * that calls, or in any context when a packet comes in.
 */
#pragma once

#include "../../../../internal/bpf/origin.h"
#include "socket.h"

/* The running process, unless the kernel does this for itself. */
static always_inline void name_current(struct sock *sk, struct who *w)
{
	if (!bit_of(sk, sk_kern_sock))
		name_running(w);
}

/* The credentials that made the file of a socket, 0 where it has none. */
static always_inline u64 file_cred(struct sock *sk, bool direct)
{
	struct socket *socket = get(sk, sk_socket);
	struct file *file = socket ? get(socket, file) : NULL;

	return file ? (u64)get(file, f_cred) : 0;
}

/* The cookie of a socket, which has one once it has a note. */
static always_inline u64 cookie_of(struct sock *sk)
{
	u64 cookie = sk->__sk_common.skc_cookie.counter;

	return cookie ? cookie : bpf_get_socket_cookie(sk);
}

/* Is it an incoming connection whose process is still unknown? */
static always_inline bool is_unclaimed(u64 word)
{
	return (word & (NOTE_OUT | NOTE_ACCEPTED | NOTE_LISTEN | NOTE_OPEN)) == NOTE_OPEN;
}

/* The process that made the file of an incoming connection, if it is known. */
static always_inline bool name_maker(struct sock *sk, struct tcp_sock *tcp, struct who *w, u32 how)
{
	u64 cred = tcp ? file_cred((void *)tcp, true) : file_cred(sk, false);

	return cred && maker_of(&cred, w, how);
}

/*
 * A connection was accepted, by the running process or by another before. Its
 * note lies at `at`, and is found by `key`.
 */
static noinline int claim(struct sock *sk, struct tcp_sock *tcp, u64 key, u32 at)
{
	struct emission about = {.cookie = known_cookie(sk), .what = WHAT_ACCEPT, .flags = FLAG_ACCEPTED};
	struct note *n = note_at(at);
	struct who who = {};
	u32 before;

	if (!n || !name_maker(sk, tcp, &who, MAKER_RUNS | MAKER_IN_HAND))
		return 0;
	/* The flush may come first, emit it, and let the note go to another. */
	if (!turn(at, key, NOTE_BUSY, &before))
		return 0;
	if (before & NOTE_ACCEPTED) {
		set_word(at, key << 8 | before);
		return 0;
	}
	n->who = who;
	n->called = about.now = bpf_ktime_get_boot_ns();
	n->inode = tcp ? inode_of((void *)tcp, true) : inode_of(sk, false);
	if (before & NOTE_EMITTED) {
		emit(sk, tcp, n, &about);
		free_note(at);
	} else {
		set_word(at, key << 8 | before | NOTE_ACCEPTED);
	}
	return 0;
}

/* connect or listen, in the calling process. */
static noinline int begin(struct sock *sk, u64 cookie, u32 bits)
{
	struct who who = {};
	struct note *n;
	u32 before, at;

	if (!asks_socket(sk, true))
		return 0;
	name_current(sk, &who);
	at = renew_note(cookie, &before);
	n = note_at(at);
	if (!n)
		return 0;
	n->sk = (u64)sk;
	n->called = bpf_ktime_get_boot_ns();
	n->opened = 0;
	n->who = who;
	n->inode = inode_of(sk, true);
	n->doubt = 0;
	n->first = 0;
	n->isns = (struct isns){};
	n->rport = 0;
	n->err = 0;
	set_word(at, cookie << 8 | bits);
	return 0;
}

/* The connect noted by the program at connect is on its way. */
static always_inline void sent(struct sock *sk)
{
	u64 cookie = cookie_of(sk);
	u32 before;

	turn(find_note(cookie), cookie, NOTE_SENT, &before);
}

/*
 * The initial numbers as a connection opens. One that sent nothing and had something
 * acknowledged sent a SYN, even if nobody saw it connect.
 */
static noinline int note_isns(struct note *n, struct tcp_sock *tcp, u32 out)
{
	enum origin origin = out ? ORIGIN_CONNECTED : ORIGIN_ACCEPTED;

	if (!n)
		return 0;
	if (!tcp || (!out && tcp->bytes_acked && !tcp->bytes_sent))
		origin = ORIGIN_UNKNOWN;
	n->isns = tcp ? isns_in_hand(tcp, origin) : (struct isns){};
	return 0;
}

static noinline int opened(struct sock *sk, struct tcp_sock *tcp, u64 cookie, u32 old)
{
	u32 before, at, bits = NOTE_OPEN | (old == TCP_SYN_SENT ? NOTE_OUT : 0);
	struct note *n;

	if (!asks_socket(sk, true))
		return 0;
	if (old == TCP_SYN_SENT) {
		/* Of one that is on its way flush lets the note be. */
		at = find_note(cookie);
		n = note_at(at);
		if (n) {
			n->opened = bpf_ktime_get_boot_ns();
			note_isns(n, tcp, 1);
			if (turn(at, cookie, bits, &before))
				return 0;
		}
	}
	at = renew_note(cookie, &before);
	n = note_at(at);
	if (!n)
		return 0;
	if (!before) {
		n->sk = (u64)sk;
		n->called = 0;
		n->who = (struct who){};
		n->inode = n->doubt = 0;
		n->first = 0;
	}
	n->opened = bpf_ktime_get_boot_ns();
	note_isns(n, tcp, (before | bits) & NOTE_OUT);
	set_word(at, cookie << 8 | before | bits);
	return 0;
}

/*
 * Whether a socket that leaves LISTEN was a listener. listen sets the state
 * before it has the port, and takes it back where it does not get it. A socket
 * is marked as it enters the table of listeners, however it ends, and keeps the
 * mark: one that listened before is believed.
 */
static always_inline bool listened(struct sock *sk)
{
	struct sock *first;
	unsigned long flags = sk->__sk_common.skc_flags;

	if (sk->sk_protocol == IPPROTO_MPTCP) {
		first = first_of(sk);
		flags = first ? load(first, __sk_common.skc_flags) : 0;
	}
	return flags & 1 << SOCK_RCU_FREE;
}

/* The events of a closed socket that are still to be emitted. */
static always_inline u32 what_closed(struct sock *sk, u32 old, u32 bits)
{
	u32 what;

	if (old == TCP_LISTEN) {
		if (!(bits & NOTE_LISTEN))
			return WHAT_UNLISTEN;
		return listened(sk) ? WHAT_LISTEN | WHAT_UNLISTEN : 0;
	}
	if (old == TCP_SYN_SENT || (bits & (NOTE_OUT | NOTE_OPEN)) == NOTE_OUT)
		return WHAT_FAIL;
	if (old == TCP_SYN_RECV)
		return 0;
	what = WHAT_CLOSE;
	if ((bits & (NOTE_OPEN | NOTE_EMITTED)) == NOTE_OPEN)
		what |= WHAT_OPEN | (bits & NOTE_ACCEPTED ? WHAT_ACCEPT : 0);
	return what;
}

/*
 * Does a connection end because its listener does, with the connection in its
 * queue? The listener's end, in the process that ends it, takes one after the
 * other from the queue and resets it. No file has it, and no error came in.
 */
static always_inline bool ends_queued(struct sock *sk, u32 old)
{
	return (old == TCP_ESTABLISHED || old == TCP_CLOSE_WAIT) && !sk->sk_err && !sk->sk_socket;
}

/*
 * As a session ends in the queue of its listener, its subflow becomes a plain
 * socket of TCP, and closes next. The note stays for that.
 */
static always_inline bool keep_for_subflow(struct note *n, u32 at, u64 key)
{
	struct sock *first = (void *)n->first;
	u8 state = TCP_CLOSE;

	if (!first)
		return false;
	bpf_probe_read_kernel(&state, 1, (void *)&first->__sk_common.skc_state);
	if (state == TCP_CLOSE)
		return false;
	set_word(at, key << 8 | NOTE_CLOSED);
	return true;
}

/* Which side a connection is that has no note: it was emitted before, or nobody saw it open. */
static noinline u32 side_at_end(struct tcp_sock *tcp, u32 old)
{
	enum origin origin = tcp ? origin_at_end((void *)tcp, old) : ORIGIN_UNKNOWN;

	return origin == ORIGIN_CONNECTED ? FLAG_OUT : origin == ORIGIN_ACCEPTED ? FLAG_IN : 0;
}

static noinline int closed(struct sock *sk, struct tcp_sock *tcp, u64 cookie, u32 old)
{
	struct emission about = {.cookie = cookie, .old = old};
	u64 key = cookie;
	u32 bits = 0, at = find_own(sk, &key);
	struct note *n = note_at(at);

	if (!n || !turn(at, key, NOTE_CLOSED, &bits))
		n = NULL;
	if (n && bits & NOTE_CLOSED) {
		free_note(at); /* a subflow of a session that ended before, see below */
		return 0;
	}
	about.now = bpf_ktime_get_boot_ns();
	if (n && is_unclaimed(bits) && name_maker(sk, tcp, &n->who, MAKER_RUNS)) {
		n->called = about.now;
		bits |= NOTE_ACCEPTED;
		if (bits & NOTE_EMITTED) {
			about.what = WHAT_ACCEPT;
			about.flags = FLAG_ACCEPTED;
			emit(sk, tcp, n, &about);
		}
	}
	about.what = what_closed(sk, old, bits);
	about.flags = bits & NOTE_OUT || old == TCP_SYN_SENT ? FLAG_OUT : 0;
	if (ends_queued(sk, old)) {
		about.flags |= FLAG_QUEUED;
		if (asks_socket(sk, true))
			name_current(sk, &about.queued);
	} else if (!n || bits & NOTE_ACCEPTED) {
		about.flags |= FLAG_ACCEPTED;
	}
	if (!n && about.what == WHAT_CLOSE)
		about.flags |= side_at_end(tcp, old);
	if (about.what == WHAT_FAIL && !tcp && !sk->__sk_common.skc_dport)
		about.flags |= FLAG_UNSENT;
	if (about.what)
		emit(sk, tcp, n, &about);
	if (n && !(about.flags & FLAG_QUEUED && keep_for_subflow(n, at, key)))
		free_note(at);
	return 0;
}

/* A connection of MPTCP came in: its first subflow is established. */
static noinline int came_in(struct sock *subflow, struct tcp_sock *tcp, u64 cookie)
{
	struct sock *sk = session_of(subflow), *first;
	struct note *n;
	u32 before, at;

	if (!sk || !asks_socket(sk, false))
		return 0;
	first = first_of(sk);
	if ((first && first != subflow) || note_of(sk, find_note(known_cookie(sk))))
		return 0; /* one more subflow, or both ends connected at once */
	at = renew_note(cookie, &before);
	n = note_at(at);
	if (!n)
		return 0;
	n->sk = (u64)sk;
	n->first = (u64)subflow;
	n->called = 0;
	n->opened = bpf_ktime_get_boot_ns();
	n->who = (struct who){};
	n->inode = n->doubt = 0;
	n->rport = 0;
	note_isns(n, tcp, 0);
	set_word(at, cookie << 8 | NOTE_OPEN);
	return 0;
}

/* A subflow is of interest for its session only. */
static noinline int subflow_state(struct sock *sk, struct tcp_sock *tcp, u64 cookie, u32 old, u32 new)
{
	struct note *n;

	if (new == TCP_ESTABLISHED && old == TCP_SYN_RECV)
		return came_in(sk, tcp, cookie);
	if (new != TCP_CLOSE || old != TCP_SYN_SENT || !sk->sk_err)
		return 0;
	n = connecting_note(sk);
	if (n)
		n->err = sk->sk_err; /* the session's socket closes before it has the error */
	return 0;
}

#define BEGIN_STATES (1 << TCP_SYN_SENT | 1 << TCP_ESTABLISHED | 1 << TCP_CLOSE | 1 << TCP_LISTEN)
#define LEAVE_STATES (1 << TCP_FIN_WAIT1 | 1 << TCP_LAST_ACK)

/* The process closes; the socket and its file are still there. */
static always_inline void leaving(struct sock *sk)
{
	u64 key = cookie_of(sk);
	u32 at = find_own(sk, &key);

	if (is_unclaimed(word_of(at)))
		claim(sk, bpf_skc_to_tcp_sock(sk), key, at);
}

static always_inline int on_state(u64 *ctx, bool second)
{
	struct sock *sk = (void *)ctx[0];
	u32 old = ctx[1], new = ctx[2];
	struct tcp_sock *tcp;
	u64 cookie;

	if (!second && 1 << (new & 31) & LEAVE_STATES && tcp_proto_of(sk->sk_protocol))
		leaving(sk);
	if (!(1 << (new & 31) & BEGIN_STATES) || old == new)
		return 0;
	if (!tcp_proto_of(sk->sk_protocol))
		return 0;
	if (new == TCP_SYN_SENT && connect_hooks && sk->sk_protocol == IPPROTO_TCP) {
		sent(sk);
		return 0;
	}
	/* The first copy gives the socket its cookie, if it is not left out. */
	if (second && was_handled((u64)sk->__sk_common.skc_cookie.counter << 4 | new))
		return 0;
	cookie = cookie_of(sk);
	if (!second)
		mark_handled(cookie << 4 | new);
	tcp = bpf_skc_to_tcp_sock(sk);
	if (is_subflow(tcp)) {
		subflow_state(sk, tcp, cookie, old, new);
		return 0;
	}
	switch (new) {
	case TCP_SYN_SENT:
		begin(sk, cookie, NOTE_OUT | NOTE_SENT);
		break;
	case TCP_LISTEN:
		begin(sk, cookie, NOTE_LISTEN);
		break;
	case TCP_ESTABLISHED:
		if (tcp || old == TCP_SYN_SENT)
			opened(sk, tcp, cookie, old);
		break;
	case TCP_CLOSE:
		closed(sk, tcp, cookie, old);
		break;
	}
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int tcp_state(u64 *ctx)
{
	return on_state(ctx, false);
}

SEC("tp_btf/inet_sock_set_state")
int tcp_state_again(u64 *ctx)
{
	return on_state(ctx, true);
}
