// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * MPTCP. A connection is a session of one socket, which no packet reaches, and
 * its subflows are sockets of TCP, which are not sessions. connect and listen
 * set the state of both, of the session's first.
 *
 * The socket of a connection that came in is a copy of its listener's, cookie
 * included, and gets its ends after its state. So its note is made when its
 * first subflow is established, and found by the cookie of that.
 */
#pragma once

#include "note.h"

/* Is it a subflow of MPTCP? One that fell back to TCP is not, if it came in. */
static always_inline bool is_subflow(struct tcp_sock *tcp)
{
	return tcp && field_exists(tcp->is_mptcp) && tcp->is_mptcp;
}

/* The socket of the session that a subflow belongs to. */
static always_inline struct sock *session_of(struct sock *subflow)
{
	struct mptcp_subflow_context *context = NULL;
	struct sock *sk = NULL;

	if (!type_exists(struct mptcp_subflow_context))
		return NULL;
	probe(&context, &((struct inet_connection_sock *)subflow)->icsk_ulp_data);
	if (context)
		probe(&sk, &context->conn);
	return sk;
}

/* The first subflow of a session. */
static always_inline struct sock *first_of(struct sock *sk)
{
	struct mptcp_sock *msk = (void *)sk;
	struct sock *first = NULL;

	if (field_exists(msk->first))
		probe(&first, &msk->first);
	return first;
}

static always_inline u64 known_cookie(const struct sock *sk)
{
	u64 cookie = 0;

	probe(&cookie, &sk->__sk_common.skc_cookie.counter);
	return cookie;
}

/* The note at a place, if it is of that socket. */
static always_inline struct note *note_of(struct sock *sk, u32 at)
{
	struct note *n = note_at(at);

	return n && n->sk == (u64)sk ? n : NULL;
}

/* The note of the connect of a session, by its subflow. */
static always_inline struct note *connecting_note(struct sock *subflow)
{
	struct sock *sk = session_of(subflow);
	u64 cookie = sk ? known_cookie(sk) : 0;

	return cookie && first_of(sk) == subflow ? note_of(sk, find_note(cookie)) : NULL;
}

/* The place of the note of an MPTCP socket, and the cookie by which it is found. */
static noinline u32 find_session(struct sock *sk, u64 *key)
{
	u32 at = find_note(*key);
	struct sock *first;

	if (note_of(sk, at))
		return at;
	first = first_of(sk);
	*key = first ? known_cookie(first) : 0;
	at = *key ? find_note(*key) : NO_NOTE;
	return note_of(sk, at) ? at : NO_NOTE;
}

/* The same of any socket. At first the key is the socket's own cookie. */
static always_inline u32 find_own(struct sock *sk, u64 *key)
{
	return sk->sk_protocol == IPPROTO_MPTCP ? find_session(sk, key) : find_note(*key);
}
