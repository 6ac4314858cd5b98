// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The way to the reader, the losses on it, and the reader's selection. */
#pragma once

#include "../../../../internal/bpf/conditions.h"
#include "record.h"

/* The loader sets the sizes of maps. */
struct {
	uint(type, BPF_MAP_TYPE_RINGBUF);
	uint(max_entries, 1 << 23);
} ring SEC(".maps");

struct losses {
	u64 ring;    /* events whose record found no room */
	u64 flows;   /* flows that found no place */
	u64 sockets; /* sockets of which no note could be kept */
};

struct {
	uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	uint(max_entries, 1);
	type(key, u32);
	type(value, struct losses);
} lost SEC(".maps");

/* Set before loading, so that the kernel drops the code that is not needed. */
const volatile u64 wake_at = 1 << 21; /* bytes in the ring that wake the reader */
const volatile u32 wanted = ~0U;      /* enum what */
const volatile u32 protos = ~0U;      /* a bit each, PROTO_* */
const volatile u32 families = ~0U;    /* a bit each, FAMILY_* */
const volatile bool listeners;	      /* whatever the ends are */
const volatile bool text = true;      /* read command lines and executables */
const volatile bool connect_hooks;    /* connect4 and connect6 note each connect */

/* Conditions on the namespace and both ends. */
const volatile struct conditions conditions;

static always_inline bool asks_kind(u32 proto, u32 family)
{
	return protos >> (proto & 31) & 1 && families >> (family & 31) & 1;
}

static always_inline bool asks_netns(u32 netns)
{
	return meets_netns(&conditions, netns);
}

static always_inline bool asks_ends(const u8 *local, const u8 *remote, u16 lport, u16 rport)
{
	return !conditions.n_ends || meets_ends(&conditions, local, remote, lport, rport);
}

#define count_loss(member, n)                                                                      \
	do {                                                                                       \
		u32 zero = 0;                                                                      \
		struct losses *l = bpf_map_lookup_elem(&lost, &zero);                              \
		if (l)                                                                             \
			l->member += (n);                                                          \
	} while (0)

/* Room for a record of n events; they are lost if there is none. */
static always_inline void *reserve(u64 size, u32 n)
{
	void *r = bpf_ringbuf_reserve(&ring, size, 0);

	if (!r)
		count_loss(ring, n);
	return r;
}

/*
 * The reader looks by itself every so often. Much waiting data
 * wakes it, but the records that follow do not wake it again.
 */
static always_inline void submit(void *r)
{
	u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) - wake_at;

	bpf_ringbuf_submit(r, waiting < wake_at / 4 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* The number of events in a TCP record. */
static always_inline u32 count_events(u32 what)
{
	return (what & 1) + (what >> 1 & 1) + (what >> 2 & 1) + (what >> 3 & 1) + (what >> 4 & 1) +
	       (what >> 5 & 1);
}

/* The address named by a call. */
static always_inline void put_user_addr(u8 *addr, struct bpf_sock_addr *ctx, u8 family)
{
	if (family == FAMILY_V4) {
		map_v4(addr, ctx->user_ip4);
		return;
	}
	((u32 *)addr)[0] = ctx->user_ip6[0];
	((u32 *)addr)[1] = ctx->user_ip6[1];
	((u32 *)addr)[2] = ctx->user_ip6[2];
	((u32 *)addr)[3] = ctx->user_ip6[3];
}
