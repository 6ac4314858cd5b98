// SPDX-License-Identifier: Apache-2.0
//
// floor reads the iterators that `whose pin` pinned, and does nothing else: no
// reader of the same pins can be faster.
//
//	floor [-t THREADS] [-f FLAGS] DIR
//
// It asks as whose does, by the name of each reading thread
// (../../collect/internal/bpfiter/bpf/question.h), first the socket tables and
// then the descriptors, in parts, each on a thread of its own: as many as there
// are processors, two at least, or THREADS. It goes on with elements and
// descriptors until no more_record asks for it. A second look at sockets without a
// holder is work beyond reading, and left out; so are tables that a namespace
// has to itself (net.ipv4.tcp_child_ehash_entries), which no load here makes. FLAGS are enum ask_flag; the
// usual ones are 3, IPv4 and IPv6.
//
// It prints the number of records of sockets: those with a descriptor once for
// each, and those without. Exit status 1: the pins cannot be read.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "records.h"

#define BUFFER	     (64 << 10)
#define MOST_THREADS 63
#define TOGETHER     8 /* descriptors that fd_walk looks at together */
#define STEP	     32 /* sockets of an element to a step of a resumption */
#define ENOUGH	     (8 << 10) /* a read of large objects, see readPiece in read_linux.go */
#define ENOUGH_TABLES (16 << 10)

enum {
	ASK_RESUME = 1 << 4,
	ASK_FLOW = 1 << 5, /* among the protocols; whose does not ask for it unless it is shown */
};

/* A question, as in question.h. */
struct question {
	uint32_t part, parts, states, protos, flags, number;
};

/* A thread's share of a run. */
struct share {
	const char *path;
	struct question ask;
	size_t enough; /* bytes after which a read is over; 0: a whole buffer */
	char *buffer;
	unsigned long sockets;
	struct more *more; /* the records that ask to go on */
	size_t n_more, room;
};

static struct share shares[MOST_THREADS];
static unsigned threads;
static uint32_t flags = 3;

static _Noreturn void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "floor: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	exit(1);
}

static char six(uint32_t n)
{
	return (n & 0x3f) + '0';
}

static void ask(const struct question *q)
{
	const char name[16] = {
		'w', 'h', 'o', ':', six(q->part), six(q->parts), six(q->states), six(q->states >> 6),
		six(q->states >> 12), six(q->protos), six(q->flags), six(q->number), six(q->number >> 6),
		six(q->number >> 12), six(q->number >> 18), 0,
	};

	prctl(PR_SET_NAME, name);
}

static void go_on_at(struct share *s, struct more m)
{
	if (s->n_more == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->more = realloc(s->more, s->room * sizeof *s->more);
		if (!s->more)
			die("out of memory");
	}
	s->more[s->n_more++] = m;
}

static void take(struct share *s, const char *piece, size_t size)
{
	while (size) {
		struct more m;
		size_t length;

		switch (look(piece, size, &length, &m)) {
		case FOREIGN:
			die("read %s: a foreign record", s->path);
		case SOCKET:
			s->sockets++;
			break;
		case MORE:
			go_on_at(s, m);
			break;
		case OTHER:
			break;
		}
		piece += length;
		size -= length;
	}
}

/* Reads a run to its end. */
static void *read_share(void *arg)
{
	struct share *s = arg;
	size_t have = 0;
	int fd;

	ask(&s->ask);
	fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("open %s: %s", s->path, strerror(errno));
	for (;;) {
		size_t room = s->enough && have < s->enough ? s->enough - have : BUFFER - have;
		ssize_t n = read(fd, s->buffer + have, room);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			die("read %s: %s", s->path, strerror(errno));
		if (n > 0 && s->enough && have + n == s->enough) {
			have += n; /* perhaps amid a record */
			continue;
		}
		if (n > 0)
			have += n;
		take(s, s->buffer, have);
		have = 0;
		if (!n || (n < 0 && s->ask.flags & ASK_RESUME))
			break;
	}
	close(fd);
	return NULL;
}

/* Reads a run in parts, all at once. */
static void read_all(const char *path, struct question q, size_t enough)
{
	pthread_t thread[MOST_THREADS];

	for (unsigned i = 0; i < threads; i++) {
		struct share *s = &shares[i];

		s->path = path;
		s->ask = q;
		s->ask.part = i;
		s->ask.parts = threads;
		s->enough = enough;
		s->n_more = 0;
		if (pthread_create(&thread[i], NULL, read_share, s))
			die("start a thread");
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
}

/* Goes on with an element of the tables, as resumed in question.go. */
static void resume(const char *path, struct question q, struct more m)
{
	uint64_t n = m.element, skip = m.done / STEP;

	if (skip > 2)
		n |= (skip - 2) << 15;
	q.flags |= ASK_RESUME;
	q.part = n & 0x3f;
	q.parts = n >> 6 & 0x3f;
	q.number = n >> 12 & 0xffffff;
	shares[0].path = path;
	shares[0].ask = q;
	shares[0].enough = 0;
	read_share(&shares[0]);
}

static void read_tables(const char *path, struct question q)
{
	read_all(path, q, ENOUGH_TABLES);
	for (unsigned i = threads; i--;) {
		while (shares[i].n_more)
			resume(path, q, shares[i].more[--shares[i].n_more]);
	}
}

/* The first descriptor that the last run did not reach, ~0 where there is none. */
static uint32_t first_more(void)
{
	uint32_t first = ~0U;

	for (unsigned i = 0; i < threads; i++)
		for (size_t j = 0; j < shares[i].n_more; j++)
			if (shares[i].more[j].from < first)
				first = shares[i].more[j].from;
	return first;
}

static void read_descriptors(const char *path, struct question q)
{
	do {
		q.number &= ~(TOGETHER - 1);
		read_all(path, q, ENOUGH);
		q.number = first_more();
	} while (q.number != ~0U);
}

static const char *pin(const char *dir, const char *program)
{
	char *path;

	if (asprintf(&path, "%s/%s_v%u", dir, program, record_version) < 0)
		die("out of memory");
	return path;
}

int main(int argc, char **argv)
{
	unsigned long sockets = 0;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int option;

	threads = processors < 2 ? 2 : processors;
	while ((option = getopt(argc, argv, "t:f:")) != -1) {
		if (option == 't')
			threads = strtoul(optarg, NULL, 10);
		else if (option == 'f')
			flags = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (optind + 1 != argc || !threads) {
		fprintf(stderr, "usage: floor [-t THREADS] [-f FLAGS] DIR\n");
		return 2;
	}
	if (threads > MOST_THREADS)
		threads = MOST_THREADS;
	for (unsigned i = 0; i < threads; i++) {
		shares[i].buffer = aligned_alloc(4096, BUFFER);
		if (!shares[i].buffer)
			die("out of memory");
	}
	struct question everything = {.states = ~0U, .protos = ~(uint32_t)ASK_FLOW, .flags = flags};

	read_tables(pin(argv[optind], "hash_walk"), everything);
	read_descriptors(pin(argv[optind], "fd_walk"), everything);
	for (unsigned i = 0; i < threads; i++)
		sockets += shares[i].sockets;
	printf("%lu\n", sockets);
	return 0;
}
