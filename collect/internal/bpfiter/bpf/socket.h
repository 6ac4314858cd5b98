// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The facts of a socket, however it was read. */
#pragma once

#include "question.h"

/* 0 for what is neither TCP nor UDP. */
static always_inline u8 proto_by(u16 type, u16 protocol)
{
	if (type == SOCK_STREAM)
		return protocol == IPPROTO_TCP ? PROTO_TCP
		       : protocol == IPPROTO_MPTCP ? PROTO_MPTCP
						   : 0;
	if (type == SOCK_DGRAM)
		return protocol == IPPROTO_UDP ? PROTO_UDP
		       : protocol == IPPROTO_UDPLITE ? PROTO_UDPLITE
						     : 0;
	return 0;
}

static always_inline bool is_udp(u8 proto)
{
	return proto == PROTO_UDP || proto == PROTO_UDPLITE;
}

static always_inline u8 state_of(u8 proto, u8 state)
{
	return is_udp(proto) && state == TCP_CLOSE ? STATE_UNCONN : state;
}

/* Neither bound nor connected: no session. */
static always_inline bool is_idle(u8 state, u16 lport)
{
	return !lport && (state == TCP_CLOSE || state == STATE_UNCONN);
}

/* Names are found by a chain of the namespace's 256; a chain is short. */
#define MAX_DEVICES 16

/* Looks the device up in the chain that begins there. Returns 0 where there is none. */
verified_once int name_device(struct device_record *r, u64 node)
{
	u32 index = 0;

	if (!r)
		return 0;
	for (u32 i = nought; i < MAX_DEVICES && node; i++) {
		const struct net_device *dev =
			(const void *)node - field_offset(struct net_device, index_hlist);

		if (probe(&index, &dev->ifindex))
			return 0;
		if (index == r->device)
			return !bpf_probe_read_kernel(r->name, sizeof(r->name), dev->name);
		if (probe(&node, (const u64 *)node))
			return 0;
	}
	return 0;
}

static noinline int put_device(void *seq, const struct net *net, u32 netns, u32 device)
{
	struct device_record r = {.tag = TAG(RECORD_DEVICE), .netns = netns, .device = device};
	u64 head = 0, node = 0;

	if (probe(&head, (const u64 *)&net->dev_index_head) || !head)
		return 0;
	if (probe(&node, (const u64 *)head + (device & 255)) || !name_device(&r, node))
		return 0;
	return bpf_seq_write(seq, &r, sizeof(r)) ? 1 : 0;
}
