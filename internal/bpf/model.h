// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Numbers and addresses as package whose has them. */
#pragma once

#include "core.h"

/* whose.Proto, whose.Family, and of whose.State what is not the kernel's. */
#define PROTO_TCP     1
#define PROTO_UDP     2
#define PROTO_UDPLITE 3
#define PROTO_MPTCP   4
#define FAMILY_V4     4
#define FAMILY_V6     6
#define STATE_UNCONN  14

/* An IPv4 address as IPv4-mapped. */
static always_inline void map_v4(u8 *dst, u32 addr)
{
	u32 *words = (u32 *)dst, zero = nought;

	words[0] = zero;
	words[1] = zero;
	words[2] = zero + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0xffff0000 : 0x0000ffff);
	words[3] = addr;
}
