// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * UDP by its packets, for kernels that do not report the calls that send and
 * receive. The programs run for each packet that leaves a socket or reaches
 * one. A packet leaves in the process that sends it, unless it was held up
 * on the way; it reaches a socket in any context. So a flow that begins with
 * an incoming packet is emitted when a process takes the packet and asks for
 * its sender, or after a moment with the last user of the socket.
 */
#pragma once

#include "headers.h"

/* How long a process may take to take a packet before the flow is emitted without it, ns. */
const volatile u64 taken_within = 100000000;

static always_inline bool same_addr(const u8 *a, const u8 *b)
{
	const u64 *x = (const u64 *)a, *y = (const u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

static always_inline bool is_specified(const u8 *addr)
{
	const u32 *words = (const u32 *)addr;

	return words[3] || words[0] || words[1];
}

/* The remote of a connected socket. */
static always_inline bool put_peer(u8 *addr, u16 *port, struct bpf_sock *socket)
{
	*port = __builtin_bswap16(socket->dst_port);
	if (socket->family == AF_INET) {
		map_v4(addr, socket->dst_ip4);
	} else {
		((u32 *)addr)[0] = socket->dst_ip6[0];
		((u32 *)addr)[1] = socket->dst_ip6[1];
		((u32 *)addr)[2] = socket->dst_ip6[2];
		((u32 *)addr)[3] = socket->dst_ip6[3];
	}
	return *port;
}

enum {
	SENT = 1 << 0,
	NAMED = 1 << 1, /* by the process that runs, which named the remote */
};

/*
 * The remote of an outgoing packet. The headers have it, unless
 * they were translated on the way: then the sending process has
 * named it, in this call or before. False where it is unknown.
 */
static noinline u32 put_receiver(struct flow_key *key, const struct packet *p,
				 struct bpf_sock *socket, u32 *how)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 tid = task->pid;
	struct remote *r = bpf_map_lookup_elem(&remotes, &tid);
	u8 peer[16];
	u16 port;

	__builtin_memcpy(key->remote, p->remote, sizeof(key->remote));
	key->rport = p->rport;
	if (r && r->cookie == key->cookie) {
		r->cookie = 0;
		*how |= NAMED;
	} else {
		r = NULL;
	}
	if (p->whole && r && r->port == p->rport && same_addr(r->addr, p->remote))
		return true;
	if (put_peer(peer, &port, socket)) {
		if (p->whole && port == p->rport && same_addr(peer, p->remote))
			return true;
		if (!r) {
			__builtin_memcpy(key->remote, peer, sizeof(key->remote));
			key->rport = port;
			return true;
		}
	}
	if (r && is_specified(r->addr)) {
		__builtin_memcpy(key->remote, r->addr, sizeof(key->remote));
		key->rport = r->port;
		return true;
	}
	return p->whole;
}

/* Descriptors are looked through so many at a time, and up to this. */
#define FILES_ATONCE 8 /* of the stack there is little */
#define MAX_FILES    16384

struct search {
	struct file **fd;
	struct file *file;
	u32 max;
	bool found;
};

static long search_files(u32 i, struct search *s)
{
	struct file *some[FILES_ATONCE];
	u32 at = i * FILES_ATONCE;

	if (at >= s->max)
		return 1;
	/* A table has a multiple of 64 descriptors. */
	if (bpf_probe_read_kernel(some, sizeof(some), s->fd + at))
		return 1;
	for (u32 n = 0; n < FILES_ATONCE; n++) {
		if (some[n] == s->file) {
			s->found = true;
			return 1;
		}
	}
	return 0;
}

/* Has the process that runs the socket open? */
static noinline bool holds(struct task_struct *task, struct sock *sk)
{
	struct socket *socket = load(sk, sk_socket);
	struct files_struct *files = task->files;
	struct search s = {};
	struct fdtable *fdt;

	s.file = socket ? load(socket, file) : NULL;
	fdt = files && s.file ? load(files, fdt) : NULL;
	if (!fdt)
		return false;
	s.fd = load(fdt, fd);
	s.max = load(fdt, max_fds);
	bpf_loop(MAX_FILES / FILES_ATONCE, search_files, &s, 0);
	return s.found;
}

/*
 * Names the sending process: the running one if it has just named the
 * remote, was the last to use the socket, or has it open. A delayed packet
 * may leave in another's context; then it is the last user of the socket.
 */
static noinline int name_sender(u64 address, u64 cookie, u32 how, struct who *by)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct who *user = bpf_map_lookup_elem(&users, &cookie);
	struct sock *sk = (void *)address;

	if (!by || load_bit(sk, sk_kern_sock))
		return 0;
	if (how & NAMED || (user && user->tgid == (u32)task->tgid) || holds(task, sk)) {
		if (name_running(by))
			return 0;
	}
	if (user)
		*by = *user;
	return 0;
}

/* The packet counted last, by CPU, in case that the socket has no room for it. */
struct last_in {
	struct flow_key key;
	u32 bytes; /* of which the socket has not been asked yet */
	u32 size;
};

struct {
	uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	uint(max_entries, 1);
	type(key, u32);
	type(value, struct last_in);
} last_in SEC(".maps");

static always_inline void note_in(const struct flow_key *key, const struct packet *p)
{
	u32 zero = 0;
	struct last_in *l = bpf_map_lookup_elem(&last_in, &zero);

	if (!l)
		return;
	l->key = *key;
	l->bytes = p->bytes;
	l->size = p->size;
}

/* Drops a flow again that was not emitted. */
static always_inline void forget(const struct flow_key *key)
{
	if (!bpf_map_delete_elem(&pending, key))
		bpf_map_delete_elem(&flows, key);
}

/* Begins a flow by a packet that leaves, or gets to, the socket at that address. */
static noinline int begin_by_packet(u64 address, const struct flow_key *key,
				    const struct packet *p, u32 how, const struct who *sender)
{
	u64 now = bpf_ktime_get_boot_ns(), cookie = key->cookie;
	struct flow f = {.opened = now, .last = now};
	struct sock *sk = (void *)address;
	struct who *user;

	if (bpf_map_lookup_elem(&gone, &cookie) || !put_flow(&f, sk, key))
		return 0;
	if (how & SENT) {
		f.flags |= FLAG_OUT;
		f.sent = p->bytes;
		f.sent_datagrams = segments(p->bytes, p->size);
		f.who = *sender;
		if (keep_flow(key, &f)) {
			take_slot(key, now);
			emit_flow(key, &f, WHAT_OPEN, 0, now);
		}
		return 0;
	}
	f.received = p->bytes;
	f.received_datagrams = segments(p->bytes, p->size);
	user = bpf_map_lookup_elem(&users, &cookie);
	if (user)
		f.who = *user;
	if (!load_bit(sk, sk_kern_sock) && !bpf_map_update_elem(&pending, key, &now, BPF_NOEXIST))
		f.flags |= PENDING;
	if (!keep_flow(key, &f))
		return 0;
	take_slot(key, now);
	if (!(f.flags & PENDING))
		emit_flow(key, &f, WHAT_OPEN, 0, now);
	else if (bpf_map_lookup_elem(&gone, &cookie))
		forget(key); /* closed meanwhile */
	return 0;
}

static always_inline int on_packet(struct __sk_buff *skb, bool sent)
{
	struct bpf_sock *socket = skb->sk;
	struct flow_key key = {};
	struct packet p = {};
	struct who who = {};
	u64 address = 0;
	struct flow *f;
	u32 how = sent ? SENT : 0;

	socket = socket ? bpf_sk_fullsock(socket) : NULL;
	if (!socket || socket->type != SOCK_DGRAM || !udp_proto_of(socket->protocol))
		return 1;
	key.cookie = bpf_get_socket_cookie(skb);
	if (!read_packet(skb, &p, socket->protocol, sent) || !(sent || p.whole)) {
		count_loss(flows, 1);
		return 1;
	}
	if (!sent) {
		__builtin_memcpy(key.remote, p.remote, sizeof(key.remote));
		key.rport = p.rport;
		note_in(&key, &p);
	} else if (!put_receiver(&key, &p, socket, &how)) {
		count_loss(flows, 1);
		return 1;
	}
	/* The verifier does not let the socket's fields be read here but as numbers. */
	bpf_probe_read_kernel(&address, sizeof(address), &socket);
	f = bpf_map_lookup_elem(&flows, &key);
	if (sent && (!f || f->flags & PENDING))
		name_sender(address, key.cookie, how, &who);
	if (!f) {
		begin_by_packet(address, &key, &p, how, &who);
		return 1;
	}
	count(f, sent, p.bytes, segments(p.bytes, p.size), bpf_ktime_get_boot_ns());
	if (sent && f->flags & PENDING)
		settle(&key, f, &who);
	return 1;
}

SEC("cgroup_skb/egress")
int packet_out(struct __sk_buff *skb)
{
	return on_packet(skb, true);
}

SEC("cgroup_skb/ingress")
int packet_in(struct __sk_buff *skb)
{
	return on_packet(skb, false);
}

/* The socket has no room for the packet: it did not reach the socket. */
SEC("tp_btf/udp_fail_queue_rcv_skb")
int packet_dropped(u64 *ctx)
{
	struct sock *sk = (void *)ctx[1];
	u32 zero = 0;
	struct last_in *l = bpf_map_lookup_elem(&last_in, &zero);
	struct flow *f;
	u64 bytes;

	if (!l || l->key.cookie != bpf_get_socket_cookie(sk))
		return 0;
	f = bpf_map_lookup_elem(&flows, &l->key);
	bytes = l->size && l->bytes > l->size ? l->size : l->bytes;
	l->bytes -= bytes;
	if (f) {
		__sync_fetch_and_add(&f->received, -bytes);
		if (__sync_fetch_and_add(&f->received_datagrams, -1ULL) == 1 && !f->sent_datagrams)
			forget(&l->key);
	}
	if (!l->bytes)
		l->key.cookie = 0;
	return 0;
}

/* connect named a remote, and the process that uses the socket. */
static always_inline int note_connect(struct bpf_sock_addr *ctx, u8 family)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct remote *r;

	if (!udp_proto_of(ctx->protocol) || !asks_user(ctx, ctx->protocol, family))
		return 1;
	note_user(bpf_get_socket_cookie(ctx));
	r = bpf_map_lookup_elem(&remotes, &tid);
	if (r)
		r->cookie = 0;
	return 1;
}

SEC("cgroup/connect4")
int udp_connect4(struct bpf_sock_addr *ctx)
{
	return note_connect(ctx, FAMILY_V4);
}

SEC("cgroup/connect6")
int udp_connect6(struct bpf_sock_addr *ctx)
{
	return note_connect(ctx, FAMILY_V6);
}

static long flush_flow(void *map, const struct flow_key *key, const u64 *began, const u64 *now)
{
	struct flow_key own = *key;
	struct who nobody = {};
	struct flow *f;

	if (*now < *began + taken_within)
		return 0;
	f = bpf_map_lookup_elem(&flows, &own);
	if (f)
		settle(&own, f, &nobody);
	else
		bpf_map_delete_elem(&pending, &own);
	return 0;
}

/* Run by the reader every so often. */
SEC("syscall")
int flush_flows(void *ctx)
{
	u64 now = bpf_ktime_get_boot_ns();

	bpf_for_each_map_elem(&pending, flush_flow, &now, 0);
	return 0;
}
