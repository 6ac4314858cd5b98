// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * One pass over the kernel's tables of TCP and UDP sockets, those of all
 * network namespaces at once, for what no descriptor holds: connections that
 * wait to be accepted, orphans, TIME_WAIT and request sockets, the kernel's
 * own. Of a socket that has a file only the inode is given, so that the reader
 * finds those that no process has: in flight over a UNIX socket, or held by
 * io_uring.
 *
 * The iterator visits the elements of an array that holds nothing; an element
 * stands for a few buckets. No lock is taken and no reference: memory is read
 * with bpf_probe_read_kernel, which survives any pointer, and a socket counts
 * only if it was the same before and after it was read. Sockets of TCP are
 * reused without a grace period, so a chain may lead into another one: its end
 * tells by its nulls value, and the bucket is begun anew.
 */
#include "question.h"
#include "key.h"

/* The kernel gives GPL-only helpers to a known few names of licences only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Few elements are quick to go through; many keep what a reader has to ask for
 * apart small. A million sockets in the usual table are 128 for each of TCP's.
 */
#define TCP_ELEMENTS	  8192
#define LISTEN_ELEMENTS	  256
#define UDP_ELEMENTS	  1024
#define UDPLITE_ELEMENTS  64
#define NETNS_ELEMENTS	  64
#define NETNS_PER_ELEMENT 64
/* Elements from here on are none of the array's; they are asked for by number. */
#define OWN_ELEMENTS	  16384

#define LISTEN_BASE  TCP_ELEMENTS
#define UDP_BASE     (LISTEN_BASE + LISTEN_ELEMENTS)
#define UDPLITE_BASE (UDP_BASE + UDP_ELEMENTS)
#define NETNS_BASE   (UDPLITE_BASE + UDPLITE_ELEMENTS)
#define ELEMENTS     (NETNS_BASE + NETNS_ELEMENTS)

#define MAX_RESTARTS 4

/* A part of a table, copied at once. */
#define GROUP_BYTES 64

#define LISTEN_NULLS_BASE (1U << 29)

struct {
	u32 (*type)[2];
	u32 (*max_entries)[ELEMENTS];
	u32 (*key_size)[4];
	u32 (*value_size)[8];
} elements SEC(".maps");

enum table_kind { TABLE_TCP, TABLE_LISTEN, TABLE_UDP, TABLE_UDPLITE, TABLES };

/* A table of the kernel: chains of sockets in buckets. */
struct table {
	u64 buckets; /* address of the first */
	u32 mask;
	u32 stride;  /* bytes from bucket to bucket */
	u32 head;    /* offset of the chain's head in the bucket */
	u16 group;   /* buckets that are copied at once */
	u16 words;   /* a bit for each word of a group that is a head */
	u32 kind;
	u32 proto;
};

/*
 * Where the walk begins. Written once by find_tables before the first walk, and
 * true while the host is up.
 */
struct places {
	struct table table[TABLES];
	u64 init_net; /* the first of the list of namespaces */
	u64 net_end;  /* the head of that list */
	u64 hashinfo, udp_table;
};

volatile struct places places;

/* What the functions that look at a socket have to know. */
struct view {
	struct table t;
	u32 bucket; /* the one that is walked */
	u32 states, protos, flags, number; /* of the question */
};

/* Some buckets of the table, copied at once. */
struct group {
	u64 heads[GROUP_BYTES / 8];
	u32 first; /* number of the first bucket */
	u32 todo;  /* a bit for each word that heads a chain to be walked */
};

struct walk {
	void *seq;
	u64 node;    /* address of the next in the chain */
	u64 passed;  /* sockets of the element that were passed */
	u64 skip;    /* as many are passed over */
	u64 restart; /* passed, at the start of the bucket */
	u32 stride;  /* buckets from group to group */
	u32 written;
	u32 element;
	u32 restarts;
	struct view v;
	struct group g;
};

static always_inline void map_v4(u8 *dst, u32 addr)
{
	u32 *words = (u32 *)dst;

	words[0] = 0;
	words[1] = 0;
	words[2] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0xffff0000 : 0x0000ffff;
	words[3] = addr;
}


#define probe_bit(value, object, field)                                                            \
	({                                                                                         \
		u64 word = 0;                                                                      \
		bpf_probe_read_kernel(&word, __builtin_preserve_field_info((object)->field, 1),    \
				      (const void *)(object) +                                     \
					      __builtin_preserve_field_info((object)->field, 0));  \
		word <<= __builtin_preserve_field_info((object)->field, 4);                        \
		*(value) = word >> __builtin_preserve_field_info((object)->field, 5);              \
	})

/*
 * The beginning of every kind of socket, copied at once: addresses, hash,
 * ports, family, state. It tells a socket from another in the same memory.
 */
struct front {
	u64 words[3];
};

#define FRONT(f, type, field)                                                                      \
	(*(type *)((u8 *)(f)->words + field_offset(struct sock_common, field)))

static always_inline bool is_same(const struct front *f, const struct sock_common *c)
{
	struct front now;

	if (bpf_probe_read_kernel(&now, 16, c))
		return false;
	return now.words[0] == f->words[0] && now.words[1] == f->words[1];
}

static always_inline bool is_udp(u8 proto)
{
	return proto == PROTO_UDP || proto == PROTO_UDPLITE;
}

static always_inline void put_ends(struct socket_record *r, const struct front *f,
				   const struct sock_common *c)
{
	r->lport = FRONT(f, u16, skc_num);
	r->rport = __builtin_bswap16(FRONT(f, u16, skc_dport));
	if (r->family == FAMILY_V4) {
		map_v4(r->local, FRONT(f, u32, skc_rcv_saddr));
		map_v4(r->remote, FRONT(f, u32, skc_daddr));
		return;
	}
	bpf_probe_read_kernel(r->local, 16, &c->skc_v6_rcv_saddr);
	bpf_probe_read_kernel(r->remote, 16, &c->skc_v6_daddr);
}

/* As inet_diag counts them. */
static always_inline void put_queues(struct socket_record *r, const struct sock *sk)
{
	const struct tcp_sock *tcp = (const void *)sk;
	const struct sock *listener = sk;
	u32 a = 0, b = 0;
	s32 deficit = 0;

	if (r->state == TCP_LISTEN) {
		if (r->proto == PROTO_MPTCP)
			probe(&listener, &((const struct mptcp_sock *)sk)->first);
		probe(&r->recvq, &listener->sk_ack_backlog);
		probe(&r->sendq, &listener->sk_max_ack_backlog);
	} else if (r->proto == PROTO_TCP) {
		probe(&a, &tcp->rcv_nxt);
		probe(&b, &tcp->copied_seq);
		r->recvq = (s32)(a - b) > 0 ? a - b : 0;
		probe(&a, &tcp->write_seq);
		probe(&b, &tcp->snd_una);
		r->sendq = a - b;
	} else {
		if (r->proto != PROTO_MPTCP)
			probe(&deficit, &((const struct udp_sock *)sk)->forward_deficit);
		probe(&a, &sk->sk_backlog.rmem_alloc.counter);
		probe(&b, &sk->sk_wmem_alloc.refs.counter);
		r->recvq = a - deficit;
		r->sendq = b - 1;
	}
}

static always_inline u64 cgroup_of(const struct sock *sk)
{
	struct cgroup *cgroup = NULL;
	struct kernfs_node *node = NULL;
	u64 id = 0;

	/* Where there is a class id beside it, the pointer is a plain one. */
	if (!field_exists(sk->sk_cgrp_data.classid) || !field_exists(sk->sk_cgrp_data.cgroup))
		return 0;
	if (!probe(&cgroup, &sk->sk_cgrp_data.cgroup) && cgroup && !probe(&node, &cgroup->kn) && node)
		probe(&id, &node->id);
	return id;
}

/* What only a whole socket has, as against TIME_WAIT and request sockets. */
static always_inline void put_whole(struct socket_record *r, const struct sock *sk,
				    const struct socket *socket)
{
	u32 kernel = 0;

	/* What a listener of the kernel's accepted is of its kind, and not its own. */
	probe_bit(&kernel, sk, sk_kern_sock);
	if (kernel && socket && r->flags & FLAG_NOFILE)
		r->flags |= FLAG_KERNEL;
	/* Before sk_ino the user was that of the inode, and without one nobody's. */
	if (socket || field_exists(sk->sk_ino))
		probe(&r->uid, &sk->sk_uid.val);
	probe(&r->mark, &sk->sk_mark);
	r->cgroup = cgroup_of(sk);
	put_queues(r, sk);
}

static always_inline u64 inode_of(const struct sock *sk, const struct socket *socket)
{
	unsigned long inode = 0;

	if (field_exists(sk->sk_ino))
		probe(&inode, &sk->sk_ino);
	else if (socket)
		probe(&inode, &((const struct socket_alloc *)socket)->vfs_inode.i_ino);
	return inode;
}

/* A function of its own to the verifier, so that it looks at it once. */
noinline int put_tcp(struct tcp_record *r, u64 address)
{
	const struct tcp_sock *tcp = (const void *)address;
	const struct tcp_congestion_ops *ops = NULL;
	u64 again = 0;

	if (!r)
		return 0;
	*r = (struct tcp_record){.tag = TAG(RECORD_TCP)};
	probe(&r->srtt, &tcp->srtt_us);
	r->srtt >>= 3;
	probe(&r->retrans, &tcp->total_retrans);
	probe(&r->cwnd, &tcp->snd_cwnd);
	probe(&r->bytes_sent, &tcp->bytes_sent);
	probe(&again, &tcp->bytes_retrans);
	r->bytes_sent -= again;
	probe(&r->bytes_received, &tcp->bytes_received);
	probe(&ops, &tcp->inet_conn.icsk_ca_ops);
	bpf_probe_read_kernel(r->cong, sizeof(r->cong), ops->name);
	return 0;
}

/*
 * A connection of MPTCP is several of TCP, its subflows, which are not listed
 * beside it. Returns the socket that sk is a subflow of, sk for any other, and
 * NULL for a subflow that is being wound up.
 */
static always_inline const struct sock *whole_of(const struct sock *sk,
						 const struct socket *socket)
{
	const struct sock *outer = NULL;
	const struct mptcp_subflow_context *subflow = NULL;
	u8 mptcp = 0;

	if (socket)
		return probe(&outer, &socket->sk) || !outer ? sk : outer;
	if (!field_exists(((struct tcp_sock *)0)->is_mptcp) ||
	    !type_exists(struct mptcp_subflow_context))
		return sk;
	probe(&mptcp, (u8 *)&((const struct tcp_sock *)sk)->is_mptcp);
	if (!mptcp)
		return sk;
	probe(&subflow, &((const struct inet_connection_sock *)sk)->icsk_ulp_data);
	if (subflow)
		probe(&outer, &subflow->conn);
	return outer;
}

enum verdict {
	PASS,	    /* nothing to tell */
	MOVED,	    /* the chain leads elsewhere */
	TELL_ID,    /* the inode, which others look up */
	TELL,	    /* the record */
	TELL_TCP,   /* the record, and there is a struct tcp_sock */
	LOOK,	    /* a closer look at a whole socket is needed */
	LOOK_MINOR, /* and at one of which there is no more than the front */
};

#define MINOR_STATES (1 << TCP_TIME_WAIT | 1 << TCP_FIN_WAIT2 | 1 << TCP_SYN_RECV)

static always_inline bool asked(const struct view *v, const struct socket_record *r)
{
	return v->protos >> (r->proto & 31) & 1 && v->states >> (r->state & 31) & 1 &&
	       v->flags & (r->family == FAMILY_V6 ? ASK_V6 : ASK_V4);
}

/*
 * Looks at a socket of TIME_WAIT or at a request socket, of which there is no
 * more than the front.
 */
noinline int view_minor(const struct view *v, struct socket_record *r, u64 address)
{
	const struct sock_common *c = (const void *)address;
	const struct net *net = NULL;
	struct front f = {};
	u32 bit = 0;

	if (!v || !r || probe(&f, (const struct front *)c))
		return MOVED;
	*r = (struct socket_record){.tag = TAG(RECORD_SOCKET), .proto = PROTO_TCP};
	r->flags = FLAG_NOFILE;
	if (FRONT(&f, u8, skc_state) == TCP_NEW_SYN_RECV) {
		r->state = TCP_SYN_RECV;
		probe(&r->mark, &((const struct inet_request_sock *)c)->ir_mark);
	} else {
		probe(&r->state, (u8 *)&((const struct inet_timewait_sock *)c)->tw_substate);
		probe(&r->mark, &((const struct inet_timewait_sock *)c)->tw_mark);
	}
	r->family = hide(FRONT(&f, u16, skc_family) == AF_INET ? FAMILY_V4 : FAMILY_V6);
	if (!asked(v, r) || v->flags & ASK_WANTED)
		return PASS;
	put_ends(r, &f, c);
	probe(&net, &c->skc_net.net);
	probe(&r->netns, &net->ns.inum);
	if (!asks_netns(r->netns))
		return PASS;
	probe(&r->cookie, &c->skc_cookie.counter);
	probe(&r->device, &c->skc_bound_dev_if);
	probe_bit(&bit, c, skc_ipv6only);
	if (bit && r->family == FAMILY_V6)
		r->flags |= FLAG_V6ONLY;
	return is_same(&f, c) ? TELL : MOVED;
}

/* Looks at a whole socket and puts what is to be told of it into r. */
noinline int view_socket(const struct view *v, struct socket_record *r, u64 address)
{
	const struct sock *inner = (const void *)address, *sk;
	const struct socket *socket = NULL;
	const struct file *file = NULL;
	const struct net *net = NULL;
	struct front f = {};
	u16 protocol = 0;
	u32 bit = 0;

	if (!v || !r)
		return PASS;
	*r = (struct socket_record){.tag = TAG(RECORD_SOCKET), .proto = v->t.proto};
	probe(&socket, &inner->sk_socket);
	sk = whole_of(inner, socket);
	if (sk != inner) {
		/* A subflow's socket may be one of MPTCP only. */
		if (v->t.kind > TABLE_LISTEN || probe(&protocol, &sk->sk_protocol) ||
		    protocol != IPPROTO_MPTCP)
			return PASS;
		r->proto = PROTO_MPTCP;
		socket = NULL;
		probe(&socket, &sk->sk_socket);
	}
	r->proto = hide(r->proto);
	if (probe(&f, (const struct front *)sk))
		return MOVED;
	r->state = FRONT(&f, u8, skc_state);
	if (v->t.kind >= TABLE_UDP && r->state == TCP_CLOSE)
		r->state = STATE_UNCONN;
	r->state = hide(r->state);
	r->family = hide(FRONT(&f, u16, skc_family) == AF_INET ? FAMILY_V4 : FAMILY_V6);
	if (!asked(v, r))
		return PASS;
	if (socket)
		probe(&file, &socket->file);
	r->flags = hide(file ? FLAG_FILE : FLAG_NOFILE);
	r->inode = inode_of(sk, socket);
	if (v->flags & ASK_WANTED && (!file || !is_wanted(v->number, r->inode)))
		return PASS;
	probe(&net, &sk->__sk_common.skc_net.net);
	probe(&r->netns, &net->ns.inum);
	if (!asks_netns(r->netns))
		return PASS;
	if (file && !(v->flags & ASK_FULL))
		return is_same(&f, &sk->__sk_common) ? TELL_ID : MOVED;

	put_ends(r, &f, &sk->__sk_common);
	if (file)
		r->start = file_key((u64)file);
	probe(&r->cookie, &sk->__sk_common.skc_cookie.counter);
	probe(&r->device, &sk->__sk_common.skc_bound_dev_if);
	probe_bit(&bit, &sk->__sk_common, skc_ipv6only);
	if (bit && r->family == FAMILY_V6)
		r->flags |= FLAG_V6ONLY;
	put_whole(r, sk, socket);
	if (!is_same(&f, &sk->__sk_common))
		return MOVED;
	return r->proto == PROTO_TCP ? TELL_TCP : TELL;
}

/*
 * Most sockets have a file, and most questions are for no more than their
 * inode. Since Linux 6.17 that is in the socket itself: struct socket, which
 * is other memory, is left alone.
 */
noinline int view_id(const struct view *v, struct id_record *r, u64 address)
{
	const struct sock *sk = (const void *)address;
	const struct net *net = NULL;
	struct socket_record kind;
	struct front f = {};
	u32 kernel = 0;

	if (!v || !r || probe(&f, (const struct front *)sk))
		return MOVED;
	if (v->t.kind == TABLE_TCP && (FRONT(&f, u32, skc_hash) & v->t.mask) != v->bucket)
		return MOVED;
	kind.state = FRONT(&f, u8, skc_state);
	if (v->t.kind == TABLE_TCP &&
	    (kind.state == TCP_TIME_WAIT || kind.state == TCP_NEW_SYN_RECV))
		return v->states & MINOR_STATES ? LOOK_MINOR : PASS;
	if (!field_exists(sk->sk_ino))
		return LOOK;
	probe_bit(&kernel, sk, sk_kern_sock);
	probe(&r->inode, (u64 *)&sk->sk_ino);
	if (kernel || !r->inode)
		return LOOK;
	if (v->flags & (ASK_FULL | ASK_WANTED))
		return v->flags & ASK_WANTED && !is_wanted(v->number, r->inode) ? PASS : LOOK;
	if (v->t.kind >= TABLE_UDP && kind.state == TCP_CLOSE)
		kind.state = STATE_UNCONN;
	kind.proto = v->t.proto;
	kind.family = hide(FRONT(&f, u16, skc_family) == AF_INET ? FAMILY_V4 : FAMILY_V6);
	if (!asked(v, &kind))
		return PASS;
	probe(&net, &sk->__sk_common.skc_net.net);
	probe(&r->netns, &net->ns.inum);
	if (!asks_netns(r->netns))
		return PASS;
	return is_same(&f, &sk->__sk_common) ? TELL_ID : MOVED;
}

/* Writes what a closer look at the socket shows. */
static noinline int visit_closely(struct walk *w, u64 address, bool minor)
{
	union {
		struct socket_record socket;
		struct tcp_record tcp;
		struct id_record id;
	} r = {};
	int verdict;

	if (minor)
		verdict = view_minor(&w->v, &r.socket, address);
	else
		verdict = view_socket(&w->v, &r.socket, address);
	if (verdict < TELL_ID)
		return verdict;
	if (verdict == TELL_ID) {
		r.id = (struct id_record){TAG(RECORD_ID), r.socket.netns, r.socket.inode};
		w->written += sizeof(r.id);
		return bpf_seq_write(w->seq, &r.id, sizeof(r.id)) ? -1 : PASS;
	}
	if (!asks_ends(&r.socket))
		return PASS;
	w->written += sizeof(r.socket);
	if (bpf_seq_write(w->seq, &r.socket, sizeof(r.socket)))
		return -1;
	if (verdict != TELL_TCP || !(w->v.flags & ASK_TCPINFO))
		return PASS;
	put_tcp(&r.tcp, address);
	w->written += sizeof(r.tcp);
	return bpf_seq_write(w->seq, &r.tcp, sizeof(r.tcp)) ? -1 : PASS;
}

/* Looks at what the chain leads to, and writes what is to be told of it. */
static always_inline int visit(struct walk *w, u64 address)
{
	struct id_record r = {.tag = TAG(RECORD_ID)};
	int verdict = view_id(&w->v, &r, address);

	if (verdict >= LOOK)
		return visit_closely(w, address, verdict == LOOK_MINOR);
	if (verdict != TELL_ID)
		return verdict;
	w->written += sizeof(r);
	return bpf_seq_write(w->seq, &r, sizeof(r)) ? -1 : PASS;
}

/* Did the chain end where it began. */
static always_inline bool ends_right(const struct walk *w)
{
	u32 value = w->node >> 1;

	return w->v.t.kind >= TABLE_UDP || value == w->v.bucket ||
	       value - LISTEN_NULLS_BASE == w->v.bucket;
}

static always_inline const void *address_of(const struct view *v)
{
	return (const void *)(v->t.buckets + (u64)v->bucket * v->t.stride);
}

/* Copies the group's heads, and notes those of chains with something in them. */
noinline int read_group(const struct view *v, struct group *g)
{
	u32 todo = 0;

	if (!v || !g || g->first > v->t.mask ||
	    bpf_probe_read_kernel(g->heads, sizeof(g->heads),
				  (const void *)(v->t.buckets + (u64)g->first * v->t.stride)))
		return 1;
#pragma clang loop unroll(full)
	for (u32 i = 0; i < GROUP_BYTES / 8; i++) {
		u64 head = g->heads[i];

		todo |= (u32)((head | -head) >> 63 & ~head & 1) << i;
	}
	g->todo = todo & v->t.words;
	return 0;
}

/* Sets out on the next chain of the group, or on the next group. */
static noinline int next_bucket(struct walk *w)
{
	u32 word;
	int over;

	if (!w->g.todo) {
		w->g.first += w->stride;
		w->node = nought;
		over = read_group(&w->v, &w->g);
		barrier_var(over); /* the compiler knows that it is 0 or 1, not the verifier */
		return over ? 1 : 0;
	}
	word = __builtin_ctz(w->g.todo) & (GROUP_BYTES / 8 - 1);
	w->g.todo &= w->g.todo - 1;
	w->node = w->g.heads[word];
	w->v.bucket = w->g.first + word * 8 / w->v.t.stride;
	w->restart = w->passed;
	w->restarts = nought;
	return 0;
}

/* Begins the bucket anew, for a chain led elsewhere; not for ever. */
static noinline int begin_anew(struct walk *w)
{
	if (++w->restarts > MAX_RESTARTS)
		return next_bucket(w);
	w->passed = w->restart;
	w->node = nought;
	bpf_probe_read_kernel(&w->node, sizeof(w->node), address_of(&w->v) + w->v.t.head);
	return 0;
}

/* One step of the walk: a socket, or the way to the next bucket. */
static long step(u32 i, struct walk *w)
{
	int verdict = PASS;

	if (!w->node)
		return next_bucket(w);
	if (w->node & 1)
		return ends_right(w) ? next_bucket(w) : begin_anew(w);
	if (w->passed++ >= w->skip)
		verdict = visit(w, w->node - field_offset(struct sock_common, skc_nulls_node));
	if (verdict < 0) {
		w->written = ~0;
		return 1;
	}
	if (verdict == MOVED ||
	    bpf_probe_read_kernel(&w->node, sizeof(w->node), (const void *)w->node))
		return begin_anew(w);
	return w->written > OUTPUT_LIMIT;
}

/* Walks the index-th of so many parts of the table. */
static always_inline int walk_table(struct walk *w, u32 index, u32 parts)
{
	struct more_record more = {.tag = TAG(RECORD_MORE), .element = w->element};

	w->written = w->restarts = nought;
	w->passed = w->restart = w->node = nought;
	w->stride = parts * w->v.t.group;
	w->g.first = index * w->v.t.group;
	if (!w->v.t.buckets || read_group(&w->v, &w->g))
		return 0;
	bpf_loop(MAX_STEPS, step, w, 0);
	if (w->written == ~0U)
		return 1;
	if (w->written <= OUTPUT_LIMIT)
		return 0;
	more.done = w->passed;
	return bpf_seq_write(w->seq, &more, sizeof(more)) ? 1 : 0;
}

static always_inline const struct inet_hashinfo *hashinfo_of(const struct net *net)
{
	const struct net___apart *apart = (const void *)net;
	const struct inet_timewait_death_row *row = NULL;
	const struct inet_hashinfo *h = NULL;

	if (!field_exists(apart->ipv4.tcp_death_row))
		row = &net->ipv4.tcp_death_row;
	else
		probe(&row, (const struct inet_timewait_death_row **)&apart->ipv4.tcp_death_row);
	if (row)
		probe(&h, (const struct inet_hashinfo **)&row->hashinfo);
	return h;
}

struct netns_walk {
	void *seq;
	const struct list_head *node;
	u64 end;
	u32 index, first, last;
	u32 failed;
};

/* Every stride-th bit, from that of the head on. */
#define WORDS(stride, head)                                                                        \
	(((stride) == 8 ? 0xff : (stride) == 16 ? 0x55 : (stride) == 32 ? 0x11 : 1) << (head) / 8)

#define SHAPE(type, field)                                                                         \
	.stride = TYPE_SIZE(type), .head = field_offset(type, field),                              \
	.group = TYPE_SIZE(type) > GROUP_BYTES ? 1 : GROUP_BYTES / TYPE_SIZE(type),                \
	.words = WORDS(TYPE_SIZE(type), field_offset(type, field))

static always_inline struct table tcp_table(const struct inet_hashinfo *h)
{
	struct table t = {SHAPE(struct inet_ehash_bucket, chain), .kind = TABLE_TCP,
			  .proto = PROTO_TCP};

	probe(&t.buckets, (u64 *)&h->ehash);
	probe(&t.mask, &h->ehash_mask);
	return t;
}

static always_inline struct table listen_table(const struct inet_hashinfo *h)
{
	struct table t = {SHAPE(struct inet_listen_hashbucket, nulls_head), .kind = TABLE_LISTEN,
			  .proto = PROTO_TCP};

	probe(&t.buckets, (u64 *)&h->lhash2);
	probe(&t.mask, &h->lhash2_mask);
	return t;
}

static always_inline struct table udp_table(const struct udp_table *u, u32 kind, u32 proto)
{
	struct table t = {SHAPE(struct udp_hslot, head), .kind = kind, .proto = proto};

	probe(&t.buckets, (u64 *)&u->hash);
	probe(&t.mask, &u->mask);
	return t;
}

/* Its own table of TCP sockets, NULL where it shares that of the host. */
static always_inline const struct inet_hashinfo *own_hashinfo(const struct net *net)
{
	const struct inet_hashinfo *h = NULL;

	if (!field_exists(h->pernet))
		return NULL;
	h = hashinfo_of(net);
	return (u64)h == places.hashinfo ? NULL : h;
}

static always_inline const struct udp_table *own_udp_table(const struct net *net)
{
	const struct udp_table *u = NULL;

	if (!field_exists(net->ipv4.udp_table))
		return NULL;
	probe(&u, (const struct udp_table **)&net->ipv4.udp_table);
	return (u64)u == places.udp_table ? NULL : u;
}

static long next_netns(u32 i, struct netns_walk *w)
{
	const struct net *net = (const void *)w->node - field_offset(struct net, list);
	struct netns_record r = {.tag = TAG(RECORD_NETNS)};

	if (!w->node || (u64)w->node == w->end || w->index > w->last)
		return 1;
	if (w->index >= w->first && w->seq) {
		probe(&r.netns, &net->ns.inum);
		if (own_hashinfo(net))
			r.element = OWN_ELEMENTS + 2 * w->index;
		if (own_udp_table(net))
			r.udp_element = OWN_ELEMENTS + 2 * w->index + 1;
		if (bpf_seq_write(w->seq, &r, sizeof(r))) {
			w->failed = 1;
			return 1;
		}
	}
	if (w->index++ == w->last)
		return 1;
	if (probe(&w->node, (const struct list_head **)&w->node->next))
		w->node = NULL;
	return 0;
}

/* Goes to the namespaces from first to last; node is then the last of them. */
static always_inline void walk_netns(struct netns_walk *w, u32 first, u32 last)
{
	const struct net *init = (const void *)places.init_net;

	w->node = init ? (const void *)init + field_offset(struct net, list) : NULL;
	w->end = places.net_end;
	w->first = first;
	w->last = last;
	w->index = w->failed = nought;
	bpf_loop(last + 1, next_netns, w, 0);
}

/* Writes the namespaces that the index-th element stands for. */
static noinline int write_netns(void *seq, u32 index)
{
	struct netns_walk n = {.seq = seq};

	walk_netns(&n, index * NETNS_PER_ELEMENT, (index + 1) * NETNS_PER_ELEMENT - 1);
	return n.failed ? 1 : 0;
}

/* The table that the namespace has for itself. */
static noinline void own_table(struct table *t, u32 number)
{
	struct netns_walk n = {};
	const struct net *net;
	const struct inet_hashinfo *h;
	const struct udp_table *u;

	walk_netns(&n, number / 2, number / 2);
	if (!n.node || (u64)n.node == n.end)
		return;
	net = (const void *)n.node - field_offset(struct net, list);
	if (number & 1) {
		u = own_udp_table(net);
		if (u)
			*t = udp_table(u, TABLE_UDP, PROTO_UDP);
	} else {
		h = own_hashinfo(net);
		if (h)
			*t = tcp_table(h);
	}
}

/*
 * What find_tables starts from, set before loading: descriptors of this
 * process, sockets of UDP and of UDP-Lite, -1 where there is none.
 */
const volatile s32 udp_fd = -1;
const volatile s32 udplite_fd = -1;

/* The table that a socket of this process would be in, if it were bound. */
static always_inline const struct udp_table *table_of_fd(s32 fd)
{
	struct files_struct *files = bpf_get_current_task_btf()->files;
	const struct udp_table *table = NULL;
	const struct fdtable *fdt = NULL;
	const struct socket *socket = NULL;
	const struct proto *proto = NULL;
	const struct sock *sk = NULL;
	struct file *const *fds = NULL;
	const struct file *file = NULL;

	if (fd < 0 || !files || probe(&fdt, (const struct fdtable **)&files->fdt) ||
	    probe(&fds, (struct file *const **)&fdt->fd) ||
	    probe(&file, (const struct file **)&fds[fd]) ||
	    probe(&socket, (const struct socket **)&file->private_data) ||
	    probe(&sk, (const struct sock **)&socket->sk) ||
	    probe(&proto, (const struct proto **)&sk->__sk_common.skc_prot))
		return NULL;
	probe(&table, (const struct udp_table **)&proto->h.udp_table);
	return table;
}

static always_inline void put_table(u32 kind, struct table t)
{
	*(struct table *)&places.table[kind] = t;
}

struct init_search {
	const struct list_head *node;
	const struct proc_ns_operations *ops; /* of every network namespace */
};

/* The head of the list is what is no namespace; the first one after it is init_net. */
static long find_head(u32 i, struct init_search *s)
{
	const struct net *net = (const void *)s->node - field_offset(struct net, list);
	const struct proc_ns_operations *ops = NULL;

	if (probe(&ops, &net->ns.ops) || ops != s->ops)
		return 1;
	if (probe(&s->node, (const struct list_head **)&s->node->next))
		s->node = NULL;
	return !s->node;
}

/*
 * Finds the tables from what every process points to, because a kernel need
 * not tell the addresses of its symbols. Runs once, in the loading process.
 */
SEC("iter/bpf_map_elem")
int find_tables(struct bpf_iter__bpf_map_elem *ctx)
{
	struct nsproxy *proxy = bpf_get_current_task_btf()->nsproxy;
	const struct inet_hashinfo *hashinfo;
	const struct udp_table *udp = NULL, *udplite;
	const struct net *net = NULL, *init;
	struct init_search s = {};

	if (!ctx->key || *ctx->key || !proxy)
		return 0;
	net = proxy->net_ns;
	if (!net || probe(&s.ops, &net->ns.ops))
		return 0;
	s.node = (const void *)net + field_offset(struct net, list);
	bpf_loop(MAX_STEPS, find_head, &s, 0);
	if (!s.node)
		return 0;
	places.net_end = (u64)s.node;
	if (probe(&s.node, (const struct list_head **)&s.node->next))
		return 0;
	init = (const void *)s.node - field_offset(struct net, list);
	hashinfo = hashinfo_of(init);
	if (!hashinfo)
		return 0;
	if (field_exists(init->ipv4.udp_table))
		probe(&udp, (const struct udp_table **)&init->ipv4.udp_table);
	else
		udp = table_of_fd(udp_fd);
	put_table(TABLE_TCP, tcp_table(hashinfo));
	put_table(TABLE_LISTEN, listen_table(hashinfo));
	if (udp)
		put_table(TABLE_UDP, udp_table(udp, TABLE_UDP, PROTO_UDP));
	udplite = table_of_fd(udplite_fd);
	if (udplite)
		put_table(TABLE_UDPLITE, udp_table(udplite, TABLE_UDPLITE, PROTO_UDPLITE));
	places.hashinfo = (u64)hashinfo;
	places.udp_table = (u64)udp;
	places.init_net = (u64)init;
	return 0;
}

#define TCP_STATES ((1 << 14) - 1 & ~(1 << TCP_LISTEN | 1 << TCP_CLOSE))

/* Can a socket in the table be what is asked for. */
static always_inline bool asks_table(const struct view *v)
{
	u32 states = v->t.kind == TABLE_TCP ? TCP_STATES
		     : v->t.kind == TABLE_LISTEN ? 1 << TCP_LISTEN
						 : 1 << STATE_UNCONN | 1 << TCP_ESTABLISHED;
	u32 protos = 1 << (v->t.proto & 31);

	if (v->t.kind <= TABLE_LISTEN)
		protos |= 1 << PROTO_MPTCP;
	return v->states & states && v->protos & protos;
}

SEC("iter/bpf_map_elem")
int hash_walk(struct bpf_iter__bpf_map_elem *ctx)
{
	u32 element, index, parts, table;
	struct question q = {};
	struct walk w = {};

	if (!ctx->key)
		return 0;
	element = *ctx->key;
	read_question(&q);
	if (q.flags & ASK_RESUME) {
		if (element)
			return 0;
		element = resume_point(&q) & 0x7fff;
		w.skip = resume_point(&q) >> 15 << 6;
	} else if (q.parts && element % q.parts != q.part) {
		return 0;
	}
	w.seq = ctx->meta->seq;
	w.element = element;
	w.v.states = q.states;
	w.v.protos = q.protos;
	w.v.flags = q.flags;
	w.v.number = q.number;

	if (element >= OWN_ELEMENTS) {
		own_table(&w.v.t, element - OWN_ELEMENTS);
		index = 0;
		parts = 1;
	} else if (element >= NETNS_BASE) {
		return write_netns(w.seq, element - NETNS_BASE);
	} else {
		table = TABLE_TCP;
		index = element;
		parts = TCP_ELEMENTS;
		if (element >= UDPLITE_BASE) {
			table = TABLE_UDPLITE;
			index -= UDPLITE_BASE;
			parts = UDPLITE_ELEMENTS;
		} else if (element >= UDP_BASE) {
			table = TABLE_UDP;
			index -= UDP_BASE;
			parts = UDP_ELEMENTS;
		} else if (element >= LISTEN_BASE) {
			table = TABLE_LISTEN;
			index -= LISTEN_BASE;
			parts = LISTEN_ELEMENTS;
		}
		w.v.t = *(struct table *)&places.table[table];
	}
	return asks_table(&w.v) ? walk_table(&w, index, parts) : 0;
}
