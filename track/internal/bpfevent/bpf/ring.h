// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The way to the reader, what is lost on it, and what the reader asks for. */
#pragma once

#include "record.h"

/* Sizes of maps are what the loader sets them to. */
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

/* Set before loading, so that the kernel drops the code of what is not asked for. */
const volatile u64 wake_at = 1 << 21; /* bytes in the ring that wake the reader */
const volatile u32 wanted = ~0U;      /* enum what */
const volatile u32 protos = ~0U;      /* a bit each, PROTO_* */
const volatile u32 families = ~0U;    /* a bit each, FAMILY_* */
const volatile bool listeners;	      /* whatever the ends are */
const volatile bool text = true;      /* read command lines and executables */
const volatile bool connect_hooks;    /* connect4 and connect6 note each connect */

/*
 * A nought that the verifier knows nothing of. What it is added to may be any
 * number then, so that ways that part over a constant become one again.
 */
volatile u32 nought;

#define hide(value) ((value) + nought)

/* Conditions on both ends: one has to hold. Addresses are as in the records. */
struct ends {
	u64 local[2], local_mask[2];
	u64 remote[2], remote_mask[2];
	u16 lport_first, lport_last;
	u16 rport_first, rport_last;
};

#define MAX_ENDS  8
#define MAX_NETNS 8

struct narrow {
	u32 n_netns; /* 0: no condition */
	u32 n_ends;  /* 0: no condition */
	u32 netns[MAX_NETNS];
	struct ends ends[MAX_ENDS];
};

const volatile struct narrow narrow;

static always_inline bool asks_kind(u32 proto, u32 family)
{
	return protos >> (proto & 31) & 1 && families >> (family & 31) & 1;
}

static always_inline bool asks_netns(u32 netns)
{
	if (!narrow.n_netns)
		return true;
	for (u32 i = 0; i < MAX_NETNS; i++) {
		if (i < narrow.n_netns && narrow.netns[i] == netns)
			return true;
	}
	return false;
}

static always_inline bool within(const u8 *addr, const volatile u64 *want, const volatile u64 *mask)
{
	const u64 *a = (const u64 *)addr;

	return !(((a[0] ^ want[0]) & mask[0]) | ((a[1] ^ want[1]) & mask[1]));
}

static always_inline bool asks_ends(const u8 *local, const u8 *remote, u16 lport, u16 rport)
{
	if (!narrow.n_ends)
		return true;
	for (u32 i = 0; i < MAX_ENDS; i++) {
		const volatile struct ends *e = &narrow.ends[i];

		if (i < narrow.n_ends && lport >= e->lport_first && lport <= e->lport_last &&
		    rport >= e->rport_first && rport <= e->rport_last &&
		    within(local, e->local, e->local_mask) &&
		    within(remote, e->remote, e->remote_mask))
			return true;
	}
	return false;
}

#define count_loss(member, n)                                                                      \
	do {                                                                                       \
		u32 zero = 0;                                                                      \
		struct losses *l = bpf_map_lookup_elem(&lost, &zero);                              \
		if (l)                                                                             \
			l->member += (n);                                                          \
	} while (0)

/* Room for a record that tells of n events; lost if there is none. */
static always_inline void *reserve(u64 size, u32 n)
{
	void *r = bpf_ringbuf_reserve(&ring, size, 0);

	if (!r)
		count_loss(ring, n);
	return r;
}

/*
 * The reader looks by itself every so often. It is woken where much is waiting,
 * and then not again by each record that follows.
 */
static always_inline void submit(void *r)
{
	u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) - wake_at;

	bpf_ringbuf_submit(r, waiting < wake_at / 4 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* How many things a TCP record tells of. */
static always_inline u32 count_events(u32 what)
{
	return (what & 1) + (what >> 1 & 1) + (what >> 2 & 1) + (what >> 3 & 1) + (what >> 4 & 1) +
	       (what >> 5 & 1);
}

/* An IPv4 address as IPv4-mapped. */
static always_inline void map_v4(u8 *dst, u32 addr)
{
	u32 *words = (u32 *)dst;

	words[0] = hide(0);
	words[1] = hide(0);
	words[2] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? hide(0xffff0000) : hide(0x0000ffff);
	words[3] = addr;
}

/* The address that a call names. */
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
