// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The running call of a thread, as far as it is known before it comes back: its
 * remote, and the size of its segments where it moves several datagrams at once.
 *
 * No tracepoint shows the control message UDP_SEGMENT. But the call's own
 * arguments do: where a thread is in sendmsg or sendmmsg, they lead to it. A call
 * by io_uring has no such arguments. Whoever changes them meanwhile changes the
 * count of his own datagrams.
 */
#pragma once

#include "cork.h"

struct remote {
	u64 cookie; /* of the socket that was named an address, 0: none */
	u8 addr[16];
	u16 port;
	u16 gro_size;  /* of the segments that the call copies */
	u32 gro_bytes; /* all of them */
	u64 vec;       /* of sendmmsg, 0: none is under way */
	u32 next;      /* message of it */
	u32 pad;
};

/* By thread. */
struct {
	uint(type, BPF_MAP_TYPE_LRU_HASH);
	uint(max_entries, 16384);
	type(key, u32);
	type(value, struct remote);
} remotes SEC(".maps");

static noinline int note_gro(u32 size, u32 bytes)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct remote *r = bpf_map_lookup_elem(&remotes, &tid), fresh = {};
	bool known = r;

	if (!known)
		r = &fresh;
	r->gro_size = size;
	r->gro_bytes = bytes;
	if (!known)
		bpf_map_update_elem(&remotes, &tid, &fresh, 0);
	return 0;
}

/* Sizes and places of what user space hands over. */
#define MMSGHDR_SIZE	 64 /* struct mmsghdr */
#define MSG_CONTROL_AT	 32 /* of struct msghdr: the pointer, and after it the size */
#define MAX_CMSGS	 8
#define MAX_CMSG_SIZE	 1024
#define MAX_MESSAGES	 1024 /* UIO_MAXIOV */

struct cmsghdr {
	u64 len;
	s32 level;
	s32 type;
};

/* A call of sendmsg, or of sendmmsg for that many messages. */
struct call {
	u64 msg;
	u32 count;
};

/* The numbers of sendmsg and sendmmsg. */
enum {
	X86_SENDMSG = 46,
	X86_SENDMMSG = 307,
	ARM64_SENDMSG = 211,
	ARM64_SENDMMSG = 269,
};

static always_inline bool current_call(struct call *c)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct pt_regs___arm64 *arm = (void *)regs;
	u64 nr;

	if (field_exists(regs->orig_ax)) {
		nr = load(regs, orig_ax);
		if (nr != X86_SENDMSG && nr != X86_SENDMMSG)
			return false;
		c->msg = load(regs, si);
		c->count = nr == X86_SENDMMSG ? load(regs, dx) : 0;
		return true;
	}
	if (field_exists(arm->syscallno)) {
		nr = load(arm, syscallno);
		if (nr != ARM64_SENDMSG && nr != ARM64_SENDMMSG)
			return false;
		c->msg = load(arm, regs[1]);
		c->count = nr == ARM64_SENDMMSG ? load(arm, regs[2]) : 0;
		return true;
	}
	return false;
}

/*
 * Which message of sendmmsg this is: the one after the last, unless that was the
 * last of all, or failed, which ends the call.
 */
static noinline u32 next_of_many(const struct call *c, u32 tid, s32 bytes)
{
	struct remote *r = bpf_map_lookup_elem(&remotes, &tid), fresh = {};
	u32 at, count = c->count < MAX_MESSAGES ? c->count : MAX_MESSAGES;

	if (!r) {
		bpf_map_update_elem(&remotes, &tid, &fresh, BPF_NOEXIST);
		r = bpf_map_lookup_elem(&remotes, &tid);
		if (!r)
			return 0;
	}
	at = r->vec == c->msg && r->next < count ? r->next : 0;
	r->next = at + 1;
	r->vec = bytes < 0 || at + 1 == count ? 0 : c->msg;
	return at;
}

/* The size that a message's control messages name, with NAMED_SIZE; 0: none. */
static noinline u32 named_size(u64 msg)
{
	struct {
		u64 at, size;
	} control = {};
	struct cmsghdr h;
	u64 at = 0;
	u16 size = 0;
	u32 i;

	if (bpf_probe_read_user(&control, sizeof(control), (void *)msg + MSG_CONTROL_AT) ||
	    !control.at)
		return 0;
	for (i = 0; i < MAX_CMSGS; i++) {
		if (control.size < at + sizeof(h) ||
		    bpf_probe_read_user(&h, sizeof(h), (void *)control.at + at) ||
		    h.len < sizeof(h) || h.len > MAX_CMSG_SIZE)
			return 0;
		if (h.level == IPPROTO_UDP && h.type == UDP_SEGMENT &&
		    !bpf_probe_read_user(&size, sizeof(size), (void *)control.at + at + sizeof(h)))
			return NAMED_SIZE | size;
		at += (h.len + 7) & ~7ULL;
	}
	return 0;
}
