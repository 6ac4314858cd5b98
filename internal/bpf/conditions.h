// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Conditions of a question on the namespace and on both ends of a socket, which Go
 * writes into the memory of programs (bpf.Conditions). Addresses are as in records,
 * IPv4 as IPv4-mapped.
 */
#pragma once

#include "core.h"

struct ends_condition {
	u64 local[2], local_mask[2];
	u64 remote[2], remote_mask[2];
	u16 lport_first, lport_last;
	u16 rport_first, rport_last;
};

#define MAX_ENDS  8
#define MAX_NETNS 8

struct conditions {
	u32 n_netns; /* one of them has to be met; 0: no condition */
	u32 n_ends;  /* the same */
	u32 netns[MAX_NETNS];
	struct ends_condition ends[MAX_ENDS];
};

static always_inline bool meets_netns(const volatile struct conditions *c, u32 netns)
{
	u32 n = c->n_netns;

	if (likely(!n))
		return true;
	for (u32 i = 0; i < MAX_NETNS; i++) {
		if (i < n && c->netns[i] == netns)
			return true;
	}
	return false;
}

static always_inline bool within(const u8 *addr, const volatile u64 *want, const volatile u64 *mask)
{
	const u64 *a = (const u64 *)addr;

	return !(((a[0] ^ want[0]) & mask[0]) | ((a[1] ^ want[1]) & mask[1]));
}

/* Does one of the conditions on the ends hold. The caller has seen that there are some. */
static always_inline bool meets_ends(const volatile struct conditions *c, const u8 *local,
				     const u8 *remote, u16 lport, u16 rport)
{
	u32 n = c->n_ends;

	for (u32 i = 0; i < MAX_ENDS; i++) {
		const volatile struct ends_condition *e = &c->ends[i];

		if (i >= n)
			break;
		if (lport >= e->lport_first && lport <= e->lport_last && rport >= e->rport_first &&
		    rport <= e->rport_last && within(local, e->local, e->local_mask) &&
		    within(remote, e->remote, e->remote_mask))
			return true;
	}
	return false;
}
