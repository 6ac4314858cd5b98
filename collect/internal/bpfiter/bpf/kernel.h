// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The parts of the kernel's types and helpers that the iterators use, and no
 * more. Offsets are those of the running kernel: the loader relocates each
 * access to a struct marked `kernel_type` (CO-RE), so order, padding and
 * everything left out do not matter here.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef _Bool bool;

#define true  1
#define false 0
#define NULL  ((void *)0)

#define SEC(name)      __attribute__((section(name), used))
#define always_inline  inline __attribute__((always_inline))
#define noinline       __attribute__((noinline))
/*
 * A function of its own to the verifier, so that it looks at it once (Linux
 * 5.12). What is built for older kernels too has it looked at with each call.
 */
#ifdef PLAIN
#define verified_once static noinline
#else
#define verified_once noinline
#endif
#define kernel_type    __attribute__((preserve_access_index))
#define likely(x)      __builtin_expect(!!(x), 1)
#define unlikely(x)    __builtin_expect(!!(x), 0)
#define barrier_var(v) asm volatile("" : "+r"(v))

/* Does the running kernel have this field, and where in its struct. */
#define field_exists(field) __builtin_preserve_field_info(field, 2)
#define field_offset(type, field)                                                                  \
	__builtin_preserve_field_info(((typeof(type) *)0)->field, 0)
#define FIELD_SIZE(field) __builtin_preserve_field_info(field, 1)
/* Does the running kernel have this type. */
#define type_exists(type) __builtin_preserve_type_info(*(typeof(type) *)0, 0)
#define TYPE_SIZE(type)	  __builtin_preserve_type_info(*(typeof(type) *)0, 1)

/*
 * A bit of an object that the verifier knows. Where in which word it is are
 * facts of the running kernel too, so the plain access will not do.
 */
#define bit_of(object, field)                                                                      \
	({                                                                                         \
		const void *at = (const void *)(object) +                                          \
				 __builtin_preserve_field_info((object)->field, 0);                \
		u64 word = 0;                                                                      \
		switch (__builtin_preserve_field_info((object)->field, 1)) {                       \
		case 1:                                                                            \
			word = *(const volatile u8 *)at;                                           \
			break;                                                                     \
		case 2:                                                                            \
			word = *(const volatile u16 *)at;                                          \
			break;                                                                     \
		case 4:                                                                            \
			word = *(const volatile u32 *)at;                                          \
			break;                                                                     \
		case 8:                                                                            \
			word = *(const volatile u64 *)at;                                          \
			break;                                                                     \
		}                                                                                  \
		word <<= __builtin_preserve_field_info((object)->field, 4);                        \
		word >> __builtin_preserve_field_info((object)->field, 5);                         \
	})

/* Helpers, by their number in enum bpf_func_id. */
static long (*const bpf_get_current_comm)(void *dst, u32 size) = (void *)16;
static u64 (*const bpf_get_socket_cookie)(void *sk) = (void *)46;
static long (*const bpf_probe_read_user)(void *dst, u32 size, const void *src) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;
static long (*const bpf_seq_write)(void *seq, const void *data, u32 len) = (void *)127;
static struct tcp_sock *(*const bpf_skc_to_tcp_sock)(void *sk) = (void *)137;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static struct socket *(*const bpf_sock_from_file)(void *file) = (void *)162;
static long (*const bpf_loop)(u32 times, void *fn, void *ctx, u64 flags) = (void *)181;

/* Reads a field of a kernel object of which nothing is proven. */
#define probe(dst, src) bpf_probe_read_kernel(dst, sizeof(*(dst)), src)

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

#define AF_INET         2
#define AF_INET6        10
#define SOCK_STREAM     1
#define SOCK_DGRAM      2
#define IPPROTO_TCP     6
#define IPPROTO_UDP     17
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP   262

#define TCP_ESTABLISHED  1
#define TCP_SYN_RECV     3
#define TCP_FIN_WAIT2    5
#define TCP_TIME_WAIT    6
#define TCP_CLOSE        7
#define TCP_LISTEN       10
#define TCP_NEW_SYN_RECV 12

struct list_head {
	struct list_head *next, *prev;
} kernel_type;

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

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	u32 uid;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
	u32 uid;
};
