// SPDX-License-Identifier: Apache-2.0
//
// What both ends of a connection do, so that each knows how many bytes went
// each way, who ended it first, and how. Neither closes before the other has
// what was sent to it, so that no byte is lost to a reset.

#include "truthload.h"

enum { CHUNK = 1 << 16 };

struct header {
	u32 how, request, response;
};

static void read_all(struct end *e, u32 size)
{
	char chunk[CHUNK];

	while (size > 0) {
		ssize_t n = read(e->fd, chunk, size < CHUNK ? size : CHUNK);

		if (n <= 0)
			die(n == 0 ? "the other end closed too early" : "read");
		size -= n;
		e->received += n;
	}
}

static void write_all(struct end *e, const void *data, u32 size)
{
	static const char zero[CHUNK];

	while (size > 0) {
		u32 want = size < CHUNK ? size : CHUNK;
		ssize_t n = send(e->fd, data ? data : zero, want, MSG_NOSIGNAL);

		if (n <= 0 || (data && n != (ssize_t)size))
			die("send");
		size -= n;
		e->sent += n;
	}
}

// until_closed wants the other end to send nothing but its end.
static void until_closed(struct end *e)
{
	char c;
	ssize_t n = read(e->fd, &c, 1);

	if (n != 0)
		die(n > 0 ? "more came than was asked for" : "read until the other end closes");
}

static void until_reset(struct end *e)
{
	char c;

	if (read(e->fd, &c, 1) >= 0 || errno != ECONNRESET)
		die("read until the other end resets");
}

// ask is the client's part. It closes its end, unless how is EXIT.
void ask(struct end *e, enum how how, u32 request, u32 response)
{
	struct header h = { how, request, response };

	write_all(e, &h, sizeof(h));
	write_all(e, NULL, request);
	if (how == UNREAD) {
		until_reset(e);
		close_end(e, "reset", "there");
		return;
	}
	if (how == HALF || how == HALF_RESET) {
		e->end = now(); // the other end may close at any time now
		if (shutdown(e->fd, SHUT_WR) < 0)
			die("shut half of a connection");
	}
	read_all(e, response);
	switch (how) {
	case SERVER_FIRST:
		until_closed(e);
		close_end(e, "orderly", "there");
		break;
	case CLIENT_RESET:
		linger0(e->fd);
		close_end(e, "reset", "here");
		break;
	case SERVER_RESET:
		write_all(e, "k", 1);
		until_reset(e);
		close_end(e, "reset", "there");
		break;
	case HALF:
		until_closed(e);
		close_end(e, "orderly", "here");
		break;
	case HALF_RESET:
		until_reset(e);
		close_end(e, "reset", "there");
		break;
	case BOTH:
		close_end(e, "orderly", "any");
		break;
	case EXIT:
		e->how = "orderly";
		e->by = "here";
		e->end = now();
		say_end(e);
		break;
	default:
		close_end(e, "orderly", "here");
	}
}

// answer is the server's part. It returns how it was asked to.
enum how answer(struct end *e)
{
	struct header h;

	if (recv(e->fd, &h, sizeof(h), MSG_WAITALL) != sizeof(h))
		die("read header");
	e->received += sizeof(h);
	if (h.how == UNREAD) {
		until_queued(e->fd, h.request);
		e->received += h.request; // the kernel has received it, nobody else
		close_end(e, "reset", "here");
		return h.how;
	}
	read_all(e, h.request);
	if (h.how == HALF || h.how == HALF_RESET)
		until_closed(e);
	write_all(e, NULL, h.response);
	switch (h.how) {
	case SERVER_FIRST:
		close_end(e, "orderly", "here");
		break;
	case CLIENT_RESET:
		until_reset(e);
		close_end(e, "reset", "there");
		break;
	case SERVER_RESET:
		read_all(e, 1);
		linger0(e->fd);
		close_end(e, "reset", "here");
		break;
	case HALF_RESET:
		until_acknowledged(e->fd);
		linger0(e->fd);
		close_end(e, "reset", "here");
		break;
	case BOTH:
		close_end(e, "orderly", "any");
		break;
	case HALF:
		close_end(e, "orderly", "there");
		break;
	default:
		until_closed(e);
		close_end(e, "orderly", "there");
	}
	return h.how;
}
