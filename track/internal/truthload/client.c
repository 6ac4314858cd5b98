// SPDX-License-Identifier: Apache-2.0
//
// The clients: loops in processes and threads, processes that live for one
// connection, and connections that outlive an exec.

#include "truthload.h"
#include <fcntl.h>
#include <pthread.h>

// A twentieth part of the connections goes to each.
static const unsigned char turns[20] = {
	THREADS, PREFORK, URING, FORK, THREADS, PASS, PREFORK, THREADS, URING, THREADS,
	PREFORK, THREADS, FORK, THREADS, PREFORK, URING, THREADS, PASS, PREFORK, THREADS,
};

static const u32 sizes[] = { 0, 1, 100, 1460, 5000, 20000, 100, 70000 };

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

// mix makes numbers that look like chance and are the same each time.
static u32 mix(u32 n)
{
	n = (n ^ n >> 16) * 0x45d9f3b;
	n = (n ^ n >> 16) * 0x45d9f3b;
	return n ^ n >> 16;
}

static enum how how_of(u32 chance)
{
	static const unsigned char hows[] = {
		CLIENT_FIRST, SERVER_FIRST, CLIENT_FIRST, CLIENT_RESET, SERVER_RESET,
		HALF, HALF_RESET, UNREAD, BOTH, SERVER_FIRST, CLIENT_FIRST,
	};

	return hows[chance % sizeof(hows)];
}

static u32 request_of(enum how how, u32 chance)
{
	u32 size = sizes[chance % SIZES];

	if (how == UNREAD) // there must be something unread, and it must fit
		return size == 0 ? 10 : size > 5000 ? 5000 : size;
	return size;
}

// response_of has a client that resets wait for something: or it would be
// over before it is accepted, which odd.c has.
static u32 response_of(enum how how, u32 chance)
{
	u32 size = sizes[chance % SIZES];

	return how == CLIENT_RESET && size == 0 ? 1 : size;
}

// host_of varies the address of a way, so that ports do not run out.
static const char *host_of(const struct way *w, u32 chance, char *to, size_t size)
{
	if (w->server == V6 || strcmp(w->host, "::1") == 0)
		return w->host;
	snprintf(to, size, "%s127.0.%u.%u", w->client == AF_INET ? "" : "::ffff:", chance % 3, 1 + chance / 3 % 5);
	return to;
}

static void one(int kind, const struct way *w, enum how how, u32 chance)
{
	struct end e;
	char host[64];

	connect_out(&e, w, host_of(w, chance, host, sizeof(host)), board->tcp[kind][w->server]);
	ask(&e, how, request_of(how, chance >> 8), response_of(how, chance >> 12));
}

// A stint is a client's work, or that of one of its threads.
struct stint {
	u32 first;
	int count;
};

static void *work(void *p)
{
	const struct stint *s = p;

	for (int i = 0; i < s->count; i++) {
		u32 chance = mix(s->first + i);

		one(turns[i % 20], &ways[(i / 20 + s->first) % WAYS], how_of(chance >> 16), chance);
	}
	flush();
	return NULL;
}

void client_tcp(int worker, int count, int threads)
{
	struct stint stints[8];
	pthread_t started[8];

	for (int i = 0; i < threads; i++) {
		stints[i] = (struct stint){ (worker * 8 + i) * 1000003, count / threads + (i < count % threads) };
		if (pthread_create(&started[i], NULL, work, &stints[i]) != 0)
			give_up("start a thread");
	}
	for (int i = 0; i < threads; i++)
		pthread_join(started[i], NULL);
}

// one_shots starts processes that live for one exchange.
void one_shots(const char *dir, int count)
{
	for (int i = 0; i < count; i++) {
		char path[512], log[512], port[16], how[16];
		const struct way *w = &ways[i % WAYS];
		int pid = child();

		if (pid > 0) {
			await(pid);
			continue;
		}
		snprintf(path, sizeof(path), "%s/one-shot", dir);
		snprintf(log, sizeof(log), "%s/log", dir);
		snprintf(port, sizeof(port), "%d", board->tcp[turns[i % 20]][w->server]);
		snprintf(how, sizeof(how), "%d", i % 4 ? EXIT : SERVER_FIRST);
		execl(path, path, log, w->host, port, how, w->client == AF_INET ? "4" : "6", NULL);
		die(path);
	}
}

// one_shot is such a process: PATH LOG HOST PORT HOW FAMILY.
void one_shot(int argc, char **argv)
{
	struct way w = { .client = AF_INET };
	struct end e;

	if (argc != 6)
		give_up("one-shot wants LOG HOST PORT HOW FAMILY");
	if (argv[5][0] == '6')
		w.client = AF_INET6;
	connect_out(&e, &w, argv[2], atoi(argv[3]));
	log_process(argc, argv);
	ask(&e, atoi(argv[4]), 100, 1000);
	leave();
}

// heirs opens connections in processes that then execute another program.
void heirs(const char *dir, int count)
{
	for (int i = 0; i < count; i++) {
		char path[512], log[512], fd[16], begin[32], open[32];
		const struct way *w = &ways[i % WAYS];
		struct end e;
		int pid = child();

		if (pid > 0) {
			await(pid);
			continue;
		}
		connect_out(&e, w, w->host, board->tcp[turns[i % 20]][w->server]);
		if (fcntl(e.fd, F_SETFD, 0) < 0)
			die("let a connection be inherited");
		snprintf(path, sizeof(path), "%s/heir", dir);
		snprintf(log, sizeof(log), "%s/log", dir);
		snprintf(fd, sizeof(fd), "%d", e.fd);
		snprintf(begin, sizeof(begin), "%llu", (unsigned long long)e.begin);
		snprintf(open, sizeof(open), "%llu", (unsigned long long)e.open);
		execl(path, path, log, fd, begin, open, NULL);
		die(path);
	}
}

// heir is what they execute: PATH LOG FD BEGIN OPEN.
void heir(int argc, char **argv)
{
	struct end e;

	if (argc != 5)
		give_up("heir wants LOG FD BEGIN OPEN");
	accept_in(&e, atoi(argv[2]));
	e.out = 1;
	e.begin = strtoull(argv[3], NULL, 10);
	e.open = strtoull(argv[4], NULL, 10);
	ask(&e, CLIENT_FIRST, 100, 100);
	leave();
}

void quit_servers(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (int i = 0; i < FAMILIES * acceptors[kind]; i++)
			one(kind, &ways[i % FAMILIES == V6 ? 1 : i % FAMILIES == DUAL ? 3 : 0], QUIT, 0);
}
