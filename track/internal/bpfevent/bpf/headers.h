// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The headers of a packet. */
#pragma once

#include "udp.h"

/* A packet, as far as its headers show. */
struct packet {
	u8 remote[16];
	u16 rport;
	bool whole; /* with a header of the socket's protocol */
	u32 bytes;  /* of payload */
	u32 size;   /* of a segment, where it is several datagrams; 0: it is one */
};

#define IP_OFFSET   0xff1f /* of frag_off in network byte order, little end first */
#define IP6_OFFSET  0xf8ff
#define MAX_HEADERS 8 /* extension headers that are walked over */

enum next_header {
	HEADER_HOPS = 0,
	HEADER_ROUTING = 43,
	HEADER_FRAGMENT = 44,
	HEADER_AUTH = 51,
	HEADER_OPTIONS = 60,
};

/* Walks over extension headers. Returns the start of the payload, 0 for none. */
static noinline u32 skip_headers(struct __sk_buff *skb, u8 *next)
{
	u32 at = 40;
	u8 h[4];

	for (u32 i = 0; i < MAX_HEADERS; i++) {
		switch (*next) {
		case HEADER_HOPS:
		case HEADER_ROUTING:
		case HEADER_FRAGMENT:
		case HEADER_AUTH:
		case HEADER_OPTIONS:
			break;
		default:
			return at;
		}
		if (bpf_skb_load_bytes(skb, at, h, sizeof(h)))
			return 0;
		if (*next == HEADER_FRAGMENT) {
			if (*(u16 *)&h[2] & IP6_OFFSET)
				return 0;
			at += 8;
		} else if (*next == HEADER_AUTH) {
			at += (h[1] + 2) * 4;
		} else {
			at += (h[1] + 1) * 8;
		}
		*next = h[0];
	}
	return at;
}

/* Reads the headers. False where the packet is a later part of a datagram. */
static noinline u32 read_packet(struct __sk_buff *skb, struct packet *p, u32 protocol, u32 sent)
{
	u16 ports[2] = {};
	u32 h[10], at;
	u8 next;

	if (bpf_skb_load_bytes(skb, 0, h, 20))
		return false;
	if ((*(u8 *)h & 0xf0) == 0x40) {
		if (((u16 *)h)[3] & IP_OFFSET)
			return false;
		at = (*(u8 *)h & 15) * 4;
		next = ((u8 *)h)[9];
		map_v4(p->remote, sent ? h[4] : h[3]);
	} else {
		if (bpf_skb_load_bytes(skb, 0, h, 40))
			return false;
		next = ((u8 *)h)[6];
		__builtin_memcpy(p->remote, sent ? &h[6] : &h[2], sizeof(p->remote));
		at = skip_headers(skb, &next);
		if (!at)
			return false;
	}
	p->whole = next == protocol && !bpf_skb_load_bytes(skb, at, ports, sizeof(ports));
	if (p->whole) {
		p->rport = __builtin_bswap16(sent ? ports[1] : ports[0]);
		at += 8;
	}
	p->bytes = skb->len > at ? skb->len - at : 0;
	p->size = skb->gso_size;
	return true;
}
