// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * TCP. A note is kept of a connection from its connect, or from when it is
 * established, until it is told of. Most are closed by then, and told of in one
 * record; the reader has the others told by running `flush` every so often, and
 * their notes go. So the table holds the last moment, not all that stands.
 *
 * What happens to one socket happens under its lock, one after the other; only
 * `flush` comes from the side.
 */
#pragma once

#include "process.h"

enum note_bit {
	NOTE_OUT = 1 << 0,	/* connected from here */
	NOTE_OPEN = 1 << 1,	/* established */
	NOTE_ACCEPTED = 1 << 2, /* and accepted */
	NOTE_TOLD = 1 << 3,	/* in a record */
	NOTE_LISTEN = 1 << 4,	/* a listener */
	NOTE_CLOSED = 1 << 5,	/* closed, and being told of */
};

struct note {
	u64 word; /* cookie << 8 | enum note_bit, changed as a whole only */
	u64 sk;
	u64 began; /* boot clock, ns, as all times here */
	u64 opened;
	u64 accepted;
	u64 inode; /* as long as it had one, 0: not seen */
	struct who who;
	/* Of a connect, which may come back before the socket knows any of it. */
	u8 remote[16];
	u16 rport;
	u8 family;
	u8 doubt; /* flush did not find the socket there */
	u32 netns;
	u32 uid;
	u32 err;
};

struct {
	uint(type, BPF_MAP_TYPE_HASH);
	uint(max_entries, 32768);
	type(key, u64);
	type(value, struct note);
} notes SEC(".maps");

/*
 * The kernel leaves a program out that would interrupt itself: what comes in on
 * the way of a softirq while a system call's program is under way. A second
 * copy takes what the first did not. The first notes what it took, by CPU, on a
 * stack, since one may interrupt the other. What the second was left out of
 * stays there for a while: so it is noted by cookie, which never comes again,
 * and not by address, which the next socket has soon.
 */
#define TAKEN_DEPTH 4

struct taken {
	u32 depth;
	u32 pad;
	u64 event[TAKEN_DEPTH];
};

struct {
	uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	uint(max_entries, 1);
	type(key, u32);
	type(value, struct taken);
} taken SEC(".maps");

static always_inline void take(u64 event)
{
	u32 zero = 0, depth;
	struct taken *t = bpf_map_lookup_elem(&taken, &zero);

	if (!t)
		return;
	depth = t->depth;
	if (depth >= TAKEN_DEPTH)
		depth = 0; /* leftovers of what the second copy was left out of */
	t->event[depth] = event;
	t->depth = depth + 1;
}

static always_inline bool is_taken(u64 event)
{
	u32 zero = 0;
	s32 depth;
	struct taken *t = bpf_map_lookup_elem(&taken, &zero);

	if (!t)
		return false;
	depth = t->depth;
	for (int i = TAKEN_DEPTH - 1; i >= 0; i--) {
		if (i >= depth || t->event[i] != event)
			continue;
		t->depth = i;
		return true;
	}
	return false;
}

/* Sets bits of a note. False where the note has become another socket's. */
static always_inline bool turn(struct note *n, u64 cookie, u32 bits, u32 *before)
{
	for (u32 i = 0; i < 2; i++) {
		u64 word = n->word;

		if (word >> 8 != cookie)
			return false;
		if (__sync_val_compare_and_swap(&n->word, word, word | bits) == word) {
			*before = word & 0xff;
			return true;
		}
	}
	return false;
}

/* Reads a field of a socket: one that the verifier knows, or an address. */
#define get(sk, field)                                                                             \
	({                                                                                         \
		typeof((sk)->field) got = 0;                                                       \
		if (direct)                                                                        \
			got = (sk)->field;                                                         \
		else                                                                               \
			probe(&got, &(sk)->field);                                                 \
		got;                                                                               \
	})

static always_inline u64 inode_of(struct sock *sk, bool direct)
{
	struct socket *socket;
	unsigned long inode = 0;

	if (field_exists(sk->sk_ino))
		return get(sk, sk_ino);
	socket = get(sk, sk_socket);
	if (socket)
		probe(&inode, &((struct socket_alloc *)socket)->vfs_inode.i_ino);
	return inode;
}

static always_inline void put_addrs(u8 *local, u8 *remote, struct sock *sk, u16 family, bool direct)
{
	if (family == AF_INET) {
		map_v4(local, get(sk, __sk_common.skc_rcv_saddr));
		map_v4(remote, get(sk, __sk_common.skc_daddr));
		return;
	}
	if (!direct) {
		bpf_probe_read_kernel(local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(remote, 16, &sk->__sk_common.skc_v6_daddr);
		return;
	}
	((u64 *)local)[0] = *(u64 *)&sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8[0];
	((u64 *)local)[1] = *(u64 *)&sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8[8];
	((u64 *)remote)[0] = *(u64 *)&sk->__sk_common.skc_v6_daddr.in6_u.u6_addr8[0];
	((u64 *)remote)[1] = *(u64 *)&sk->__sk_common.skc_v6_daddr.in6_u.u6_addr8[8];
}

static always_inline u32 v6only_of(struct sock *sk, bool direct)
{
	if (direct)
		return bit_of(&sk->__sk_common, skc_ipv6only) ? FLAG_V6ONLY : 0;
	return probe_bit(&sk->__sk_common, skc_ipv6only) ? FLAG_V6ONLY : 0;
}

static always_inline u8 family_of(u16 family)
{
	return family == AF_INET ? FAMILY_V4 : family == AF_INET6 ? FAMILY_V6 : 0;
}

static always_inline u8 tcp_proto_of(u16 protocol)
{
	return protocol == IPPROTO_TCP ? PROTO_TCP : protocol == IPPROTO_MPTCP ? PROTO_MPTCP : 0;
}

static always_inline u32 netns_of(struct sock *sk, bool direct)
{
	struct net *net = get(sk, __sk_common.skc_net.net);

	return net ? get(net, ns.inum) : 0;
}

static always_inline u64 cgroup_of(struct sock *sk, bool direct)
{
	struct cgroup *cgroup = get(sk, sk_cgrp_data.cgroup);
	struct kernfs_node *kn = cgroup ? get(cgroup, kn) : NULL;

	return kn ? get(kn, id) : 0;
}

/*
 * Fills in what a socket says of itself. With `direct` it is a tcp_sock that the
 * verifier knows, else an address. False where nobody asked for it.
 */
static always_inline bool put_socket(struct tcp_record *r, struct sock *sk, bool direct)
{
	struct inet_sock *inet = (void *)sk;
	u16 family = get(sk, __sk_common.skc_family);

	r->proto = hide(tcp_proto_of(get(sk, sk_protocol)));
	r->family = hide(family_of(family));
	r->netns = netns_of(sk, direct);
	if (!r->proto || !r->family || !asks_kind(r->proto, r->family) || !asks_netns(r->netns))
		return false;
	put_addrs(r->local, r->remote, sk, family, direct);
	r->lport = __builtin_bswap16(get(inet, inet_sport));
	r->rport = __builtin_bswap16(get(sk, __sk_common.skc_dport));
	if (!(listeners && r->what & (WHAT_LISTEN | WHAT_UNLISTEN)) &&
	    !asks_ends(r->local, r->remote, r->lport, r->rport))
		return false;
	r->flags = hide(v6only_of(sk, direct));
	r->inode = inode_of(sk, direct);
	r->uid = get(sk, sk_uid.val);
	r->mark = get(sk, sk_mark);
	r->device = get(sk, __sk_common.skc_bound_dev_if);
	r->cgroup = cgroup_of(sk, direct);
	r->err = get(sk, sk_err);
	r->backlog = r->what & (WHAT_LISTEN | WHAT_UNLISTEN) ? get(sk, sk_max_ack_backlog) : 0;
	r->sent = r->received = 0;
	r->rtt = r->retrans = 0;
	return true;
}

/* What was counted; the other end's FIN is none of the bytes. */
static always_inline void put_counts(struct tcp_record *r, struct tcp_sock *tcp)
{
	struct sock *sk = (void *)tcp;

	r->rtt = tcp->srtt_us >> 3;
	r->retrans = tcp->total_retrans;
	r->sent = tcp->bytes_sent - tcp->bytes_retrans;
	r->received = tcp->bytes_received;
	if (r->received && sk->__sk_common.skc_flags & 1 << SOCK_DONE)
		r->received--;
	if (!tcp->segs_out)
		r->flags |= FLAG_UNSENT;
}

static always_inline void put_mptcp_counts(struct tcp_record *r, struct mptcp_sock *msk)
{
	u64 again = 0;

	if (!field_exists(msk->bytes_sent))
		return;
	probe(&r->sent, &msk->bytes_sent);
	probe(&again, &msk->bytes_retrans);
	probe(&r->received, &msk->bytes_received);
	r->sent -= again;
}

static always_inline void put_note(struct tcp_record *r, const struct note *n, u64 cookie)
{
	r->kind = RECORD_TCP;
	r->old_state = 0;
	r->cookie = cookie;
	r->pad = 0;
	if (!n) {
		r->began = r->opened = r->accepted = r->start = 0;
		r->tgid = r->pid = 0;
		return;
	}
	r->began = n->began;
	r->opened = n->opened;
	r->accepted = n->accepted;
	r->start = n->who.start;
	r->tgid = n->who.tgid;
	r->pid = n->who.pid;
	if (!r->inode)
		r->inode = n->inode;
}

static always_inline bool keep(u64 cookie, const struct note *n)
{
	if (!bpf_map_update_elem(&notes, &cookie, n, 0))
		return true;
	count_loss(sockets, 1);
	return false;
}

/* What is told of a socket beside what it says itself. */
struct telling {
	u64 cookie;
	u64 now;
	u32 what;
	u32 flags;
	u32 old; /* state */
};

/*
 * A record of one socket, by a program that has it. Functions of their own, as
 * here, keep the ways through them from multiplying with those behind.
 */
static noinline int tell(struct sock *sk, struct tcp_sock *tcp, const struct note *n,
			 const struct telling *about)
{
	u32 what = about->what & wanted;
	struct tcp_record *r;
	bool asked;

	if (!what)
		return 0;
	r = reserve(sizeof(*r), count_events(what));
	if (!r)
		return 0;
	r->what = what;
	asked = tcp ? put_socket(r, (void *)tcp, true) : put_socket(r, sk, false);
	if (!asked) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return 0;
	}
	put_note(r, n, about->cookie);
	r->old_state = about->old;
	r->time = about->now;
	r->flags |= about->flags;
	if (tcp)
		put_counts(r, tcp);
	else
		put_mptcp_counts(r, (void *)sk);
	submit(r);
	return 0;
}

static always_inline bool is_subflow(struct tcp_sock *tcp)
{
	return tcp && field_exists(tcp->is_mptcp) && tcp->is_mptcp;
}

/* The process that runs, unless the kernel does this for itself. */
static always_inline void name_current(struct sock *sk, struct who *w)
{
	if (!bit_of(sk, sk_kern_sock))
		name(bpf_get_current_task_btf(), w);
}

/* The credentials that the file of a socket was made with, 0 where it has none. */
static always_inline u64 file_cred(struct sock *sk, bool direct)
{
	struct socket *socket = get(sk, sk_socket);
	struct file *file = socket ? get(socket, file) : NULL;

	return file ? (u64)get(file, f_cred) : 0;
}

/* Is it a connection that came in, and of which no process is known yet. */
static always_inline bool is_unclaimed(u64 word)
{
	return (word & (NOTE_OUT | NOTE_ACCEPTED | NOTE_LISTEN | NOTE_OPEN)) == NOTE_OPEN;
}

/* A connection was accepted, by the process that runs or by another before. */
static noinline int claim(struct sock *sk, struct tcp_sock *tcp, struct note *n, u64 cookie,
			  u32 in_hand)
{
	u64 cred = tcp ? file_cred((void *)tcp, true) : file_cred(sk, false);
	struct telling about = {.cookie = cookie, .what = WHAT_ACCEPT, .flags = FLAG_ACCEPTED};
	u32 before;

	if (!cred || !maker_of(cred, &n->who, bpf_get_current_task_btf(), in_hand))
		return 0;
	n->accepted = about.now = bpf_ktime_get_boot_ns();
	if (tcp)
		n->inode = inode_of((void *)tcp, true);
	if (!turn(n, cookie, NOTE_ACCEPTED, &before) || !(before & NOTE_TOLD))
		return 0;
	tell(sk, tcp, n, &about);
	bpf_map_delete_elem(&notes, &cookie);
	return 0;
}

/* connect or listen, in the process that called it. */
static noinline int begin(struct sock *sk, u64 cookie, u32 bits)
{
	struct note n = {.word = cookie << 8 | bits, .sk = (u64)sk};

	if (!asks_kind(tcp_proto_of(sk->sk_protocol), family_of(sk->__sk_common.skc_family)))
		return 0;
	n.began = bpf_ktime_get_boot_ns();
	n.inode = inode_of(sk, true);
	name_current(sk, &n.who);
	keep(cookie, &n);
	return 0;
}

static noinline int opened(struct sock *sk, u64 cookie, u32 old)
{
	struct note fresh = {.sk = (u64)sk, .opened = bpf_ktime_get_boot_ns()}, *n;
	u32 before;

	if (!asks_kind(tcp_proto_of(sk->sk_protocol), family_of(sk->__sk_common.skc_family)))
		return 0;
	fresh.word = cookie << 8 | NOTE_OPEN | (old == TCP_SYN_SENT ? NOTE_OUT : 0);
	/* Of one that comes in there is hardly ever a note yet, of one that goes out always. */
	if (old == TCP_SYN_RECV && !bpf_map_update_elem(&notes, &cookie, &fresh, BPF_NOEXIST))
		return 0;
	n = bpf_map_lookup_elem(&notes, &cookie);
	if (n) {
		n->opened = fresh.opened;
		if (turn(n, cookie, NOTE_OPEN, &before))
			return 0;
	}
	keep(cookie, &fresh);
	return 0;
}

/* What a socket that is closed now had been, and has yet to be told. */
static always_inline u32 what_closed(struct sock *sk, u32 old, u32 bits)
{
	u32 what;

	if (old == TCP_LISTEN) {
		if (!(bits & NOTE_LISTEN))
			return WHAT_UNLISTEN;
		/* listen itself gave up: it never was one. */
		return sk->sk_shutdown == SHUTDOWN_MASK ? WHAT_LISTEN | WHAT_UNLISTEN : 0;
	}
	if (old == TCP_SYN_SENT || (bits & (NOTE_OUT | NOTE_OPEN)) == NOTE_OUT)
		return WHAT_FAIL;
	if (old == TCP_SYN_RECV)
		return 0;
	what = WHAT_CLOSE;
	if ((bits & (NOTE_OPEN | NOTE_TOLD)) == NOTE_OPEN)
		what |= WHAT_OPEN | (bits & NOTE_ACCEPTED ? WHAT_ACCEPT : 0);
	return what;
}

static noinline int closed(struct sock *sk, u64 cookie, u32 old)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct note *n = bpf_map_lookup_elem(&notes, &cookie);
	struct telling about = {.cookie = cookie, .old = old};
	u32 bits = 0;

	if (n && is_unclaimed(n->word)) {
		claim(sk, tcp, n, cookie, false);
		n = bpf_map_lookup_elem(&notes, &cookie);
	}
	if (n && !turn(n, cookie, NOTE_CLOSED, &bits))
		n = NULL;
	about.now = bpf_ktime_get_boot_ns();
	about.what = what_closed(sk, old, bits);
	about.flags = bits & NOTE_OUT || old == TCP_SYN_SENT ? FLAG_OUT : 0;
	if (!n || bits & NOTE_ACCEPTED)
		about.flags |= FLAG_ACCEPTED;
	if (about.what && !is_subflow(tcp))
		tell(sk, tcp, n, &about);
	if (n)
		bpf_map_delete_elem(&notes, &cookie);
	return 0;
}

#define BEGIN_STATES (1 << TCP_SYN_SENT | 1 << TCP_ESTABLISHED | 1 << TCP_CLOSE | 1 << TCP_LISTEN)
#define LEAVE_STATES (1 << TCP_FIN_WAIT1 | 1 << TCP_LAST_ACK)

/* The process closes; the socket and its file are still there. */
static always_inline void leaving(struct sock *sk)
{
	u64 cookie = bpf_get_socket_cookie(sk);
	struct note *n = bpf_map_lookup_elem(&notes, &cookie);

	if (n && is_unclaimed(n->word))
		claim(sk, bpf_skc_to_tcp_sock(sk), n, cookie, true);
}

static always_inline int on_state(u64 *ctx, bool second)
{
	struct sock *sk = (void *)ctx[0];
	u32 old = ctx[1], new = ctx[2];
	u64 cookie;

	if (!second && 1 << (new & 31) & LEAVE_STATES && tcp_proto_of(sk->sk_protocol))
		leaving(sk);
	if (!(1 << (new & 31) & BEGIN_STATES) || old == new)
		return 0;
	if (!tcp_proto_of(sk->sk_protocol))
		return 0;
	if (new == TCP_SYN_SENT && connect_hooks && sk->sk_protocol == IPPROTO_TCP)
		return 0;
	/* The first copy gives the socket its cookie, if it is not left out. */
	if (second && is_taken((u64)sk->__sk_common.skc_cookie.counter << 4 | new))
		return 0;
	cookie = bpf_get_socket_cookie(sk);
	if (!second)
		take(cookie << 4 | new);
	switch (new) {
	case TCP_SYN_SENT:
		begin(sk, cookie, NOTE_OUT);
		break;
	case TCP_LISTEN:
		begin(sk, cookie, NOTE_LISTEN);
		break;
	case TCP_ESTABLISHED:
		opened(sk, cookie, old);
		break;
	case TCP_CLOSE:
		closed(sk, cookie, old);
		break;
	}
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int tcp_state(u64 *ctx)
{
	return on_state(ctx, false);
}

SEC("tp_btf/inet_sock_set_state")
int tcp_state_again(u64 *ctx)
{
	return on_state(ctx, true);
}

/* How long a connect may take to get on its way before it is called refused. */
#define ON_ITS_WAY 250000000ULL
/* listen finds its port, or gives up, after the state says LISTEN. */
#define LISTEN_SETTLED 10000000ULL

/* A connect that came back at once: the socket never left CLOSE, or is gone. */
static always_inline void tell_refused(struct note *n, u64 cookie)
{
	struct tcp_record *r;

	if (!(wanted & WHAT_FAIL) || !asks_netns(n->netns))
		return;
	r = reserve(sizeof(*r), 1);
	if (!r)
		return;
	__builtin_memset(r, 0, sizeof(*r));
	put_note(r, n, cookie);
	r->what = WHAT_FAIL;
	r->flags = FLAG_OUT | FLAG_UNSENT;
	r->proto = PROTO_TCP;
	r->family = n->family;
	r->time = n->began;
	r->netns = n->netns;
	r->uid = n->uid;
	r->err = n->err;
	r->rport = n->rport;
	if (n->family == FAMILY_V4)
		map_v4(r->local, 0);
	__builtin_memcpy(r->remote, n->remote, sizeof(r->remote));
	if (!asks_ends(r->local, r->remote, r->lport, r->rport)) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return;
	}
	submit(r);
}

/*
 * Why the kernel refuses a connect at once shows only in what it looks up on
 * the way: the route, right after the program at connect ran.
 */
struct attempt {
	u64 cookie;
	u32 tid;
	u32 left; /* lookups that may still be its own */
};

struct {
	uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	uint(max_entries, 1);
	type(key, u32);
	type(value, struct attempt);
} attempt SEC(".maps");

#define MAX_LOOKUPS 8 /* as many tables may be asked before one has the route */

static always_inline void begin_attempt(u64 cookie)
{
	u32 zero = 0;
	struct attempt *a = bpf_map_lookup_elem(&attempt, &zero);

	if (!a)
		return;
	a->cookie = cookie;
	a->tid = bpf_get_current_pid_tgid();
	a->left = MAX_LOOKUPS;
}

static always_inline struct attempt *own_attempt(void)
{
	u32 zero = 0;
	struct attempt *a = bpf_map_lookup_elem(&attempt, &zero);

	return a && a->left && a->tid == (u32)bpf_get_current_pid_tgid() ? a : NULL;
}

/* A table was asked. With `last` no other is. */
static always_inline void note_lookup(struct attempt *a, u32 err, bool last)
{
	bool first = a->left == MAX_LOOKUPS;
	struct note *n;

	a->left = last ? 0 : a->left - 1;
	if (first && !err)
		return;
	n = bpf_map_lookup_elem(&notes, &a->cookie);
	if (n)
		n->err = err;
}

SEC("tp_btf/fib_table_lookup")
int route4(u64 *ctx)
{
	struct attempt *a = own_attempt();
	s32 err = ctx[3];

	if (a)
		note_lookup(a, err == -EAGAIN ? ENETUNREACH : -err, err != -EAGAIN);
	return 0;
}

SEC("tp_btf/fib6_table_lookup")
int route6(u64 *ctx)
{
	struct net *net = (void *)ctx[0];
	struct fib6_result *res = (void *)ctx[1];
	struct attempt *a = own_attempt();
	u32 err = 0;

	if (!a)
		return 0;
	if (res->f6i == net->ipv6.fib6_null_entry) {
		note_lookup(a, ENETUNREACH, false);
		return 0;
	}
	switch (res->fib6_type) {
	case RTN_UNREACHABLE:
		err = EHOSTUNREACH;
		break;
	case RTN_BLACKHOLE:
		err = EINVAL;
		break;
	case RTN_PROHIBIT:
		err = EACCES;
		break;
	}
	note_lookup(a, err, true);
	return 0;
}

/*
 * connect was called. What the kernel refuses at once leaves no other trace, so
 * the note says where it was to go.
 */
static always_inline int on_connect(struct bpf_sock_addr *ctx, u8 family)
{
	struct note n = {.family = family}, *before;
	struct tcp_sock *tcp;
	struct sock *sk;
	struct net *net;
	u64 cookie;

	if (ctx->protocol != IPPROTO_TCP || !asks_kind(PROTO_TCP, family) || !ctx->sk)
		return 1;
	tcp = bpf_skc_to_tcp_sock(ctx->sk);
	if (!tcp)
		return 1;
	sk = (void *)tcp;
	cookie = bpf_get_socket_cookie(ctx);
	n.word = cookie << 8 | NOTE_OUT;
	n.sk = (u64)sk;
	n.began = bpf_ktime_get_boot_ns();
	if (family == FAMILY_V4) {
		map_v4(n.remote, ctx->user_ip4);
	} else {
		((u32 *)n.remote)[0] = ctx->user_ip6[0];
		((u32 *)n.remote)[1] = ctx->user_ip6[1];
		((u32 *)n.remote)[2] = ctx->user_ip6[2];
		((u32 *)n.remote)[3] = ctx->user_ip6[3];
	}
	n.rport = __builtin_bswap16(ctx->user_port);
	n.uid = sk->sk_uid.val;
	n.inode = inode_of(sk, true);
	net = sk->__sk_common.skc_net.net;
	if (net)
		n.netns = net->ns.inum;
	name_current(sk, &n.who);
	if (bpf_map_update_elem(&notes, &cookie, &n, BPF_NOEXIST)) {
		/* The socket's connect before this came to nothing. */
		before = bpf_map_lookup_elem(&notes, &cookie);
		if (before && before->word == (cookie << 8 | NOTE_OUT))
			tell_refused(before, cookie);
		if (!keep(cookie, &n))
			return 1;
	}
	begin_attempt(cookie);
	return 1;
}

SEC("cgroup/connect4")
int tcp_connect4(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx, FAMILY_V4);
}

SEC("cgroup/connect6")
int tcp_connect6(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx, FAMILY_V6);
}

/* accept asks for the peer's address, by the process that accepts. */
static always_inline int on_peer(struct bpf_sock_addr *ctx)
{
	struct tcp_sock *tcp;
	struct note *n;
	u64 cookie;

	if (ctx->protocol != IPPROTO_TCP || !ctx->sk)
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	n = bpf_map_lookup_elem(&notes, &cookie);
	if (!n || !is_unclaimed(n->word))
		return 1;
	tcp = bpf_skc_to_tcp_sock(ctx->sk);
	if (tcp)
		claim((void *)tcp, tcp, n, cookie, true);
	return 1;
}

SEC("cgroup/getpeername4")
int tcp_peer4(struct bpf_sock_addr *ctx)
{
	return on_peer(ctx);
}

SEC("cgroup/getpeername6")
int tcp_peer6(struct bpf_sock_addr *ctx)
{
	return on_peer(ctx);
}

/*
 * Fills in a record from the side and hands it out, if nothing happened to the
 * socket meanwhile. Nothing but the word of a note is written from here.
 */
static always_inline bool tell_aside(struct note *n, u64 word, struct sock *sk, u32 what,
				     const struct who *who, u64 now)
{
	u64 cookie = word >> 8, still = 0, told = word | NOTE_TOLD;
	struct tcp_sock *tcp = (void *)sk;
	bool asked, subflow = false;
	struct tcp_record *r;

	if (what & WHAT_ACCEPT)
		told |= NOTE_ACCEPTED;
	what &= wanted;
	r = reserve(sizeof(*r), count_events(what));
	if (!r)
		return __sync_val_compare_and_swap(&n->word, word, told) == word;
	r->what = what;
	asked = what && put_socket(r, sk, false);
	if (field_exists(tcp->is_mptcp) && asked && r->proto == PROTO_TCP)
		probe(&subflow, &tcp->is_mptcp);
	put_note(r, n, cookie);
	if (who->tgid) {
		r->accepted = now;
		r->start = who->start;
		r->tgid = who->tgid;
		r->pid = who->pid;
	}
	r->time = what & WHAT_LISTEN ? r->began : r->accepted ? r->accepted : r->opened;
	r->flags |= (told & NOTE_OUT ? FLAG_OUT : 0) | (told & NOTE_ACCEPTED ? FLAG_ACCEPTED : 0);
	probe(&still, &sk->__sk_common.skc_cookie.counter);
	if (still != cookie || __sync_val_compare_and_swap(&n->word, word, told) != word) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return false;
	}
	if (asked && !subflow)
		submit(r);
	else
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
	return true;
}

/* An established connection: told of, and its note kept only until it is accepted. */
static always_inline void flush_open(struct note *n, u64 word, struct sock *sk, u64 now)
{
	u32 what = word & NOTE_TOLD ? 0 : WHAT_OPEN;
	struct who who = {};
	u64 cookie, cred;

	if (is_unclaimed(word)) {
		cred = file_cred(sk, false);
		if (cred && maker_of(cred, &who, NULL, false))
			what |= WHAT_ACCEPT;
	} else if (word & NOTE_ACCEPTED) {
		what |= WHAT_ACCEPT;
	}
	if (!what || !tell_aside(n, word, sk, what, &who, now))
		return;
	cookie = word >> 8;
	if (word & NOTE_OUT || what & WHAT_ACCEPT)
		bpf_map_delete_elem(&notes, &cookie);
}

struct flush {
	u64 now;
};

/*
 * When the last program was attached, by the boot clock; 0: not yet. Of a
 * connect that began before, its way to the socket may not have been seen.
 */
volatile u64 attached;

static long flush_note(void *map, const u64 *key, struct note *n, struct flush *f)
{
	/* A note may be younger than the flush. */
	u64 age = f->now > n->began ? f->now - n->began : 0;
	u64 word = n->word, cookie = word >> 8, still = 0;
	struct sock *sk = (void *)n->sk;
	struct who nobody = {};
	u32 before;
	u8 state = 0;

	if (word & NOTE_CLOSED)
		return 0;
	probe(&still, &sk->__sk_common.skc_cookie.counter);
	bpf_probe_read_kernel(&state, 1, (void *)&sk->__sk_common.skc_state);
	if (still != cookie && !n->doubt) {
		n->doubt = 1; /* another CPU may be about to fill the note in: next time */
		return 0;
	}
	if (word & NOTE_OPEN) {
		if (still == cookie)
			flush_open(n, word, sk, f->now);
		else if (!bpf_map_delete_elem(&notes, &cookie))
			count_loss(sockets, 1); /* closed without a word */
		return 0;
	}
	if (still == cookie && (state != TCP_CLOSE || age < ON_ITS_WAY)) {
		if (word & NOTE_LISTEN && state == TCP_LISTEN && age > LISTEN_SETTLED &&
		    tell_aside(n, word, sk, WHAT_LISTEN, &nobody, f->now))
			bpf_map_delete_elem(&notes, &cookie);
		return 0;
	}
	if (!turn(n, cookie, NOTE_TOLD, &before) || before & NOTE_OPEN)
		return 0;
	if (before & NOTE_OUT && attached && n->began >= attached)
		tell_refused(n, cookie);
	bpf_map_delete_elem(&notes, &cookie);
	return 0;
}

/* Run by the reader every so often. */
SEC("syscall")
int flush(void *ctx)
{
	struct flush f = {.now = bpf_ktime_get_boot_ns()};

	bpf_for_each_map_elem(&notes, flush_note, &f, 0);
	return 0;
}
