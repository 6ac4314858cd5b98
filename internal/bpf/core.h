// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * What all programs here are written with: types, what the compiler and the
 * loader know by attributes and builtins, and the kernel's helpers and numbers.
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
#define kernel_type    __attribute__((preserve_access_index))
#define likely(x)      __builtin_expect(!!(x), 1)
#define unlikely(x)    __builtin_expect(!!(x), 0)
#define barrier_var(v) asm volatile("" : "+r"(v))

/*
 * A function of its own to the verifier, so that it looks at it once (Linux
 * 5.12). What is built BEFORE_5_12 has it looked at with each call. A pointer that it
 * is handed may be none, to the verifier; before, a question about that would be two
 * ways to it each time.
 */
#ifdef BEFORE_5_12
#define verified_once static noinline
#define is_given(pointer) true
#else
#define verified_once noinline
#define is_given(pointer) ((pointer) != NULL)
#endif

/* Definitions of maps, as the loader reads them from the types of members. */
#define uint(name, value)  int(*name)[value]
#define type(name, member) typeof(member) *name

/* Does the running kernel have this field, where in its struct, and how long. */
#define field_exists(field) __builtin_preserve_field_info(field, 2)
#define field_offset(type, field)                                                                  \
	__builtin_preserve_field_info(((typeof(type) *)0)->field, 0)
#define FIELD_SIZE(field) __builtin_preserve_field_info(field, 1)
/* Does the running kernel have this type, and how long is it. */
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

/*
 * A nought that the verifier knows nothing of. What it is added to may be any
 * number then: ways that part over a constant become one again, and a loop's
 * second round looks like its first.
 */
volatile u32 nought;

#define hide(value) ((value) + nought)

/* Helpers, by their number in enum bpf_func_id. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
					 u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_get_current_comm)(void *dst, u32 size) = (void *)16;
static long (*const bpf_skb_load_bytes)(const void *skb, u32 offset, void *to,
					u32 size) = (void *)26;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
static u64 (*const bpf_get_socket_cookie)(void *sk) = (void *)46;
static struct bpf_sock *(*const bpf_sk_fullsock)(void *sk) = (void *)95;
static long (*const bpf_probe_read_user)(void *dst, u32 size, const void *src) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;
static long (*const bpf_probe_read_kernel_str)(void *dst, u32 size,
					       const void *src) = (void *)115;
static u64 (*const bpf_jiffies64)(void) = (void *)118;
static u64 (*const bpf_get_netns_cookie)(void *ctx) = (void *)122;
static u64 (*const bpf_ktime_get_boot_ns)(void) = (void *)125;
static long (*const bpf_seq_write)(void *seq, const void *data, u32 len) = (void *)127;
static void *(*const bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *data, u64 flags) = (void *)133;
static u64 (*const bpf_ringbuf_query)(void *ring, u64 flags) = (void *)134;
static struct tcp_sock *(*const bpf_skc_to_tcp_sock)(void *sk) = (void *)137;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static struct socket *(*const bpf_sock_from_file)(void *file) = (void *)162;
static long (*const bpf_for_each_map_elem)(void *map, void *fn, void *ctx,
					   u64 flags) = (void *)164;
static long (*const bpf_task_pt_regs)(struct task_struct *task) = (void *)175;
static long (*const bpf_loop)(u32 times, void *fn, void *ctx, u64 flags) = (void *)181;
static struct mptcp_sock *(*const bpf_skc_to_mptcp_sock)(void *sk) = (void *)196;

/* Reads a field of a kernel object of which nothing is proven. */
#define probe(dst, src) bpf_probe_read_kernel(dst, sizeof(*(dst)), src)

/*
 * The same as a value. It also reads what the verifier knows as if it did not: for
 * a plain load of a pointer, out of a pointer that it trusts, it searches the
 * kernel's types from end to end, each time that it comes by, which takes it
 * longer than a program does to run.
 */
#define load(object, field)                                                                        \
	({                                                                                         \
		typeof((object)->field) value_ = 0;                                                \
		bpf_probe_read_kernel(&value_, sizeof(value_), &(object)->field);                  \
		value_;                                                                            \
	})

/* bit_of an object of which nothing is proven. */
#define load_bit(object, field)                                                                    \
	({                                                                                         \
		u64 word = 0;                                                                      \
		bpf_probe_read_kernel(&word, __builtin_preserve_field_info((object)->field, 1),    \
				      (const void *)(object) +                                     \
					      __builtin_preserve_field_info((object)->field, 0));  \
		word <<= __builtin_preserve_field_info((object)->field, 4);                        \
		word >> __builtin_preserve_field_info((object)->field, 5);                         \
	})

/*
 * A bit of an object. On a little-endian host it does not matter how many bytes
 * are read: the shifts leave nothing of those behind it.
 */
#define probe_bit(value, object, field)                                                            \
	({                                                                                         \
		u64 word_ = 0;                                                                     \
		probe(&word_, (const u64 *)((const void *)(object) +                               \
					    __builtin_preserve_field_info((object)->field, 0)));   \
		word_ <<= __builtin_preserve_field_info((object)->field, 4);                       \
		*(value) = word_ >> __builtin_preserve_field_info((object)->field, 5);             \
	})

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};

#define BPF_NOEXIST		1
#define BPF_F_NO_PREALLOC	1
#define BPF_F_MMAPABLE		(1 << 10)
#define BPF_RB_NO_WAKEUP	1
#define BPF_RB_FORCE_WAKEUP	2
#define BPF_RB_AVAIL_DATA	0

#define EAGAIN	     11
#define EACCES	     13
#define EINVAL	     22
#define ENETUNREACH  101
#define EHOSTUNREACH 113

#define AF_INET		2
#define AF_INET6	10
#define SOCK_STREAM	1
#define SOCK_DGRAM	2
#define IPPROTO_TCP	6
#define IPPROTO_UDP	17
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP	262

#define TCP_ESTABLISHED	 1
#define TCP_SYN_SENT	 2
#define TCP_SYN_RECV	 3
#define TCP_FIN_WAIT1	 4
#define TCP_FIN_WAIT2	 5
#define TCP_TIME_WAIT	 6
#define TCP_CLOSE	 7
#define TCP_CLOSE_WAIT	 8
#define TCP_LAST_ACK	 9
#define TCP_LISTEN	 10
#define TCP_CLOSING	 11
#define TCP_NEW_SYN_RECV 12

#define RTN_BLACKHOLE	6
#define RTN_UNREACHABLE 7
#define RTN_PROHIBIT	8

#define SOCK_DONE     1 /* enum sock_flags: the other end's FIN was taken in */
#define SOCK_RCU_FREE 23 /* the same, since Linux 5.10: it is or was in the table of listeners */
/* sk_userlocks: the port was chosen by bind, or by connect (Linux 6.18). */
#define SOCK_BINDPORT_LOCK 8
#define SOCK_CONNECT_BIND  16
#define UDP_SEGMENT   103
#define SKB_GSO_UDP_L4 (1 << 17)
#define UDP_FLAGS_CORK 0 /* a bit of udp_flags */
#define PF_KTHREAD    0x00200000
#define PIDTYPE_TGID  1

#define MSG_PEEK     2
#define MSG_ERRQUEUE 0x2000
