// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Where the kernel's tables of sockets are, and the namespaces that have tables
 * of their own.
 */
#pragma once

#include "look.h"

/* More rounds than a loop has. */
#define MAX_STEPS (1 << 22)

/* A part of a table, copied at once. */
#define GROUP_BYTES 64

#define NETNS_ELEMENTS	  16
#define NETNS_PER_ELEMENT 256
/*
 * These elements are none of the array's: the own tables of a namespace, which is
 * named with them.
 */
#define OWN_TCP 16384
#define OWN_UDP 16385

enum table_kind { TABLE_TCP, TABLE_LISTEN, TABLE_UDP, TABLE_UDPLITE, TABLES };

/*
 * A table of the kernel: chains of sockets in buckets. No wider than it has to be:
 * it is on the stack, of which older kernels count 32 bytes at a time.
 */
struct table {
	u64 buckets; /* address of the first */
	u32 mask;
	u16 stride;  /* bytes from bucket to bucket */
	u16 head;    /* offset of the chain's head in the bucket */
	u16 group;   /* buckets that are copied at once */
	u16 words;   /* a bit for each word of a group that is a head */
	u8 kind;
	u8 proto;
};

/*
 * Where the walk begins. Written once by find_tables before the first walk, and
 * true while the host is up.
 */
struct roots {
	struct table table[TABLES];
	u64 init_net; /* the first of the list of namespaces */
	u64 net_end;  /* the head of that list */
	u64 hashinfo, udp_table;
};

volatile struct roots roots;

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

/* The same, of a table shorter than a group: what is behind it is no head. */
static always_inline u16 words_within(const struct table *t)
{
	u32 buckets = t->mask + 1;

	if (buckets >= t->group)
		return t->words;
	return t->words & ((1U << (buckets * t->stride / 8 & 7)) - 1);
}

#define SHAPE(type, field)                                                                         \
	.stride = TYPE_SIZE(type), .head = field_offset(type, field),                              \
	.group = GROUP_BYTES % TYPE_SIZE(type) ? 1 : GROUP_BYTES / TYPE_SIZE(type),                \
	.words = WORDS(TYPE_SIZE(type), field_offset(type, field))

static always_inline struct table tcp_table(const struct inet_hashinfo *h)
{
	struct table t = {SHAPE(struct inet_ehash_bucket, chain), .kind = TABLE_TCP,
			  .proto = PROTO_TCP};

	probe(&t.buckets, (u64 *)&h->ehash);
	probe(&t.mask, &h->ehash_mask);
	t.words = words_within(&t);
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
	return (u64)h == roots.hashinfo ? NULL : h;
}

static always_inline const struct udp_table *own_udp_table(const struct net *net)
{
	const struct udp_table *u = NULL;

	if (!field_exists(net->ipv4.udp_table))
		return NULL;
	probe(&u, (const struct udp_table **)&net->ipv4.udp_table);
	return (u64)u == roots.udp_table ? NULL : u;
}

verified_once int put_netns(struct netns_record *r, u64 address)
{
	const struct net *net = (const void *)address;

	if (!r)
		return 0;
	probe(&r->netns, &net->ns.inum);
	if (own_hashinfo(net))
		r->element = OWN_TCP;
	if (own_udp_table(net))
		r->udp_element = OWN_UDP;
	return 0;
}

static long next_netns(u32 i, struct netns_walk *w)
{
	struct netns_record r = {.tag = TAG(RECORD_NETNS)};

	if (!w->node || (u64)w->node == w->end || w->index > w->last)
		return 1;
	if (w->index++ >= w->first) {
		put_netns(&r, (u64)w->node - field_offset(struct net, list));
		w->failed = bpf_seq_write(w->seq, &r, sizeof(r)) ? 1 : 0;
		if (w->failed)
			return 1;
	}
	if (probe(&w->node, (const struct list_head **)&w->node->next))
		w->node = NULL;
	return 0;
}

/* Writes the namespaces that the index-th element stands for. */
static noinline int write_netns(void *seq, u32 index)
{
	const struct net *init = (const void *)roots.init_net;
	struct netns_walk w = {.seq = seq, .end = roots.net_end};

	if (!init)
		return 0;
	w.node = (const void *)init + field_offset(struct net, list);
	w.first = index * NETNS_PER_ELEMENT;
	w.last = w.first + NETNS_PER_ELEMENT - 1;
	w.index = w.failed = nought;
	bpf_loop(w.last + 1, next_netns, &w, 0);
	return w.failed ? 1 : 0;
}

struct netns_search {
	const struct list_head *node;
	u64 end;
	u32 number;
};

static long find_netns(u32 i, struct netns_search *s)
{
	const struct net *net = (const void *)s->node - field_offset(struct net, list);
	u32 inum = 0;

	if (!s->node || (u64)s->node == s->end) {
		s->node = NULL;
		return 1;
	}
	probe(&inum, &net->ns.inum);
	if (inum == s->number)
		return 1;
	if (probe(&s->node, (const struct list_head **)&s->node->next))
		s->node = NULL;
	return 0;
}

/*
 * The table that the namespace has for itself. It is found by its number and
 * not by its place in the list, since others come and go.
 */
verified_once int own_table(struct table *t, u32 element, u32 netns)
{
	const struct net *net = (const void *)roots.init_net;
	struct netns_search s = {.end = roots.net_end, .number = netns};
	const struct inet_hashinfo *h;
	const struct udp_table *u;

	if (!t || !net)
		return 0;
	s.node = (const void *)net + field_offset(struct net, list);
	bpf_loop(MAX_STEPS, find_netns, &s, 0);
	if (!s.node)
		return 0;
	net = (const void *)s.node - field_offset(struct net, list);
	if (element == OWN_UDP) {
		u = own_udp_table(net);
		if (u)
			*t = udp_table(u, TABLE_UDP, PROTO_UDP);
	} else {
		h = own_hashinfo(net);
		if (h)
			*t = tcp_table(h);
	}
	return 0;
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
	struct files_struct *files = load(bpf_get_current_task_btf(), files);
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
	*(struct table *)&roots.table[kind] = t;
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
	struct nsproxy *proxy = load(bpf_get_current_task_btf(), nsproxy);
	const struct inet_hashinfo *hashinfo;
	const struct udp_table *udp = NULL, *udplite;
	const struct net *net = NULL, *init;
	struct init_search s = {};

	if (!ctx->key || *ctx->key || !proxy)
		return 0;
	net = load(proxy, net_ns);
	if (!net || probe(&s.ops, &net->ns.ops))
		return 0;
	s.node = (const void *)net + field_offset(struct net, list);
	bpf_loop(MAX_STEPS, find_head, &s, 0);
	if (!s.node)
		return 0;
	roots.net_end = (u64)s.node;
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
	roots.hashinfo = (u64)hashinfo;
	roots.udp_table = (u64)udp;
	roots.init_net = (u64)init;
	return write_found(ctx->meta->seq);
}
