// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* How a socket came to its connection, in its record. */
#pragma once

#include "../../../../internal/bpf/origin.h"
#include "socket.h"

static always_inline u8 flag_of(enum origin origin)
{
	return origin == ORIGIN_ACCEPTED ? FLAG_ACCEPTED : origin ? FLAG_CONNECTED : 0;
}

verified_once int put_origin(struct socket_record *r, u64 address)
{
	const struct sock *sk = (const void *)address;
	const struct mptcp_sock *msk = (const void *)address;
	u8 state;

	if (!r || is_udp(r->proto) || r->state == TCP_LISTEN || r->state == TCP_CLOSE)
		return 0;
	state = r->state;
	if (r->proto == PROTO_MPTCP) {
		/* The first subflow has it. Not every kernel is built with MPTCP. */
		if (!field_exists(msk->first) || probe(&sk, &msk->first) || !sk)
			return 0;
		probe(&state, (u8 *)&sk->__sk_common.skc_state);
	}
	r->flags |= flag_of(origin_of(sk, state));
	return 0;
}
