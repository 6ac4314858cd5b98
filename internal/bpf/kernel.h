// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The structs of the kernel, with the fields that some program uses and no more.
 * Offsets are those of the running kernel: the loader relocates each access to a
 * struct marked `kernel_type` (CO-RE), so order, padding and everything left out do
 * not matter. What an object does not use leaves no trace in it.
 */
#pragma once

#include "core.h"

struct kuid {
	u32 val;
} kernel_type;

typedef struct kuid kuid_t;

typedef struct {
	s32 counter;
} kernel_type atomic_t;

typedef struct {
	s64 counter;
} kernel_type atomic64_t;

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

struct hlist_node {
	struct hlist_node *next, **pprev;
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

struct fib6_info;

struct netns_ipv6 {
	struct fib6_info *fib6_null_entry;
} kernel_type;

struct fib6_result {
	struct fib6_info *f6i;
	u8 fib6_type;
} kernel_type;

struct net {
	struct list_head list;
	struct ns_common ns;
	u64 net_cookie;
	void *dev_index_head;
	struct netns_ipv4 ipv4;
	struct netns_ipv6 ipv6;
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
	char name[32];
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
	unsigned long skc_flags;
	struct hlist_nulls_node skc_nulls_node;
} kernel_type;

struct kernfs_node {
	u64 id;
} kernel_type;

struct cgroup {
	struct kernfs_node *kn;
} kernel_type;

struct timer_list {
	struct hlist_node entry;
	unsigned long expires;
} kernel_type;

/* A pointer since Linux 5.15; a union with flags in it before. */
struct sock_cgroup_data {
	struct cgroup *cgroup;
	u32 classid;
} kernel_type;

typedef struct spinlock {
	s32 value; /* stands for what is in it, which is 0 while nobody has it */
} kernel_type spinlock_t;

typedef struct {
	spinlock_t slock;
	s32 owned;
} kernel_type socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct {
		atomic_t rmem_alloc;
		s32 len;
	} sk_backlog;
	struct socket *sk_socket;
	refcount_t sk_wmem_alloc;
	struct timer_list sk_timer;
	struct timer_list tcp_retransmit_timer; /* where sk_timer no longer is */
	s32 sk_err;
	u32 sk_mark;
	kuid_t sk_uid;
	u16 sk_protocol;
	u16 sk_type;
	u8 sk_kern_sock : 1;
	u8 sk_userlocks; /* four bits of a word, before it was a byte */
	u8 sk_shutdown;
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

struct qstr {
	const u8 *name;
} kernel_type;

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
} kernel_type;

struct vfsmount {
	struct dentry *mnt_root;
} kernel_type;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} kernel_type;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} kernel_type;

struct cred {
	kuid_t euid;
} kernel_type;

struct file {
	const void *f_op;
	struct inode *f_inode;
	void *private_data;
	const struct cred *f_cred;
	struct path f_path;
} kernel_type;

typedef enum {
	SS_UNCONNECTED = 1,
} socket_state;

struct socket {
	socket_state state;
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

struct inet_cork {
	u16 gso_size;
} kernel_type;

struct inet_cork_full {
	struct inet_cork base;
} kernel_type;

struct inet_sock {
	u16 inet_sport;
	struct inet_cork_full cork;
} kernel_type;

struct inet_connection_sock {
	const struct tcp_congestion_ops *icsk_ca_ops;
	void *icsk_ulp_data;
	unsigned long icsk_timeout; /* while it stood apart from the timer */
	struct timer_list icsk_retransmit_timer;
	struct timer_list icsk_keepalive_timer; /* sk_timer before */
	u8 icsk_retransmits;
	u8 icsk_pending;
	u8 icsk_probes_out;
	struct {
		u32 lrcvtime;
	} icsk_ack;
} kernel_type;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 copied_seq;
	u32 rcv_nxt;
	u32 write_seq;
	u32 snd_nxt;
	u32 snd_una;
	u32 srtt_us;
	u32 lsndtime;
	u32 snd_cwnd;
	u32 total_retrans;
	u32 segs_out;
	u64 bytes_sent;
	u64 bytes_retrans;
	u64 bytes_received;
	u64 bytes_acked;
	u8 repair : 1;
	u8 repair_queue;
	bool is_mptcp;
} kernel_type;

struct udp_sock {
	unsigned long udp_flags;
	s32 pending;
	u16 len;
	u16 gso_size;
	s32 forward_deficit;
} kernel_type;

/* Before Linux 6.7. */
struct udp_sock___old {
	u32 corkflag;
} kernel_type;

struct mptcp_subflow_context {
	struct sock *conn;
} kernel_type;

struct mptcp_sock {
	struct sock *first;
	u64 bytes_sent;
	u64 bytes_retrans;
	u64 bytes_received;
} kernel_type;

struct inet_timewait_sock {
	u32 tw_mark;
	volatile u8 tw_substate;
	u32 tw_connect_bind : 1;
	struct timer_list tw_timer;
} kernel_type;

struct request_sock {
	u8 num_retrans;
	struct timer_list rsk_timer;
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
	struct hlist_head tasks[4];
	struct upid numbers[0];
} kernel_type;

struct xarray {
	void *xa_head;
} kernel_type;

struct xa_node {
	u8 shift;
	void *slots[64];
} kernel_type;

struct idr {
	struct xarray idr_rt;
} kernel_type;

struct pid_namespace {
	struct idr idr;
} kernel_type;

struct fdtable {
	u32 max_fds;
	unsigned long *open_fds;
	struct file **fd;
} kernel_type;

struct files_struct {
	struct fdtable *fdt;
} kernel_type;

struct sk_buff {
	u8 *head;
	u32 end; /* an offset on 64-bit machines */
} kernel_type;

struct skb_shared_info {
	u16 gso_size;
	u32 gso_type;
} kernel_type;

/* Of x86-64 and of arm64. */
struct pt_regs {
	unsigned long dx;
	unsigned long si;
	unsigned long orig_ax;
} kernel_type;

struct pt_regs___arm64 {
	u64 regs[31];
	s32 syscallno;
} kernel_type;

struct signal_struct {
	atomic_t live;
	struct list_head thread_head;
	struct pid *pids[4];
} kernel_type;

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	struct file *exe_file;
} kernel_type;

struct css_set {
	struct cgroup *dfl_cgrp;
} kernel_type;

struct nsproxy {
	struct net *net_ns;
} kernel_type;

struct task_struct {
	u32 flags;
	s32 pid;
	s32 tgid;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	struct list_head thread_node;
	u64 start_boottime;
	u64 self_exec_id;
	char comm[16];
	const struct cred *cred;
	struct css_set *cgroups;
	struct mm_struct *mm;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
} kernel_type;

struct bpf_iter_meta {
	void *seq;
	u64 session_id;
	u64 seq_num;
} kernel_type;

/* What the kernel hands to an iterator. This and what follows is laid out by its interface. */
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

/* What it hands to programs at cgroups. */
struct bpf_sock {
	u32 bound_dev_if;
	u32 family;
	u32 type;
	u32 protocol;
	u32 mark;
	u32 priority;
	u32 src_ip4;
	u32 src_ip6[4];
	u32 src_port; /* host byte order */
	u16 dst_port;
	u16 pad;
	u32 dst_ip4;
	u32 dst_ip6[4];
	u32 state;
};

struct bpf_sock_addr {
	u32 user_family;
	u32 user_ip4;
	u32 user_ip6[4];
	u32 user_port; /* network byte order */
	u32 family;
	u32 type;
	u32 protocol;
	u32 msg_src_ip4;
	u32 msg_src_ip6[4];
	union {
		struct bpf_sock *sk;
		u64 pad;
	};
};

struct __sk_buff {
	u32 len;
	u32 not_used[41];
	union {
		struct bpf_sock *sk;
		u64 pad;
	};
	u32 gso_size;
};
