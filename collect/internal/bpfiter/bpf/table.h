// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* What a table of the kernel's is. */
#pragma once

#include "kernel.h"

enum table_kind { TABLE_TCP, TABLE_LISTEN, TABLE_UDP, TABLE_UDPLITE, TABLES };

/* A table of the kernel: chains of sockets in buckets. */
struct table {
	u64 buckets; /* address of the first */
	u32 mask;
	u32 stride;  /* bytes from bucket to bucket */
	u32 head;    /* offset of the chain's head in the bucket */
	u16 group;   /* buckets that are copied at once */
	u16 words;   /* a bit for each word of a group that is a head */
	u32 kind;
	u32 proto;
};
