// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* How a file is named to a reader, who is not to know its address. */
#pragma once

#include "../../../../internal/bpf/core.h"

/*
 * Set before loading: numbers that nobody knows. A file is told from others by
 * a key that is made of its address with them, so that the address stays the
 * kernel's. No two files have the same key.
 */
const volatile u64 secret[3];

static always_inline u64 file_key(u64 address)
{
	address = (address ^ secret[0]) * (secret[1] | 1);
	address ^= address >> 32;
	address *= secret[2] | 1;
	return address ^ address >> 29;
}
