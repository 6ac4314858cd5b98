// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * How many datagrams a call sends: none as long as the socket is corked
 * (MSG_MORE, UDP_CORK, sendfile), one as it is no more, and several where the
 * call or the socket has a size of segments (UDP_SEGMENT).
 *
 * Of a corked socket, what the calls have put together is kept here, and counted
 * as one when it leaves. After MSG_MORE the last call pushes it. To clear UDP_CORK
 * is no call that sends; then the next call, the end of the socket, or the
 * reader's next look finds the socket uncorked. What is left at the end of the
 * socket never leaves.
 */
#pragma once

#include "flow.h"

#define NAMED_SIZE (1 << 16) /* the low bits are a size, perhaps 0 */

struct corked {
	struct flow_key key;
	u64 sk;
	u64 bytes;
	u64 last; /* call, boot clock, ns */
	struct who who;
	u16 size;  /* of segments */
	u16 option; /* UDP_CORK was set at the last call */
	u32 pad;
};

/* By cookie. */
struct {
	uint(type, BPF_MAP_TYPE_HASH);
	uint(max_entries, 65536);
	uint(map_flags, BPF_F_NO_PREALLOC);
	type(key, u64);
	type(value, struct corked);
} corked SEC(".maps");

u64 corks; /* entries of corked */

static always_inline u32 segments(u64 bytes, u32 size)
{
	size &= 0xffff;
	return size && bytes > size ? ((u32)bytes + size - 1) / size : 1;
}

static always_inline bool has_cork(struct udp_sock *up)
{
	if (field_exists(up->udp_flags))
		return load(up, udp_flags) & 1 << UDP_FLAGS_CORK;
	return load((struct udp_sock___old *)up, corkflag);
}

/* Takes an entry out of the map. False: somebody else did. */
static always_inline bool take_cork(u64 cookie)
{
	if (bpf_map_delete_elem(&corked, &cookie))
		return false;
	__sync_fetch_and_add(&corks, -1);
	return true;
}

/* The corked bytes have left. */
static noinline int push_cork(const struct corked *c)
{
	struct moved m = {.bytes = c->bytes, .datagrams = segments(c->bytes, c->size), .sent = true};
	struct flow_key key = c->key;
	struct who who = c->who;
	struct sock *sk = (void *)c->sk;
	struct flow *f;
	u64 now;

	if (!take_cork(key.cookie))
		return 0;
	now = bpf_ktime_get_boot_ns();
	f = bpf_map_lookup_elem(&flows, &key);
	if (f)
		count(f, true, m.bytes, m.datagrams, now);
	else
		begin_flow(sk, &key, &m, &who, now);
	return 0;
}

/*
 * A call on a corked socket came back. Keeps all that is on the socket by now. In
 * frames of their own, this and push_cork: together they are too much for the stack.
 */
static noinline int keep_cork(struct sock *sk, const struct flow_key *key, u64 all)
{
	struct udp_sock *up = (void *)sk;
	u64 cookie = key->cookie;
	struct corked *c = bpf_map_lookup_elem(&corked, &cookie), fresh = {};

	if (!c) {
		c = &fresh;
		c->key = *key;
		c->sk = (u64)sk;
		name_current(sk, &c->who);
	}
	c->bytes = all;
	c->last = bpf_ktime_get_boot_ns();
	c->size = load((struct inet_sock *)sk, cork.base.gso_size);
	c->option = has_cork(up);
	if (c == &fresh) {
		if (bpf_map_update_elem(&corked, &cookie, &fresh, BPF_NOEXIST))
			count_loss(flows, 1);
		else
			__sync_fetch_and_add(&corks, 1);
	}
	return 0;
}

/*
 * A call that sends came back, with so many bytes or an error: does it belong
 * to a corked datagram? It may have been the last one, which pushed the datagram
 * or, where it failed, dropped it.
 */
static always_inline bool is_corked(struct sock *sk, const struct flow_key *key, s32 bytes)
{
	struct udp_sock *up = (void *)sk;
	u64 cookie = key->cookie, all;
	struct corked *c;

	if (load(up, pending)) {
		if (bytes < 0)
			return true;
		all = load(up, len) - 8ULL;
		c = corks ? bpf_map_lookup_elem(&corked, &cookie) : NULL;
		if (c && c->bytes + bytes != all)
			push_cork(c); /* the earlier bytes left meanwhile */
		keep_cork(sk, key, all);
		return true;
	}
	if (!corks)
		return false;
	c = bpf_map_lookup_elem(&corked, &cookie);
	if (!c)
		return false;
	if (c->option && (bytes >= 0 || !has_cork(up))) {
		push_cork(c); /* before this call */
		return false;
	}
	if (bytes < 0) {
		take_cork(cookie);
		return true;
	}
	c->bytes += bytes;
	push_cork(c);
	return true;
}

/* The socket closes. What is pending then is dropped. */
static noinline int end_cork(u64 cookie)
{
	struct corked *c = bpf_map_lookup_elem(&corked, &cookie);

	if (!c)
		return 0;
	if (load((struct udp_sock *)c->sk, pending))
		take_cork(cookie);
	else
		push_cork(c);
	return 0;
}

/* A call by MSG_MORE may have pushed it and not come back yet. */
#define CALL_IS_BACK 1000000000ULL

static long look_at_cork(void *map, const u64 *cookie, struct corked *c, const u64 *now)
{
	struct sock *sk = (void *)c->sk;
	u64 still = load(sk, __sk_common.skc_cookie.counter);

	if (still != *cookie)
		take_cork(*cookie); /* no program ran as it closed */
	else if (!load((struct udp_sock *)sk, pending) &&
		 (c->option || *now > c->last + CALL_IS_BACK))
		push_cork(c);
	return 0;
}

/* Run by the reader every so often. */
SEC("syscall")
int flush_corks(void *ctx)
{
	u64 now = bpf_ktime_get_boot_ns();

	if (corks)
		bpf_for_each_map_elem(&corked, look_at_cork, &now, 0);
	return 0;
}
