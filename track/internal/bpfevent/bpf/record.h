// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The records that the programs put into the ring buffer. All numbers are in
 * the host's byte order. Each begins with its kind, which gives the size; the
 * reader is the process that loaded the programs, so there are no versions.
 */
#pragma once

#include "../../../../internal/bpf/kernel.h"
#include "../../../../internal/bpf/model.h"

enum record_kind {
	RECORD_TCP = 1,	    /* struct tcp_record */
	RECORD_UDP = 2,	    /* struct udp_record */
	RECORD_PROCESS = 3, /* struct process_record */
	RECORD_EXIT = 4,    /* struct exit_record */
};

/*
 * The events in a record. One record for several saves the ring a
 * record for each: most connections are over before the first is due.
 */
enum what {
	WHAT_OPEN = 1 << 0,
	WHAT_ACCEPT = 1 << 1,
	WHAT_CLOSE = 1 << 2,
	WHAT_FAIL = 1 << 3,
	WHAT_LISTEN = 1 << 4,
	WHAT_UNLISTEN = 1 << 5,
	WHAT_BIND = 1 << 6,
	WHAT_SEEN = 1 << 7,
	WHAT_EXEC = 1 << 8,
};

enum record_flag {
	FLAG_OUT = 1 << 0,	/* connected from here */
	FLAG_V6ONLY = 1 << 1,	/* IPV6_V6ONLY */
	FLAG_ACCEPTED = 1 << 2, /* a process accepted it */
	FLAG_UNKNOWN = 1 << 3,	/* the remote of a flow is not known */
	FLAG_EVICTED = 1 << 4,	/* the flow gave way to another */
	FLAG_UNSENT = 1 << 5,	/* connect failed before it sent anything */
	FLAG_QUEUED = 1 << 6,	/* nobody accepted it: it ended with its listener */
	FLAG_IN = 1 << 7,	/* of an opening not seen: the socket says that it was accepted */
	FLAG_ISNS = 1 << 8,	/* the initial numbers are known */
};

struct tcp_record {
	u8 kind;
	u8 proto;
	u8 family;
	u8 old_state; /* before CLOSE */
	u16 what;     /* enum what */
	u16 flags;    /* enum record_flag */
	u64 time;     /* of the last that it tells, boot clock, ns */
	u64 called;   /* when connect or listen was called, or accept came back, 0: not seen */
	u64 opened;   /* established, 0: not seen */
	u64 cookie;
	u64 cgroup;
	u64 sent;     /* bytes, those sent again not twice */
	u64 received; /* bytes */
	u64 start;    /* of the process, boot clock, ns */
	u32 tgid;     /* in the first pid namespace */
	u32 pid;      /* in the reader's pid namespace */
	u32 inode;    /* the kernel numbers sockets by 32 bits */
	u32 netns;
	u32 uid;
	u32 mark;
	u32 device;
	u32 rtt;     /* smoothed, us */
	u32 retrans; /* of a listener its backlog */
	u32 err;
	u16 lport;
	u16 rport;
	u32 pad;
	u32 isn; /* of a connection its initial numbers, the own one and the other's */
	u32 other_isn;
	u8 local[16]; /* IPv4 as IPv4-mapped */
	u8 remote[16];
};

struct udp_record {
	u8 kind;
	u8 proto;
	u8 family;
	u8 pad;
	u16 what;
	u16 flags;
	u64 time;
	u64 opened;
	u64 cookie;
	u64 inode;
	u64 cgroup;
	u64 sent; /* bytes */
	u64 received;
	u64 sent_datagrams;
	u64 received_datagrams;
	u64 start;
	u32 tgid;
	u32 pid;
	u32 netns;
	u32 uid;
	u32 mark;
	u32 device;
	u16 lport;
	u16 rport;
	u32 pad2;
	u8 local[16];
	u8 remote[16];
};

#define ARGS_SIZE 1024 /* of the command line that is read */
#define PATH_SIZE 1024 /* of the executable's path */

struct process_record {
	u8 kind;
	u8 pad;
	u16 what;
	u16 args_size;
	u16 path_size;
	u64 time;
	u64 start;  /* boot clock, ns */
	u64 cgroup; /* id of its cgroup v2 */
	u32 tgid;   /* in the first pid namespace */
	u32 pid;    /* in the reader's */
	u32 parent; /* in the reader's */
	u32 uid;    /* effective */
	char comm[16];
	u8 args[ARGS_SIZE]; /* parted by NUL */
	u8 path[PATH_SIZE]; /* names from the last to the first, each with its NUL */
};

struct exit_record {
	u8 kind;
	u8 pad[7];
	u64 time;
	u64 start;
	u32 tgid;
	u32 pid;
};

/* Never called: it keeps the records in the object's types, for the reader's tests. */
int layouts(struct tcp_record *t, struct udp_record *u, struct process_record *p,
	    struct exit_record *e)
{
	return t->kind + u->kind + p->kind + e->kind;
}
