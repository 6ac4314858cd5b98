// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The numbers with which a TCP connection began. Both of its ends know them,
 * whatever translates addresses between them. `probe` is that of the program which
 * includes this.
 */
#pragma once

#include "origin.h"

struct isns {
	u32 own, other;
};

#define MOVED_STATES (1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT | FIN_STATES)

/*
 * What the initial numbers follow from. A SYN or a FIN that was acknowledged counts
 * among the bytes as it does among the numbers, so a state does not matter.
 */
struct progress {
	u32 una, next;	/* the next to be acknowledged, and to be received */
	u32 own, other; /* both less what was counted since */
	u32 unsent, over; /* as origin_of_count has them */
};

verified_once int read_progress(struct progress *p, u64 address)
{
	const struct sock *sk = (const void *)address;
	const struct tcp_sock *tcp = (const void *)address;
	struct count c = {};
	u64 received = 0;
	u32 next = 0;

	if (!is_given(p))
		return 0;
	read_count(&c, sk);
	probe(&next, &tcp->rcv_nxt);
	probe(&received, &tcp->bytes_received);
	p->una = c.una;
	p->next = next;
	p->own = c.una - (u32)c.acked;
	p->other = next - (u32)received;
	p->unsent = c.written - c.next;
	p->over = over_of(&c);
	return 0;
}

/*
 * The numbers of the next ones less what was counted. One that was accepted begins to
 * count behind its SYN, and both do behind the other's.
 */
static always_inline struct isns isns_of(u32 own, u32 other, enum origin origin)
{
	return (struct isns){.own = own - (origin == ORIGIN_ACCEPTED), .other = other - 1};
}

/*
 * A restored connection (TCP_REPAIR) counts from where it was restored. The queue
 * that was chosen to set its numbers stays chosen.
 */
static always_inline bool is_repaired(const struct sock *sk)
{
	const struct tcp_sock *tcp = (const void *)sk;
	u8 queue = 0;
	u32 bit = 0;

	probe(&queue, &tcp->repair_queue);
	probe_bit(&bit, tcp, repair);
	return queue || bit;
}
