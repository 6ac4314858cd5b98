// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * UDP in the calling processes. Datagrams are counted as the calls return
 * their lengths, which kernels report since 6.3; before, packet.h counts.
 */
#pragma once

#include "call.h"

/*
 * The namespace of a socket, for a program with only the context:
 * that of the running process, 0 where the socket is of another.
 */
static always_inline u32 netns_of_caller(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct net *net = task->nsproxy ? task->nsproxy->net_ns : NULL;

	return net && net->net_cookie == bpf_get_netns_cookie(ctx) ? net->ns.inum : 0;
}

/*
 * Whether anybody asked for the running process's
 * use of a socket, as far as the context shows.
 */
static always_inline bool asks_user(void *ctx, u32 protocol, u32 family)
{
	u32 netns;

	if (!asks_kind(udp_proto_of(protocol), family))
		return false;
	if (!conditions.n_netns)
		return true;
	netns = netns_of_caller(ctx);
	return !netns || asks_netns(netns);
}

/* The running process uses a socket. */
static noinline int note_user(u64 cookie)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct who *user = bpf_map_lookup_elem(&users, &cookie), who = {};
	u32 tgid = task->tgid;

	if (user && user->tgid == tgid && user->start == task->group_leader->start_boottime)
		return 0;
	if (name_running(&who))
		bpf_map_update_elem(&users, &cookie, &who, 0);
	return 0;
}

static always_inline int note_remote(struct bpf_sock_addr *ctx, u8 family)
{
	struct remote fresh, *r;
	u32 tid;

	/* A connected socket with control messages comes by too, and names nothing. */
	if (!udp_proto_of(ctx->protocol) || !ctx->user_port)
		return 1;
	if (packets && asks_user(ctx, ctx->protocol, ctx->family == AF_INET ? FAMILY_V4 : FAMILY_V6))
		note_user(bpf_get_socket_cookie(ctx));
	tid = bpf_get_current_pid_tgid();
	r = bpf_map_lookup_elem(&remotes, &tid);
	if (!r) {
		__builtin_memset(&fresh, 0, sizeof(fresh));
		r = &fresh;
	}
	put_user_addr(r->addr, ctx, family);
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

/* A flow begun by a packet is emitted with the process that takes the packet. */
static always_inline int note_receiver(struct bpf_sock_addr *ctx, u8 family)
{
	struct flow_key key = {};
	struct who who = {};
	struct flow *f;

	if (!udp_proto_of(ctx->protocol))
		return 1;
	key.cookie = bpf_get_socket_cookie(ctx);
	put_user_addr(key.remote, ctx, family);
	key.rport = __builtin_bswap16(ctx->user_port);
	if (asks_user(ctx, ctx->protocol, ctx->family == AF_INET ? FAMILY_V4 : FAMILY_V6))
		note_user(key.cookie);
	if (!bpf_map_lookup_elem(&pending, &key))
		return 1;
	f = bpf_map_lookup_elem(&flows, &key);
	if (f && name_running(&who))
		settle(&key, f, &who);
	return 1;
}

SEC("cgroup/recvmsg4")
int udp_recvmsg4(struct bpf_sock_addr *ctx)
{
	return packets ? note_receiver(ctx, FAMILY_V4) : note_remote(ctx, FAMILY_V4);
}

SEC("cgroup/recvmsg6")
int udp_recvmsg6(struct bpf_sock_addr *ctx)
{
	return packets ? note_receiver(ctx, FAMILY_V6) : note_remote(ctx, FAMILY_V6);
}

/* The remote of a thread's current call, or of a connected socket. */
static always_inline void put_remote(struct flow_key *key, struct sock *sk, struct remote *r)
{
	u8 local[16];

	if (r && r->cookie == key->cookie) {
		__builtin_memcpy(key->remote, r->addr, sizeof(key->remote));
		key->rport = r->port;
		r->cookie = 0;
		return;
	}
	put_addrs(local, key->remote, sk, sk->__sk_common.skc_family, true);
	key->rport = __builtin_bswap16(sk->__sk_common.skc_dport);
	key->unknown = hide(!key->rport);
}

/* The size of a segment of what a call sends, 0: it is one datagram. */
static noinline u32 sent_size(struct sock *sk, u32 tid, s32 bytes)
{
	struct call call = {};
	u32 size = 0;

	if (current_call(&call)) {
		if (call.count)
			call.msg += next_of_many(&call, tid, bytes) * MMSGHDR_SIZE;
		size = named_size(call.msg);
	}
	return size ? size : load((struct udp_sock *)sk, gso_size);
}

/* The size of a segment of what a call received, 0: it is one datagram. */
static always_inline u32 received_size(struct remote *r, s32 bytes)
{
	u32 size = r && r->gro_bytes == (u32)bytes ? r->gro_size : 0;

	if (r)
		r->gro_size = 0;
	return size;
}

/* Counts what the running process sent or received by a call. */
static always_inline int count_call(u64 *ctx, bool sent)
{
	struct sock *sk = (void *)ctx[0];
	s32 bytes = ctx[1], flags = ctx[2];
	u32 tid = bpf_get_current_pid_tgid(), size;
	struct moved m = {.sent = sent};
	struct who who = {};
	struct flow_key key;
	struct remote *r;
	struct flow *f;
	u64 now;

	if (!udp_proto_of(sk->sk_protocol) || sk->sk_type != SOCK_DGRAM)
		return 0;
	key.cookie = bpf_get_socket_cookie(sk);
	key.unknown = hide(0);
	key.pad = hide(0);
	r = bpf_map_lookup_elem(&remotes, &tid);
	put_remote(&key, sk, r);
	size = sent ? sent_size(sk, tid, bytes) : received_size(r, bytes);
	if (sent && is_corked(sk, &key, bytes))
		return 0;
	if (bytes < 0 || (!sent && flags & (MSG_PEEK | MSG_ERRQUEUE)))
		return 0;
	m.bytes = bytes;
	m.datagrams = segments(bytes, size);
	now = bpf_ktime_get_boot_ns();
	f = bpf_map_lookup_elem(&flows, &key);
	if (!f) {
		name_current(sk, &who);
		begin_flow(sk, &key, &m, &who, now);
		return 0;
	}
	count(f, sent, bytes, m.datagrams, now);
	return 0;
}

SEC("tp_btf/sock_send_length")
int udp_sent(u64 *ctx)
{
	return count_call(ctx, true);
}

SEC("tp_btf/sock_recv_length")
int udp_received(u64 *ctx)
{
	return count_call(ctx, false);
}

/*
 * A call copies datagrams that came in as one (UDP_GRO). Small ones by themselves
 * do not come by here.
 */
SEC("tp_btf/skb_copy_datagram_iovec")
int udp_gro(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct skb_shared_info *info = (void *)skb->head + skb->end;
	u16 size = 0;

	if (!probe(&size, &info->gso_size) && size && load(info, gso_type) & SKB_GSO_UDP_L4)
		note_gro(size, ctx[1]);
	return 0;
}

/* The bound of one close; the remaining flows are closed as idle. */
#define MAX_CLOSED 16384

struct closing {
	u64 cookie;
	u64 now;
	u32 next;
};

static long close_place(u32 i, struct closing *c)
{
	u32 at = c->next - 1;
	struct slot *p;
	struct flow *f;

	if (!c->next)
		return 1;
	p = bpf_map_lookup_elem(&slots, &at);
	if (!p || p->key.cookie != c->cookie)
		return 1;
	c->next = p->next;
	f = bpf_map_lookup_elem(&flows, &p->key);
	if (f)
		end_flow(&p->key, f, 0, c->now);
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
	c.now = bpf_ktime_get_boot_ns();
	if (packets) {
		bpf_map_update_elem(&gone, &c.cookie, &c.now, 0);
		bpf_map_delete_elem(&users, &c.cookie);
	}
	if (!packets && corks)
		end_cork(c.cookie);
	head = bpf_map_lookup_elem(&newest, &c.cookie);
	if (!head)
		return 1;
	c.next = *head;
	bpf_loop(MAX_CLOSED, close_place, &c, 0);
	bpf_map_delete_elem(&newest, &c.cookie);
	return 1;
}

/* bind went well. Only the context's facts of the socket are known here. */
static always_inline int on_bind(struct bpf_sock *ctx, u8 family)
{
	struct task_struct *task;
	struct udp_record *r;
	struct who who = {};
	u32 netns;
	u8 proto = udp_proto_of(ctx->protocol);

	if (!proto || ctx->type != SOCK_DGRAM || !asks_kind(proto, family))
		return 1;
	if (packets && asks_user(ctx, ctx->protocol, family))
		note_user(bpf_get_socket_cookie(ctx));
	if (!(wanted & WHAT_BIND))
		return 1;
	task = bpf_get_current_task_btf();
	netns = netns_of_caller(ctx);
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
