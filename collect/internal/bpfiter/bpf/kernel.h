// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The structs of the kernel that the iterators use, and what else only they do. */
#pragma once

#include "../../../../internal/bpf/core.h"

/*
 * A function of its own to the verifier, so that it looks at it once (Linux
 * 5.12). What is built BEFORE_5_12 has it looked at with each call.
 */
#ifdef BEFORE_5_12
#define verified_once static noinline
#else
#define verified_once noinline
#endif

/*
 * A field of an object that the verifier knows, read as if it did not: for a
 * plain load of a pointer it searches the kernel's types from end to end, which
 * takes it longer than a program does to run.
 */
#define load(object, field)                                                                        \
	({                                                                                         \
		typeof((object)->field) value_ = 0;                                                \
		bpf_probe_read_kernel(&value_, sizeof(value_), &(object)->field);                  \
		value_;                                                                            \
	})

struct list_head {
	struct list_head *next, *prev;
} kernel_type;

typedef struct {
	atomic_t refs;
} kernel_type refcount_t;

struct proc_ns_operations;

struct ns_common {
	const struct proc_ns_operations *ops;
	u32 inum;
} kernel_type;

struct inet_ehash_bucket;
struct inet_listen_hashbucket;

struct inet_hashinfo {
	struct inet_ehash_bucket *ehash;
	u32 ehash_mask;
	u32 lhash2_mask;
	struct inet_listen_hashbucket *lhash2;
	bool pernet;
} kernel_type;

struct hlist_nulls_node {
	struct hlist_nulls_node *next;
} kernel_type;

struct hlist_nulls_head {
	struct hlist_nulls_node *first;
} kernel_type;

struct inet_ehash_bucket {
	struct hlist_nulls_head chain;
} kernel_type;

struct inet_listen_hashbucket {
	struct hlist_nulls_head nulls_head;
} kernel_type;

struct hlist_head {
	void *first;
} kernel_type;

struct udp_hslot {
	struct hlist_head head;
} kernel_type;

struct udp_table {
	struct udp_hslot *hash;
	u32 mask;
} kernel_type;

struct inet_timewait_death_row {
	struct inet_hashinfo *hashinfo;
} kernel_type;

struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
	struct udp_table *udp_table;
} kernel_type;

struct net_device {
	u32 ifindex;
	char name[16];
	struct {
		void *next;
	} index_hlist;
} kernel_type;

struct net {
	struct list_head list;
	struct ns_common ns;
	void *dev_index_head;
	struct netns_ipv4 ipv4;
} kernel_type;

/* Linux 5.19 to 6.0: the death row stands apart. */
struct netns_ipv4___apart {
	struct inet_timewait_death_row *tcp_death_row;
} kernel_type;

struct net___apart {
	struct netns_ipv4___apart ipv4;
} kernel_type;

typedef struct {
	struct net *net;
} kernel_type possible_net_t;

struct in6_addr {
	union {
		u8 u6_addr8[16];
	} in6_u;
} kernel_type;

struct proto {
	union {
		struct udp_table *udp_table;
	} h;
} kernel_type;

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u32 skc_hash;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	volatile u8 skc_state;
	u8 skc_ipv6only : 1;
	s32 skc_bound_dev_if;
	struct proto *skc_prot;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	struct hlist_nulls_node skc_nulls_node;
} kernel_type;

struct kernfs_node {
	u64 id;
} kernel_type;

struct cgroup {
	struct kernfs_node *kn;
} kernel_type;

/* A pointer since Linux 5.15; a union with flags in it before. */
struct sock_cgroup_data {
	struct cgroup *cgroup;
	u32 classid;
} kernel_type;

struct sk_backlog {
	atomic_t rmem_alloc;
} kernel_type;

struct sock {
	struct sock_common __sk_common;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
	struct socket *sk_socket;
	refcount_t sk_wmem_alloc;
	u32 sk_mark;
	kuid_t sk_uid;
	u16 sk_protocol;
	u16 sk_type;
	u8 sk_kern_sock : 1;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	unsigned long sk_ino;
	struct sock_cgroup_data sk_cgrp_data;
} kernel_type;

struct super_block {
	unsigned long s_magic;
} kernel_type;

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
	void *i_private;
} kernel_type;

struct file {
	const void *f_op;
	struct inode *f_inode;
	void *private_data;
} kernel_type;

struct socket {
	struct file *file;
	struct sock *sk;
} kernel_type;

struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
} kernel_type;

struct tcp_congestion_ops {
	char name[16];
} kernel_type;

/* Before Linux 5.19 listeners hang in their table by a node of their own. */
struct inet_connection_sock___old {
	struct hlist_head icsk_listen_portaddr_node;
} kernel_type;

struct inet_connection_sock {
	const struct tcp_congestion_ops *icsk_ca_ops;
	void *icsk_ulp_data;
} kernel_type;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 copied_seq;
	u32 rcv_nxt;
	u32 write_seq;
	u32 snd_una;
	u32 srtt_us;
	u32 snd_cwnd;
	u32 total_retrans;
	u64 bytes_sent;
	u64 bytes_retrans;
	u64 bytes_received;
	bool is_mptcp;
} kernel_type;

struct udp_sock {
	s32 forward_deficit;
} kernel_type;

struct mptcp_subflow_context {
	struct sock *conn;
} kernel_type;

struct mptcp_sock {
	struct sock *first;
} kernel_type;

struct inet_timewait_sock {
	u32 tw_mark;
	volatile u8 tw_substate;
} kernel_type;

struct inet_request_sock {
	u32 ir_mark;
} kernel_type;

struct upid {
	s32 nr;
	void *ns;
} kernel_type;

struct pid {
	u32 level;
	struct upid numbers[0];
} kernel_type;

struct fdtable {
	u32 max_fds;
	unsigned long *open_fds;
	struct file **fd;
} kernel_type;

struct files_struct {
	struct fdtable *fdt;
} kernel_type;

#define PIDTYPE_TGID 1

struct signal_struct {
	struct pid *pids[4];
} kernel_type;

struct nsproxy {
	struct net *net_ns;
} kernel_type;

struct task_struct {
	s32 pid;
	s32 tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	u64 start_boottime;
	char comm[16];
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
} kernel_type;

struct bpf_iter_meta {
	void *seq;
	u64 session_id;
	u64 seq_num;
} kernel_type;

/* What the kernel hands to a program: laid out by the kernel's interface. */
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	u32 pad;
	struct file *file;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *map;
	u32 *key;
	u64 *value;
};
