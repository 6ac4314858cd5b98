// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * UDP. A flow is what goes between one socket and one remote, told of at its
 * first datagram and when its socket closes, and counted in between. There are
 * no more than `max_flows`: the oldest that is not in use gives way, and is told
 * of as closed.
 */
#pragma once

#include "tcp.h"

const volatile u32 max_flows = 65536; /* a power of two */

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
	u16 flags; /* enum record_flag */
	u8 proto;
	u8 family;
	u16 pad;
	u8 local[16];
};

struct {
	uint(type, BPF_MAP_TYPE_HASH);
	uint(max_entries, 65536);
	type(key, struct flow_key);
	type(value, struct flow);
} flows SEC(".maps");

/*
 * Each flow has a place on a dial, and the hand takes the next place for each
 * new one. The places of a socket's flows are linked from the newest to the
 * oldest. What the hand takes is always the oldest of its socket, so that a link
 * that leads to another socket's flow is the end.
 */
struct place {
	struct flow_key key;
	u32 next; /* place plus one */
	u32 pad;
};

struct {
	uint(type, BPF_MAP_TYPE_ARRAY);
	uint(max_entries, 65536);
	type(key, u32);
	type(value, struct place);
} places SEC(".maps");

u64 hand;

/* The newest place of a socket, plus one, by cookie. */
struct {
	uint(type, BPF_MAP_TYPE_HASH);
	uint(max_entries, 65536);
	type(key, u64);
	type(value, u64);
} newest SEC(".maps");

/* The remote of the call that a thread is in, from the root cgroup's programs. */
struct remote {
	u64 cookie; /* 0: none */
	u8 addr[16];
	u16 port;
	u16 pad[3];
};

struct {
	uint(type, BPF_MAP_TYPE_LRU_HASH);
	uint(max_entries, 16384);
	type(key, u32);
	type(value, struct remote);
} remotes SEC(".maps");

static always_inline u8 udp_proto_of(u32 protocol)
{
	return protocol == IPPROTO_UDP ? PROTO_UDP : protocol == IPPROTO_UDPLITE ? PROTO_UDPLITE : 0;
}

static always_inline int note_remote(struct bpf_sock_addr *ctx, u8 family)
{
	struct remote fresh, *r;
	u32 tid;

	if (!udp_proto_of(ctx->protocol))
		return 1;
	tid = bpf_get_current_pid_tgid();
	r = bpf_map_lookup_elem(&remotes, &tid);
	if (!r) {
		__builtin_memset(&fresh, 0, sizeof(fresh));
		r = &fresh;
	}
	if (family == FAMILY_V4) {
		map_v4(r->addr, ctx->user_ip4);
	} else {
		((u32 *)r->addr)[0] = ctx->user_ip6[0];
		((u32 *)r->addr)[1] = ctx->user_ip6[1];
		((u32 *)r->addr)[2] = ctx->user_ip6[2];
		((u32 *)r->addr)[3] = ctx->user_ip6[3];
	}
	r->port = __builtin_bswap16(ctx->user_port);
	r->cookie = bpf_get_socket_cookie(ctx);
	if (r == &fresh)
		bpf_map_update_elem(&remotes, &tid, &fresh, 0);
	return 1;
}

SEC("cgroup/sendmsg4")
int udp_sendmsg4(struct bpf_sock_addr *ctx)
{
	return note_remote(ctx, FAMILY_V4);
}

SEC("cgroup/sendmsg6")
int udp_sendmsg6(struct bpf_sock_addr *ctx)
{
	return note_remote(ctx, FAMILY_V6);
}

SEC("cgroup/recvmsg4")
int udp_recvmsg4(struct bpf_sock_addr *ctx)
{
	return note_remote(ctx, FAMILY_V4);
}

SEC("cgroup/recvmsg6")
int udp_recvmsg6(struct bpf_sock_addr *ctx)
{
	return note_remote(ctx, FAMILY_V6);
}

noinline int tell_flow(const struct flow_key *key, const struct flow *f, u32 what,
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
	r->flags = f->flags | flags;
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

/* Links a place to the others of its socket. */
noinline int link_place(struct place *p, u32 at)
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

/* What was used this lately is moved on once, if there is another to take. */
#define IN_USE 10000000000ULL

/* Takes a place for a new flow, from the one that has it. */
noinline int take_place(const struct flow_key *key, u64 now)
{
	u32 at = __sync_fetch_and_add(&hand, 1) & (max_flows - 1), to;
	struct place *p = bpf_map_lookup_elem(&places, &at), *q;
	struct flow *old;

	if (!p || !key)
		return 0;
	old = p->key.cookie ? bpf_map_lookup_elem(&flows, &p->key) : NULL;
	if (old && now - old->last < IN_USE) {
		to = __sync_fetch_and_add(&hand, 1) & (max_flows - 1);
		q = bpf_map_lookup_elem(&places, &to);
		if (q && q != p) {
			old = q->key.cookie ? bpf_map_lookup_elem(&flows, &q->key) : NULL;
			if (old) {
				tell_flow(&q->key, old, WHAT_CLOSE, FLAG_EVICTED, now);
				bpf_map_delete_elem(&flows, &q->key);
			}
			q->key = p->key;
			link_place(q, to);
			old = NULL;
		}
	}
	if (old) {
		tell_flow(&p->key, old, WHAT_CLOSE, FLAG_EVICTED, now);
		bpf_map_delete_elem(&flows, &p->key);
	}
	p->key = *key;
	link_place(p, at);
	return 0;
}

/* Begins a flow, unless nobody asked for it, or there is no room. */
static noinline int begin_flow(struct sock *sk, const struct flow_key *key, u32 sent, u64 bytes,
			       u64 now)
{
	struct net *net = sk->__sk_common.skc_net.net;
	struct cgroup *cgroup = sk->sk_cgrp_data.cgroup;
	u16 family = sk->__sk_common.skc_family;
	const bool direct = true;
	struct flow f = {
		.opened = now,
		.last = now,
		.proto = udp_proto_of(sk->sk_protocol),
		.family = family_of(family),
		.lport = sk->__sk_common.skc_num,
		.netns = net->ns.inum,
	};
	u8 peer[16];

	if (!f.family || !asks_kind(f.proto, f.family) || !asks_netns(f.netns))
		return 0;
	put_addrs(f.local, peer, sk, family, direct);
	if (!asks_ends(f.local, key->remote, f.lport, key->rport))
		return 0;
	f.flags = v6only_of(sk, direct) | (sent ? FLAG_OUT : 0) | (key->unknown ? FLAG_UNKNOWN : 0);
	f.inode = inode_of(sk, direct);
	f.uid = sk->sk_uid.val;
	f.mark = sk->sk_mark;
	f.device = sk->__sk_common.skc_bound_dev_if;
	if (cgroup)
		f.cgroup = cgroup->kn->id;
	name_current(sk, &f.who);
	if (sent) {
		f.sent = bytes;
		f.sent_datagrams = 1;
	} else {
		f.received = bytes;
		f.received_datagrams = 1;
	}
	take_place(key, now);
	if (bpf_map_update_elem(&flows, key, &f, BPF_NOEXIST)) {
		count_loss(flows, 1);
		return 0;
	}
	tell_flow(key, &f, WHAT_OPEN, 0, now);
	return 0;
}

/* The remote of the call that a thread is in, or of a connected socket. */
static noinline int put_remote(struct flow_key *key, struct sock *sk)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct remote *r = bpf_map_lookup_elem(&remotes, &tid);
	u8 local[16];

	if (r && r->cookie == key->cookie) {
		__builtin_memcpy(key->remote, r->addr, sizeof(key->remote));
		key->rport = r->port;
		r->cookie = 0;
		return 0;
	}
	put_addrs(local, key->remote, sk, sk->__sk_common.skc_family, true);
	key->rport = __builtin_bswap16(sk->__sk_common.skc_dport);
	key->unknown = hide(!key->rport);
	return 0;
}

/* Counts a datagram that the process that runs has sent or received. */
static always_inline int count_datagram(u64 *ctx, bool sent)
{
	struct sock *sk = (void *)ctx[0];
	s32 bytes = ctx[1], flags = ctx[2];
	struct flow_key key;
	struct flow *f;
	u64 now;

	if (!udp_proto_of(sk->sk_protocol) || sk->sk_type != SOCK_DGRAM)
		return 0;
	key.cookie = bpf_get_socket_cookie(sk);
	key.unknown = hide(0);
	key.pad = hide(0);
	put_remote(&key, sk);
	if (bytes < 0 || (!sent && flags & (MSG_PEEK | MSG_ERRQUEUE)))
		return 0;
	now = bpf_ktime_get_boot_ns();
	f = bpf_map_lookup_elem(&flows, &key);
	if (!f) {
		begin_flow(sk, &key, sent, bytes, now);
		return 0;
	}
	f->last = now;
	if (sent) {
		__sync_fetch_and_add(&f->sent, bytes);
		__sync_fetch_and_add(&f->sent_datagrams, 1);
	} else {
		__sync_fetch_and_add(&f->received, bytes);
		__sync_fetch_and_add(&f->received_datagrams, 1);
	}
	return 0;
}

SEC("tp_btf/sock_send_length")
int udp_sent(u64 *ctx)
{
	return count_datagram(ctx, true);
}

SEC("tp_btf/sock_recv_length")
int udp_received(u64 *ctx)
{
	return count_datagram(ctx, false);
}

/* What one close may take; the rest is closed for being idle. */
#define MAX_CLOSED 16384

struct closing {
	u64 cookie;
	u64 now;
	u32 next;
};

static long close_place(u32 i, struct closing *c)
{
	u32 at = c->next - 1;
	struct place *p;
	struct flow *f;

	if (!c->next)
		return 1;
	p = bpf_map_lookup_elem(&places, &at);
	if (!p || p->key.cookie != c->cookie)
		return 1;
	c->next = p->next;
	f = bpf_map_lookup_elem(&flows, &p->key);
	if (f) {
		tell_flow(&p->key, f, WHAT_CLOSE, 0, c->now);
		bpf_map_delete_elem(&flows, &p->key);
	}
	p->key.cookie = 0;
	return 0;
}

SEC("cgroup/sock_release")
int udp_release(struct bpf_sock *ctx)
{
	struct closing c = {};
	u64 *head;

	if (!udp_proto_of(ctx->protocol))
		return 1;
	c.cookie = bpf_get_socket_cookie(ctx);
	head = bpf_map_lookup_elem(&newest, &c.cookie);
	if (!head)
		return 1;
	c.next = *head;
	c.now = bpf_ktime_get_boot_ns();
	bpf_loop(MAX_CLOSED, close_place, &c, 0);
	bpf_map_delete_elem(&newest, &c.cookie);
	return 1;
}

/* bind went well. Of the socket no more is known here than the context says. */
static always_inline int on_bind(struct bpf_sock *ctx, u8 family)
{
	struct task_struct *task;
	struct udp_record *r;
	struct who who = {};
	struct net *net;
	u32 netns = 0;
	u8 proto = udp_proto_of(ctx->protocol);

	if (!proto || ctx->type != SOCK_DGRAM || !asks_kind(proto, family))
		return 1;
	task = bpf_get_current_task_btf();
	net = task->nsproxy ? task->nsproxy->net_ns : NULL;
	/* The socket may be of another namespace than the process. */
	if (net && net->net_cookie == bpf_get_netns_cookie(ctx))
		netns = net->ns.inum;
	if (netns && !asks_netns(netns))
		return 1;
	name_running(&who);
	r = reserve(sizeof(*r), 1);
	if (!r)
		return 1;
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = RECORD_UDP;
	r->proto = proto;
	r->family = family;
	r->what = WHAT_BIND;
	r->time = bpf_ktime_get_boot_ns();
	r->cookie = bpf_get_socket_cookie(ctx);
	r->start = who.start;
	r->tgid = who.tgid;
	r->pid = who.pid;
	r->netns = netns;
	r->uid = task->cred->euid.val;
	r->lport = ctx->src_port;
	map_v4(r->local, 0);
	map_v4(r->remote, 0);
	if (family == FAMILY_V4) {
		map_v4(r->local, ctx->src_ip4);
	} else {
		((u32 *)r->local)[0] = ctx->src_ip6[0];
		((u32 *)r->local)[1] = ctx->src_ip6[1];
		((u32 *)r->local)[2] = ctx->src_ip6[2];
		((u32 *)r->local)[3] = ctx->src_ip6[3];
		__builtin_memset(r->remote, 0, sizeof(r->remote));
	}
	if (asks_ends(r->local, r->remote, r->lport, r->rport))
		submit(r);
	else
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
	return 1;
}

SEC("cgroup/post_bind4")
int udp_bind4(struct bpf_sock *ctx)
{
	return on_bind(ctx, FAMILY_V4);
}

SEC("cgroup/post_bind6")
int udp_bind6(struct bpf_sock *ctx)
{
	return on_bind(ctx, FAMILY_V6);
}
