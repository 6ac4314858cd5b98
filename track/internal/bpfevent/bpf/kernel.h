// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The structs of the kernel that the programs use, and what else only they do. */
#pragma once

#include "../../../../internal/bpf/core.h"

/* bit_of an object of which nothing is proven. */
#define probe_bit(object, field)                                                                   \
	({                                                                                         \
		u64 word = 0;                                                                      \
		bpf_probe_read_kernel(&word, __builtin_preserve_field_info((object)->field, 1),    \
				      (const void *)(object) +                                     \
					      __builtin_preserve_field_info((object)->field, 0));  \
		word <<= __builtin_preserve_field_info((object)->field, 4);                        \
		word >> __builtin_preserve_field_info((object)->field, 5);                         \
	})

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

#define SOCK_DONE     1 /* enum sock_flags: the other end's FIN was taken in */
#define SHUTDOWN_MASK 3
#define PF_KTHREAD    0x00200000

#define MSG_PEEK     2
#define MSG_ERRQUEUE 0x2000

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
