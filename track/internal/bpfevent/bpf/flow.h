// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * UDP flows. A flow is the traffic between one socket and one
 * remote: emitted at its first datagram and when its socket closes,
 * and counted in between. There are no more than `max_flows`: the
 * oldest flow not in use gives way, and is emitted as closed.
 */
#pragma once

#include "tcp.h"

const volatile u32 max_flows = 65536; /* a power of two */
const volatile bool packets;	      /* flows are counted by packet.h, and not by calls */

struct flow_key {
	u64 cookie;
	u8 remote[16]; /* IPv4 as IPv4-mapped */
	u16 rport;
	u16 unknown; /* datagrams came by calls that do not say from where */
	u32 pad;
};

struct flow {
	u64 opened; /* boot clock, ns */
	u64 last;
	u64 sent; /* bytes */
	u64 received;
	u64 sent_datagrams;
	u64 received_datagrams;
	u64 inode;
	u64 cgroup;
	struct who who;
	u32 netns;
	u32 uid;
	u32 mark;
	u32 device;
	u16 lport;
	u16 flags; /* enum record_flag, and PENDING */
	u8 proto;
	u8 family;
	u16 pad;
	u8 local[16];
};

/* A flow begun by a packet, whose process may show itself yet. */
#define PENDING (1 << 15)

struct {
	uint(type, BPF_MAP_TYPE_HASH);
	uint(max_entries, 65536);
	type(key, struct flow_key);
	type(value, struct flow);
} flows SEC(".maps");

/*
 * Flows are evicted by a clock with a second chance. Each has a slot of it,
 * and the hand takes the next slot for each new flow. The slots of a socket's
 * flows are linked from the newest to the oldest. The hand always takes the
 * oldest flow of a socket, so a link to another socket's flow is the end.
 */
struct slot {
	struct flow_key key;
	u32 next; /* slot plus one */
	u32 pad;
};

struct {
	uint(type, BPF_MAP_TYPE_ARRAY);
	uint(max_entries, 65536);
	type(key, u32);
	type(value, struct slot);
} slots SEC(".maps");

u64 hand;

/* The newest slot of a socket, plus one, by cookie. */
struct {
	uint(type, BPF_MAP_TYPE_HASH);
	uint(max_entries, 65536);
	type(key, u64);
	type(value, u64);
} newest SEC(".maps");

/*
 * With `packets`, the last process that used a socket
 * in view of a program at the root cgroup, by cookie.
 */
struct {
	uint(type, BPF_MAP_TYPE_LRU_HASH);
	uint(max_entries, 65536);
	type(key, u64);
	type(value, struct who);
} users SEC(".maps");

/* The beginnings of PENDING flows. Whoever takes one out of here emits it. */
struct {
	uint(type, BPF_MAP_TYPE_HASH);
	uint(max_entries, 4096);
	type(key, struct flow_key);
	type(value, u64);
} pending SEC(".maps");

/* Cookies of closed sockets: later datagrams for them begin no flow. */
struct {
	uint(type, BPF_MAP_TYPE_LRU_HASH);
	uint(max_entries, 8192);
	type(key, u64);
	type(value, u64);
} gone SEC(".maps");

static always_inline u8 udp_proto_of(u32 protocol)
{
	return protocol == IPPROTO_UDP ? PROTO_UDP : protocol == IPPROTO_UDPLITE ? PROTO_UDPLITE : 0;
}

noinline int emit_flow(const struct flow_key *key, const struct flow *f, u32 what,
			      u32 flags, u64 now)
{
	struct udp_record *r;

	if (!key || !f || !(wanted & what))
		return 0;
	r = reserve(sizeof(*r), 1);
	if (!r)
		return 0;
	r->kind = RECORD_UDP;
	r->proto = f->proto;
	r->family = f->family;
	r->pad = 0;
	r->what = what;
	r->flags = (f->flags & ~PENDING) | flags;
	r->time = now;
	r->opened = f->opened;
	r->cookie = key->cookie;
	r->inode = f->inode;
	r->cgroup = f->cgroup;
	r->sent = f->sent;
	r->received = f->received;
	r->sent_datagrams = f->sent_datagrams;
	r->received_datagrams = f->received_datagrams;
	r->start = f->who.start;
	r->tgid = f->who.tgid;
	r->pid = f->who.pid;
	r->netns = f->netns;
	r->uid = f->uid;
	r->mark = f->mark;
	r->device = f->device;
	r->lport = f->lport;
	r->rport = key->rport;
	r->pad2 = 0;
	__builtin_memcpy(r->local, f->local, sizeof(r->local));
	__builtin_memcpy(r->remote, key->remote, sizeof(r->remote));
	submit(r);
	return 0;
}

/* Emits a flow begun by a packet, once: as of that process, or of the socket's last. */
noinline int settle(const struct flow_key *key, struct flow *f, const struct who *by)
{
	struct flow_key own; /* Linux 6.1 looks up by no key that is handed in */
	struct who *user;

	if (!key || !f || !by || !(f->flags & PENDING))
		return 0;
	own = *key;
	if (bpf_map_delete_elem(&pending, &own))
		return 0;
	f->flags &= ~PENDING;
	if (by->tgid) {
		f->who = *by;
	} else {
		user = bpf_map_lookup_elem(&users, &own.cookie);
		if (user)
			f->who = *user;
	}
	emit_flow(key, f, WHAT_OPEN, 0, f->opened);
	return 0;
}

/* A flow ends and is emitted, before that as opened if this is still due. */
static noinline int end_flow(const struct flow_key *key, struct flow *f, u32 flags, u64 now)
{
	struct who nobody = {};

	if (packets)
		settle(key, f, &nobody);
	emit_flow(key, f, WHAT_CLOSE, flags, now);
	bpf_map_delete_elem(&flows, key);
	return 0;
}

/* Links a slot to the others of its socket. */
noinline int link_slot(struct slot *p, u32 at)
{
	u64 cookie, none = 0, *head;

	if (!p)
		return 0;
	cookie = p->key.cookie;
	head = bpf_map_lookup_elem(&newest, &cookie);
	if (!head) {
		bpf_map_update_elem(&newest, &cookie, &none, BPF_NOEXIST);
		head = bpf_map_lookup_elem(&newest, &cookie);
		if (!head) {
			count_loss(sockets, 1);
			return 0;
		}
	}
	p->next = __sync_lock_test_and_set(head, (u64)at + 1);
	return 0;
}

/* A flow used this lately is moved on once, if there is another to take. */
#define IN_USE 10000000000ULL

/*
 * Takes a slot for a new flow from its present holder. Of two
 * slots the first is linked first: the hand comes by it first.
 */
noinline int take_slot(const struct flow_key *key, u64 now)
{
	u32 at = __sync_fetch_and_add(&hand, 1) & (max_flows - 1), to = 0;
	struct slot *p = bpf_map_lookup_elem(&slots, &at), *q = NULL;
	struct flow *old;

	if (!p || !key)
		return 0;
	old = p->key.cookie ? bpf_map_lookup_elem(&flows, &p->key) : NULL;
	if (old && now - old->last < IN_USE) {
		to = __sync_fetch_and_add(&hand, 1) & (max_flows - 1);
		q = bpf_map_lookup_elem(&slots, &to);
		if (q == p)
			q = NULL;
	}
	if (q) {
		old = q->key.cookie ? bpf_map_lookup_elem(&flows, &q->key) : NULL;
		if (old)
			end_flow(&q->key, old, FLAG_EVICTED, now);
		q->key = p->key;
	} else if (old) {
		end_flow(&p->key, old, FLAG_EVICTED, now);
	}
	p->key = *key;
	link_slot(p, at);
	if (q)
		link_slot(q, to);
	return 0;
}

static always_inline void count(struct flow *f, u32 sent, u64 bytes, u64 datagrams, u64 now)
{
	f->last = now;
	if (sent) {
		__sync_fetch_and_add(&f->sent, bytes);
		__sync_fetch_and_add(&f->sent_datagrams, datagrams);
	} else {
		__sync_fetch_and_add(&f->received, bytes);
		__sync_fetch_and_add(&f->received_datagrams, datagrams);
	}
}

/*
 * Fills in the socket's own facts. False where nobody asked for
 * it. This is done once for a flow, and so by probes: see load.
 */
static always_inline bool put_flow(struct flow *f, struct sock *sk, const struct flow_key *key)
{
	const bool direct = false;
	u16 family = get(sk, __sk_common.skc_family);
	u8 peer[16];

	f->proto = udp_proto_of(get(sk, sk_protocol));
	f->family = family_of(family);
	f->lport = get(sk, __sk_common.skc_num);
	f->netns = netns_of(sk, direct);
	if (!f->family || !asks_kind(f->proto, f->family) || !asks_netns(f->netns))
		return false;
	put_addrs(f->local, peer, sk, family, direct);
	if (!asks_ends(f->local, key->remote, f->lport, key->rport))
		return false;
	f->flags = v6only_of(sk, direct);
	f->inode = inode_of(sk, direct);
	f->uid = get(sk, sk_uid.val);
	f->mark = get(sk, sk_mark);
	f->device = get(sk, __sk_common.skc_bound_dev_if);
	f->cgroup = cgroup_of(sk, direct);
	return true;
}

/*
 * Starts to count a new flow, which then takes a place.
 * False where there is no room, or another CPU was first.
 */
static noinline int keep_flow(const struct flow_key *key, const struct flow *f)
{
	struct flow *first;

	if (!bpf_map_update_elem(&flows, key, f, BPF_NOEXIST))
		return 1;
	first = bpf_map_lookup_elem(&flows, key);
	if (!first) {
		count_loss(flows, 1);
		return 0;
	}
	if (f->sent_datagrams)
		count(first, true, f->sent, f->sent_datagrams, f->opened);
	else
		count(first, false, f->received, f->received_datagrams, f->opened);
	return 0;
}

/* What a call or a packet moved. */
struct moved {
	u64 bytes;
	u32 datagrams;
	bool sent;
};

/* Begins a flow, unless nobody asked for it, or there is no room. */
static noinline int begin_flow(struct sock *sk, const struct flow_key *key, const struct moved *m,
			       const struct who *who, u64 now)
{
	struct flow f = {.opened = now, .last = now};

	if (!put_flow(&f, sk, key))
		return 0;
	f.flags |= (m->sent ? FLAG_OUT : 0) | (key->unknown ? FLAG_UNKNOWN : 0);
	f.who = *who;
	if (m->sent) {
		f.sent = m->bytes;
		f.sent_datagrams = m->datagrams;
	} else {
		f.received = m->bytes;
		f.received_datagrams = m->datagrams;
	}
	if (keep_flow(key, &f)) {
		take_slot(key, f.opened);
		emit_flow(key, &f, WHAT_OPEN, 0, f.opened);
	}
	return 0;
}
