// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The parts of the kernel's types and helpers that the programs use, and no
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

#define SEC(name)     __attribute__((section(name), used))
#define always_inline inline __attribute__((always_inline))
#define noinline      __attribute__((noinline))
#define kernel_type   __attribute__((preserve_access_index))
#define likely(x)     __builtin_expect(!!(x), 1)
#define unlikely(x)   __builtin_expect(!!(x), 0)
#define barrier_var(v) asm volatile("" : "+r"(v))

/* Definitions of maps, as the loader reads them from the types of members. */
#define uint(name, value)  int(*name)[value]
#define type(name, member) typeof(member) *name

/* Does the running kernel have this field, and where in its struct. */
#define field_exists(field) __builtin_preserve_field_info(field, 2)
#define field_offset(type, field)                                                                  \
	__builtin_preserve_field_info(((typeof(type) *)0)->field, 0)
#define TYPE_SIZE(type) __builtin_preserve_type_info(*(typeof(type) *)0, 1)

/* A bit of an object that the verifier knows; where it is the kernel's BTF says. */
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

/* The same of an object of which nothing is proven. */
#define probe_bit(object, field)                                                                   \
	({                                                                                         \
		u64 word = 0;                                                                      \
		bpf_probe_read_kernel(&word, __builtin_preserve_field_info((object)->field, 1),    \
				      (const void *)(object) +                                     \
					      __builtin_preserve_field_info((object)->field, 0));  \
		word <<= __builtin_preserve_field_info((object)->field, 4);                        \
		word >> __builtin_preserve_field_info((object)->field, 5);                         \
	})

/* Helpers, by their number in enum bpf_func_id. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
					 u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
static long (*const bpf_skb_load_bytes)(const void *skb, u32 offset, void *to,
					u32 size) = (void *)26;
static u64 (*const bpf_get_socket_cookie)(void *sk) = (void *)46;
static struct bpf_sock *(*const bpf_sk_fullsock)(void *sk) = (void *)95;
static u64 (*const bpf_get_netns_cookie)(void *ctx) = (void *)122;
static long (*const bpf_probe_read_user)(void *dst, u32 size, const void *src) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;
static long (*const bpf_probe_read_kernel_str)(void *dst, u32 size,
					       const void *src) = (void *)115;
static u64 (*const bpf_ktime_get_boot_ns)(void) = (void *)125;
static void *(*const bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *data, u64 flags) = (void *)133;
static u64 (*const bpf_ringbuf_query)(void *ring, u64 flags) = (void *)134;
static struct tcp_sock *(*const bpf_skc_to_tcp_sock)(void *sk) = (void *)137;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static long (*const bpf_for_each_map_elem)(void *map, void *fn, void *ctx,
					   u64 flags) = (void *)164;
static long (*const bpf_loop)(u32 times, void *fn, void *ctx, u64 flags) = (void *)181;

/* Reads a field of a kernel object of which nothing is proven. */
#define probe(dst, src) bpf_probe_read_kernel(dst, sizeof(*(dst)), src)

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};

#define BPF_NOEXIST		1
#define BPF_F_MMAPABLE		(1 << 10)
#define BPF_RB_NO_WAKEUP	1
#define BPF_RB_FORCE_WAKEUP	2
#define BPF_RB_AVAIL_DATA	0

#define EAGAIN	     11
#define EACCES	     13
#define EINVAL	     22
#define ENETUNREACH  101
#define EHOSTUNREACH 113

#define RTN_BLACKHOLE	6
#define RTN_UNREACHABLE 7
#define RTN_PROHIBIT	8

#define AF_INET		2
#define AF_INET6	10
#define SOCK_STREAM	1
#define SOCK_DGRAM	2
#define IPPROTO_TCP	6
#define IPPROTO_UDP	17
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP	262

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT	2
#define TCP_SYN_RECV	3
#define TCP_FIN_WAIT1	4
#define TCP_CLOSE	7
#define TCP_LAST_ACK	9
#define TCP_LISTEN	10

#define SOCK_DONE     1 /* enum sock_flags: the other end's FIN was taken in */
#define SHUTDOWN_MASK 3
#define PF_KTHREAD    0x00200000

#define MSG_PEEK     2
#define MSG_ERRQUEUE 0x2000

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

struct ns_common {
	u32 inum;
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
	struct netns_ipv6 ipv6;
	u64 net_cookie;
	struct ns_common ns;
} kernel_type;

typedef struct {
	struct net *net;
} kernel_type possible_net_t;

struct in6_addr {
	union {
		u8 u6_addr8[16];
	} in6_u;
} kernel_type;

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	volatile u8 skc_state;
	u8 skc_ipv6only : 1;
	s32 skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
} kernel_type;

struct kernfs_node {
	u64 id;
} kernel_type;

struct cgroup {
	struct kernfs_node *kn;
} kernel_type;

struct sock_cgroup_data {
	struct cgroup *cgroup;
} kernel_type;

typedef struct {
	s32 owned;
} kernel_type socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct socket *sk_socket;
	s32 sk_err;
	u32 sk_mark;
	kuid_t sk_uid;
	u16 sk_protocol;
	u16 sk_type;
	u8 sk_kern_sock : 1;
	u8 sk_shutdown;
	u32 sk_max_ack_backlog;
	unsigned long sk_ino;
	struct sock_cgroup_data sk_cgrp_data;
} kernel_type;

struct inode {
	unsigned long i_ino;
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
	const struct cred *f_cred;
	struct path f_path;
} kernel_type;

struct socket {
	struct file *file;
} kernel_type;

struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
} kernel_type;

struct inet_sock {
	u16 inet_sport;
} kernel_type;

struct tcp_sock {
	u32 srtt_us;
	u32 total_retrans;
	u32 segs_out;
	u64 bytes_sent;
	u64 bytes_retrans;
	u64 bytes_received;
	bool is_mptcp;
} kernel_type;

struct mptcp_sock {
	u64 bytes_sent;
	u64 bytes_retrans;
	u64 bytes_received;
} kernel_type;

struct upid {
	s32 nr;
	void *ns;
} kernel_type;

struct pid {
	u32 level;
	struct upid numbers[0];
} kernel_type;

#define PIDTYPE_TGID 1

struct signal_struct {
	atomic_t live;
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

struct fdtable {
	u32 max_fds;
	struct file **fd;
} kernel_type;

struct files_struct {
	struct fdtable *fdt;
} kernel_type;

struct task_struct {
	u32 flags;
	s32 pid;
	s32 tgid;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct pid *thread_pid;
	u64 start_boottime;
	char comm[16];
	const struct cred *cred;
	struct css_set *cgroups;
	struct mm_struct *mm;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
} kernel_type;

/* The views of cgroup programs: laid out by the kernel's interface. */
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
};
