// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * How a TCP socket came to its connection, as the socket itself has it. `probe`
 * is that of the program which includes this.
 */
#pragma once

#include "kernel.h"

enum origin {
	ORIGIN_UNKNOWN,
	ORIGIN_ACCEPTED,  /* from a listener */
	ORIGIN_CONNECTED, /* by connect */
};

#define FIN_STATES (1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 | 1 << TCP_CLOSING | 1 << TCP_LAST_ACK)

/* How far a connection has sent. */
struct count {
	u32 written, next, una;
	u64 acked, sent, again;
};

static always_inline void read_count(struct count *c, const struct sock *sk)
{
	const struct tcp_sock *tcp = (const void *)sk;

	probe(&c->next, &tcp->snd_nxt);
	probe(&c->una, &tcp->snd_una);
	probe(&c->acked, &tcp->bytes_acked);
	probe(&c->sent, &tcp->bytes_sent);
	probe(&c->again, &tcp->bytes_retrans);
	probe(&c->written, &tcp->write_seq);
}

/*
 * By the SYN among the bytes that were acknowledged: the socket that connected
 * counts its own, and one that was accepted begins behind it. This holds while
 * all that was written has been sent. A count that is read while it changes comes
 * to neither.
 */
static always_inline enum origin origin_of_count(u32 unsent, u32 over, u8 state)
{
	if (unsent)
		return ORIGIN_UNKNOWN;
	if (1 << (state & 31) & FIN_STATES)
		over--;
	return over == 1 ? ORIGIN_CONNECTED : over == 0 ? ORIGIN_ACCEPTED : ORIGIN_UNKNOWN;
}

/* The numbers that were used and are no bytes: SYN and FIN. */
static always_inline u32 over_of(const struct count *c)
{
	return c->written - c->una + (u32)c->acked - (u32)(c->sent - c->again);
}

static always_inline enum origin origin_by_count(const struct sock *sk, u8 state)
{
	struct count c = {};

	read_count(&c, sk);
	return origin_of_count(c.written - c.next, over_of(&c), state);
}

/* Does the kernel mark a port that connect chose (Linux 6.18). */
#define MARKS_CONNECT field_exists(((struct inet_timewait_sock *)0)->tw_connect_bind)

/* A socket that is in the table of listeners, or was before it was disconnected. */
static always_inline bool was_listener(const struct sock *sk)
{
	unsigned long flags = 0;

	probe(&flags, &sk->__sk_common.skc_flags);
	return flags >> SOCK_RCU_FREE & 1;
}

/*
 * What is accepted is a copy of its listener: it has the backlog, and no port
 * chosen for itself. A listener that was disconnected and then connected keeps
 * its backlog too; it has such a port or, where connect is not marked, what is
 * never copied. Left are a listener without a backlog, and a client whose bind
 * left the choice of the port to the kernel; where connect is not marked it is
 * every client, which the count would slow down.
 */
static always_inline enum origin origin_by_marks(const struct sock *sk, u8 state)
{
	u32 locks = 0, backlog = 0;

	if (state == TCP_SYN_SENT)
		return ORIGIN_CONNECTED;
	probe_bit(&locks, sk, sk_userlocks);
	if (locks & (SOCK_BINDPORT_LOCK | SOCK_CONNECT_BIND))
		return ORIGIN_CONNECTED;
	probe(&backlog, &sk->sk_max_ack_backlog);
	if (backlog)
		return !MARKS_CONNECT && was_listener(sk) ? ORIGIN_CONNECTED : ORIGIN_ACCEPTED;
	return ORIGIN_UNKNOWN;
}

static always_inline enum origin origin_of(const struct sock *sk, u8 state)
{
	enum origin origin = origin_by_marks(sk, state);

	return origin || !MARKS_CONNECT ? origin : origin_by_count(sk, state);
}

/* Of TIME_WAIT the kernel keeps no more than the mark. */
static always_inline enum origin origin_of_timewait(const struct inet_timewait_sock *tw)
{
	u32 bit = 0;

	if (MARKS_CONNECT)
		probe_bit(&bit, tw, tw_connect_bind);
	return bit ? ORIGIN_CONNECTED : ORIGIN_UNKNOWN;
}

/*
 * The same of a socket that has just been closed, from a state. The port that
 * connect chose has been given back, and its mark with it.
 */
static always_inline enum origin origin_at_end(const struct sock *sk, u8 old)
{
	u32 locks = 0, backlog = 0;

	probe_bit(&locks, sk, sk_userlocks);
	if (locks & SOCK_BINDPORT_LOCK)
		return ORIGIN_CONNECTED;
	probe(&backlog, &sk->sk_max_ack_backlog);
	if (backlog)
		return was_listener(sk) ? ORIGIN_CONNECTED : ORIGIN_ACCEPTED;
	return origin_by_count(sk, old);
}
