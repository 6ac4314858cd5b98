// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The records that the iterators write. All numbers are in the host's byte
 * order. A reader meets programs that another version pinned, so each record
 * begins with a tag that names the format and the kind; the kind gives the
 * size. Whoever changes a record changes RECORD_VERSION.
 *
 * The first record of every run is a header_record: a reader found the program
 * by the name of a file, and anything may have that name.
 */
#pragma once

#include "../../../../internal/bpf/model.h"

#define RECORD_MAGIC   0x5753
#define RECORD_VERSION 5
#define TAG(kind)      ((u32)RECORD_MAGIC << 16 | RECORD_VERSION << 8 | (kind))

enum record_kind {
	RECORD_SOCKET = 1, /* struct socket_record */
	RECORD_TCP = 2,	   /* struct tcp_record */
	RECORD_ID = 3,	   /* struct id_record */
	RECORD_TASK = 4,   /* struct task_record */
	RECORD_DEVICE = 5, /* struct device_record */
	RECORD_NETNS = 6,  /* struct netns_record */
	RECORD_MORE = 7,   /* struct more_record */
	RECORD_WAY = 8,	   /* struct way_record; none is pinned that writes it */
	RECORD_HEADER = 9, /* struct header_record */
	RECORD_INSIDE = 10, /* struct inside_record */
};

enum program {
	PROGRAM_FD_WALK = 1,
	PROGRAM_TASK_FILE = 2,
	PROGRAM_HASH_WALK = 3,
};

enum record_flag {
	FLAG_V6ONLY = 1 << 0,
	FLAG_KERNEL = 1 << 1, /* made by the kernel for itself */
	FLAG_FILE = 1 << 2,   /* has an open file */
	FLAG_NOFILE = 1 << 3, /* has none */
	FLAG_THREAD = 1 << 4, /* met in the table of a thread other than the leader */
	FLAG_ACCEPTED = 1 << 5,	 /* accepted from a listener */
	FLAG_CONNECTED = 1 << 6, /* connected; neither: it does not say */
	FLAG_SUBFLOW = 1 << 7,	 /* a further subflow of an MPTCP session, with its own ends */
};

/* The first record of a run: which program it is of. */
struct header_record {
	u32 tag;
	u32 program; /* enum program */
	u64 set;     /* the same in all programs that were loaded together */
};

/* A socket; from task_file, as one descriptor of one process. */
struct socket_record {
	u32 tag;
	u32 netns;     /* inode number of the network namespace */
	u64 cookie;    /* 0: not known */
	u64 inode;     /* 0: no file */
	u8 local[16];  /* IPv4 as IPv4-mapped */
	u8 remote[16]; /* the same */
	u16 lport;
	u16 rport;
	u8 proto;
	u8 family;
	u8 state;
	u8 flags; /* enum record_flag */
	u32 uid;
	u32 mark;
	u32 device; /* index of the device that it is bound to, 0: none */
	u32 recvq;
	u32 sendq;
	u32 pid; /* 0: not from a descriptor */
	s32 fd;
	u32 key; /* of fd_walk: the lower half of that of the file */
	u64 start; /* of the group leader, nanoseconds since boot; of hash_walk: key of the file */
	char comm[16]; /* of the group leader */
	u64 cgroup;    /* id of the socket's cgroup v2, 0: not read; with ASK_FLOW the flow id, 0: not known */
};

/* The figures of struct tcp_info, and the timer; follows the socket_record that it belongs to. */
struct tcp_record {
	u32 tag;
	u32 srtt; /* microseconds */
	u32 retrans;
	u32 cwnd;
	u64 bytes_sent; /* those sent again not counted */
	u64 bytes_received;
	char cong[16];
	u32 idle; /* jiffies since the last byte either way */
	u32 left; /* jiffies until the timer fires */
	u8 timer; /* enum timer, 0: none */
	u8 tries; /* since the last answer */
	u8 timer_only; /* nothing but the timer is known */
	u8 pad[5];
};

/* A socket that has a file. */
struct id_record {
	u32 tag;
	u32 netns;
	u32 inode;   /* the kernel numbers sockets with 32 bits */
	u32 element; /* of the walk, in which it was met; of its namespace, if it is an own table */
};

/* A process that was looked into. */
struct task_record {
	u32 tag;
	u32 pid;
	u32 netns; /* that its main thread is in, 0: not known, or in none any more */
	u32 mark;  /* another if its facts may be others, 0: not asked for */
};

/* A task in a namespace of which no task_record speaks. */
struct inside_record {
	u32 tag;
	u32 netns;
	u32 pid;
	u32 tid; /* the thread, if it is not the main one */
};

/* The name of a device that a socket is bound to. */
struct device_record {
	u32 tag;
	u32 netns;
	u32 device;
	u32 pad;
	char name[16];
};

/* A network namespace. */
struct netns_record {
	u32 tag;
	u32 netns;
	u32 element;	 /* OWN_TCP where it has a table of TCP sockets of its own, else 0 */
	u32 udp_element; /* OWN_UDP, the same of UDP */
};

/*
 * Of the walk: the element holds more than fits a read; ask for it from there
 * on. Of the descriptors: the table of the process goes on, up to done.
 */
struct more_record {
	u32 tag;
	u32 element; /* or process */
	u32 done;    /* sockets of the element that were passed; room of the table */
	u32 from;    /* the namespace, if the element is an own table; the next descriptor */
};

/* Beside the next descriptor: the table is of a thread other than the leader. */
#define MORE_OF_THREAD (1U << 31)

/* A descriptor that leads into a network namespace. */
struct way_record {
	u32 tag;
	u32 netns;
	u32 pid;
	s32 fd;
	u32 inode; /* of the socket, 0: the file is the namespace */
	u32 pad;
};

/*
 * Set before loading: a number of these programs alone. Files have keys that only
 * the programs of one set agree on.
 */
const volatile u64 set_number;

static noinline int put_header(void *seq, u32 program)
{
	struct header_record r = {.tag = TAG(RECORD_HEADER), .program = program, .set = set_number};

	return bpf_seq_write(seq, &r, sizeof(r)) ? 1 : 0;
}

/* Begins a run. The first call of a program in it has the number nought. */
#define write_header(meta, program) (unlikely(!(meta)->seq_num) && put_header((meta)->seq, program))

/* Keeps all records in what the object tells of its types; a test compares them. */
union any_record {
	struct header_record header;
	struct socket_record socket;
	struct tcp_record tcp;
	struct id_record id;
	struct task_record task;
	struct device_record device;
	struct netns_record netns;
	struct more_record more;
	struct way_record way;
	struct inside_record inside;
};

const union any_record *any_record __attribute__((unused));
