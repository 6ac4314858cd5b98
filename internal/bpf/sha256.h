// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* SHA-256 (FIPS 180-4) of one block. */
#pragma once

#include "core.h"

static const u32 sha_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const u32 sha_begin[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

struct sha {
	u32 state[8];
	u32 words[16]; /* the block, and then the last of the schedule */
};

#define ROTATED(x, n) ((x) >> (n) | (x) << (32 - (n)))

/*
 * A round, which leaves the next state in the place of the last: the state turns
 * backwards. A function of its own to the verifier, which looks at it once, and
 * small: of the stack of those who call it little is left.
 */
verified_once int sha_round(struct sha *s, u32 round)
{
	u32 *state, t, u, x;

	if (!is_given(s))
		return 0;
	state = s->state;
#define STATE(i) state[(i) - round & 7]
#define WORD(i)	 s->words[(i) + round & 15]
	x = STATE(4);
	t = STATE(7) + sha_constants[round & 63] + WORD(0);
	t += ROTATED(x, 6) ^ ROTATED(x, 11) ^ ROTATED(x, 25);
	t += STATE(6) ^ (x & (STATE(5) ^ STATE(6)));
	STATE(3) += t;
	x = STATE(0);
	u = ROTATED(x, 2) ^ ROTATED(x, 13) ^ ROTATED(x, 22);
	u += (x & STATE(1)) | (STATE(2) & (x | STATE(1)));
	STATE(7) = t + u;
	x = WORD(1);
	t = ROTATED(x, 7) ^ ROTATED(x, 18) ^ x >> 3;
	x = WORD(14);
	t += ROTATED(x, 17) ^ ROTATED(x, 19) ^ x >> 10;
	WORD(0) += WORD(9) + t;
#undef STATE
#undef WORD
	return 0;
}

/* The first 64 bits of the hash of the block in words. */
static always_inline u64 sha_of(struct sha *s)
{
	u32 first, second;

#pragma clang loop unroll(full)
	for (u32 i = 0; i < 8; i++)
		s->state[i] = sha_begin[i];
	for (u32 i = 0; i < 64; i++)
		sha_round(s, i);
	first = s->state[0] + sha_begin[0];
	second = s->state[1] + sha_begin[1];
	return (u64)first << 32 | second;
}
