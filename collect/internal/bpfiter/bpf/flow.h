// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The flow id of a connection, in its record. It is made here, since a reader is
 * not to know the numbers. The functions that are not inlined take numbers alone, so
 * that they are verified once on every kernel.
 */
#pragma once

#include "../../../../internal/bpf/flow.h"
#include "../../../../internal/bpf/sha256.h"
#include "socket.h"

/* Set before loading: the key of the fleet, as words, and whether there is one. */
const volatile u32 flow_key[8];
const volatile bool flow_keyed = false;

enum quiet {
	BUSY,
	NOTHING_RECEIVED, /* what came in waits until its owner lets go of the socket */
	QUIET,		  /* nobody has the socket */
};

/*
 * What goes on at a socket. Its numbers change in the hands of whoever has it: in
 * those of a process only as it goes through what came in meanwhile.
 */
static always_inline enum quiet quiet_of(const struct sock *sk)
{
	s32 lock = 0, owned = 0, waiting = 0;

	probe(&lock, (const s32 *)&sk->sk_lock.slock);
	probe(&owned, &sk->sk_lock.owned);
	probe(&waiting, &sk->sk_backlog.len);
	return lock ? BUSY : !owned ? QUIET : waiting ? BUSY : NOTHING_RECEIVED;
}

/*
 * Reads what belongs together without the lock: two readings are the same, and in
 * between nobody was about to change it. Returns enum quiet.
 */
verified_once int read_quietly(struct progress *p, u64 address)
{
	struct progress before = {};
	u32 changed, counted;
	int quiet;

	if (!is_given(p))
		return BUSY;
	read_progress(&before, address);
	quiet = quiet_of((const void *)address);
	read_progress(p, address);
	changed = (before.una ^ p->una) | (before.own ^ p->own) | (before.next ^ p->next) | (before.other ^ p->other);
	counted = (before.unsent ^ p->unsent) | (before.over ^ p->over);
	if (changed)
		return BUSY;
	return quiet == QUIET && counted ? NOTHING_RECEIVED : quiet;
}

/*
 * How often a socket is read that is busy. The verifier follows each try where what
 * they call is no function of its own.
 */
#ifdef BEFORE_5_12
#define QUIET_TRIES 4
#else
#define QUIET_TRIES 46
#endif

static always_inline enum origin origin_to_count_from(const struct progress *p, const struct sock *sk,
						      u8 state, int quiet)
{
	enum origin origin = origin_by_marks(sk, state), by_count = ORIGIN_UNKNOWN;

	if (quiet == QUIET)
		by_count = origin_of_count(p->unsent, p->over, state);
	if (!origin)
		return by_count;
	/* Restored, or connected after it had been accepted. */
	return by_count && by_count != origin ? ORIGIN_UNKNOWN : origin;
}

/* Is the socket not another in the same memory. */
static always_inline bool has_sign(const struct sock_common *c, u32 ports, u32 remote)
{
	u16 lport = 0, rport = 0, family = 0;
	u32 there = 0;

	probe(&lport, &c->skc_num);
	probe(&rport, &c->skc_dport);
	probe(&family, &c->skc_family);
	probe(&there, family == AF_INET ? (const u32 *)&c->skc_daddr
					: (const u32 *)&c->skc_v6_daddr.in6_u.u6_addr8[12]);
	return ((u32)lport << 16 | __builtin_bswap16(rport)) == ports && there == remote;
}

/*
 * The numbers of the socket of TCP with these ports and the last 32 bits of this
 * remote address, the own one above; 0 where they cannot be known. A connection that
 * is half open has none: who sent its SYN knows one of the numbers, and would learn
 * the other by trying all.
 */
noinline u64 isns_at(u64 address, u32 ports, u32 remote)
{
	const struct sock *sk = (const void *)address;
	struct progress p = {};
	enum origin origin;
	int quiet = BUSY;
	struct isns n;
	u8 state = 0;

	probe(&state, (u8 *)&sk->__sk_common.skc_state);
	if (!(1 << (state & 31) & MOVED_STATES))
		return 0;
	for (u32 i = 0; i < QUIET_TRIES && quiet == BUSY; i++)
		quiet = read_quietly(&p, address);
	if (quiet == BUSY || is_repaired(sk))
		return 0;
	origin = origin_to_count_from(&p, sk, state, quiet);
	if (!origin || !has_sign(&sk->__sk_common, ports, remote))
		return 0;
	n = isns_of(p.own, p.other, origin);
	return (u64)n.own << 32 | n.other;
}

/* The flow id of the numbers. */
noinline u64 flow_id(u32 own, u32 other)
{
	struct sha s = {};
	u64 swap = ((u64)own - other) >> 63; /* 1 where the own one is less */
	u32 end = 2;

	barrier_var(swap);
	swap = -swap & (own ^ other);
	s.words[0] = other ^ (u32)swap;
	s.words[1] = own ^ (u32)swap;
	if (flow_keyed) {
#pragma clang loop unroll(full)
		for (u32 i = 0; i < 8; i++)
			s.words[2 + i] = flow_key[i];
		end = 10;
	}
	s.words[end] = 1U << 31;
	s.words[15] = end * 32;
	return sha_of(&s);
}

/*
 * Puts the flow id of the socket of TCP into the record, 0 for none. It stands in the
 * frame of whoever calls it: of the stack little is left.
 */
static always_inline void put_flow(struct socket_record *r, u64 address)
{
	u64 isns = address ? isns_at(address, (u32)r->lport << 16 | r->rport, *(u32 *)&r->remote[12]) : 0;

	r->cgroup = isns ? flow_id(isns >> 32, isns) : 0;
}

/* The socket of TCP that a connection's flow id is of, 0: none. */
static always_inline u64 flow_socket(const struct socket_record *r, u64 address)
{
	const struct mptcp_sock *msk = (const void *)address;
	const struct sock *first = NULL;

	if (r->proto == PROTO_TCP)
		return address;
	if (r->proto == PROTO_MPTCP && field_exists(msk->first))
		probe(&first, &msk->first);
	return (u64)first;
}
