// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The timer of a connection and its rest, as inet_diag tells them. */
#pragma once

#include "question.h"

enum timer {
	TIMER_RETRANSMIT = 1,
	TIMER_KEEPALIVE = 2,
	TIMER_TIMEWAIT = 3,
	TIMER_PERSIST = 4,
};

/* Of icsk_pending: retransmission, window probe, tail loss probe, reordering. */
#define ICSK_TIME_RETRANS     1
#define ICSK_TIME_PROBE0      3
#define ICSK_TIME_LOSS_PROBE  5
#define ICSK_TIME_REO_TIMEOUT 6

static always_inline u32 left_until(u64 expires)
{
	s64 left = expires - bpf_jiffies64();

	return left > 0 ? left : 0;
}

/* When the timer for retransmissions and probes is to fire. */
static always_inline u64 transmit_expires(u64 address)
{
	const struct inet_connection_sock *icsk = (const void *)address;
	const struct sock *sk = (const void *)address;
	u64 expires = 0;

	if (field_exists(icsk->icsk_timeout))
		probe(&expires, (const u64 *)&icsk->icsk_timeout);
	else if (field_exists(sk->tcp_retransmit_timer))
		probe(&expires, (const u64 *)&sk->tcp_retransmit_timer.expires);
	else
		probe(&expires, (const u64 *)&icsk->icsk_retransmit_timer.expires);
	return expires;
}

/* When the other one is, 0 where it is not pending. */
static always_inline u64 keepalive_expires(u64 address)
{
	const struct inet_connection_sock *icsk = (const void *)address;
	const struct sock *sk = (const void *)address;
	u64 pending = 0, expires = 0;

	if (field_exists(icsk->icsk_keepalive_timer)) {
		probe(&pending, (const u64 *)&icsk->icsk_keepalive_timer.entry.pprev);
		probe(&expires, (const u64 *)&icsk->icsk_keepalive_timer.expires);
	} else {
		probe(&pending, (const u64 *)&sk->sk_timer.entry.pprev);
		probe(&expires, (const u64 *)&sk->sk_timer.expires);
	}
	return pending ? expires : 0;
}

/* Of a whole socket of TCP. */
verified_once int put_timer(struct tcp_record *r, u64 address)
{
	const struct inet_connection_sock *icsk = (const void *)address;
	const struct tcp_sock *tcp = (const void *)address;
	u32 now = bpf_jiffies64(), sent = 0, received = 0;
	u64 expires;
	u8 pending = 0;

	if (!r)
		return 0;
	probe(&sent, &tcp->lsndtime);
	probe(&received, &icsk->icsk_ack.lrcvtime);
	sent = now - sent;
	received = now - received;
	r->idle = sent < received ? sent : received;
	probe(&pending, (const u8 *)&icsk->icsk_pending);
	switch (pending) {
	case ICSK_TIME_RETRANS:
	case ICSK_TIME_LOSS_PROBE:
	case ICSK_TIME_REO_TIMEOUT:
		r->timer = TIMER_RETRANSMIT;
		probe(&r->tries, (const u8 *)&icsk->icsk_retransmits);
		r->left = left_until(transmit_expires(address));
		return 0;
	}
	if (pending == ICSK_TIME_PROBE0) {
		r->timer = TIMER_PERSIST;
		probe(&r->tries, (const u8 *)&icsk->icsk_probes_out);
		r->left = left_until(transmit_expires(address));
		return 0;
	}
	expires = keepalive_expires(address);
	if (expires) {
		r->timer = TIMER_KEEPALIVE;
		probe(&r->tries, (const u8 *)&icsk->icsk_probes_out);
		r->left = left_until(expires);
	}
	return 0;
}

/* Of a socket in TIME_WAIT, or of a request socket: there are no other figures. */
verified_once int put_minor_timer(struct tcp_record *r, u64 address)
{
	const struct inet_timewait_sock *tw = (const void *)address;
	const struct request_sock *req = (const void *)address;
	u64 expires = 0;
	u8 state = 0;

	if (!r)
		return 0;
	*r = (struct tcp_record){.tag = TAG(RECORD_TCP), .timer_only = 1};
	probe(&state, (const u8 *)&((const struct sock_common *)address)->skc_state);
	if (state == TCP_NEW_SYN_RECV) {
		r->timer = TIMER_RETRANSMIT;
		probe(&r->tries, (const u8 *)&req->num_retrans);
		probe(&expires, (const u64 *)&req->rsk_timer.expires);
	} else {
		r->timer = TIMER_TIMEWAIT;
		probe(&expires, (const u64 *)&tw->tw_timer.expires);
	}
	r->left = left_until(expires);
	return 0;
}
