// SPDX-License-Identifier: Apache-2.0
//
// The kinds of TCP servers: threads, prefork, io_uring, a process for each
// connection, and connections passed to another process. Each stops when each
// of its acceptors has met a connection that asked for it.

#include "truthload.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

const int acceptors[KINDS] = { [THREADS] = 3, [PREFORK] = 2, [URING] = 1, [FORK] = 1, [PASS] = 1 };

// accept_one accepts by one of the ways that programs do.
static int accept_one(int fd, int number)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	int accepted = number % 2 ? accept4(fd, (void *)&a, &n, SOCK_CLOEXEC) : accept(fd, NULL, NULL);

	if (accepted < 0)
		die("accept");
	return accepted;
}

static void *accept_all(void *listener)
{
	struct end e;
	int number = 0;

	do
		accept_in(&e, accept_one(*(int *)listener, number++));
	while (answer(&e) != QUIT);
	flush();
	return NULL;
}

static void serve_threads(int fd)
{
	pthread_t threads[3];

	for (int i = 0; i < acceptors[THREADS]; i++)
		if (pthread_create(&threads[i], NULL, accept_all, &fd) != 0)
			give_up("start a thread");
	for (int i = 0; i < acceptors[THREADS]; i++)
		pthread_join(threads[i], NULL);
}

static void serve_prefork(int fd, struct end *l, int ready)
{
	int pids[2], told[2];

	if (pipe(told) < 0)
		die("make pipe");
	for (int i = 0; i < acceptors[PREFORK]; i++) {
		pids[i] = child();
		if (pids[i] == 0) {
			if (write(told[1], &self, sizeof(self)) != sizeof(self))
				die("tell parent");
			close(ready);
			accept_all(&fd);
			leave();
		}
	}
	for (int i = 0; i < acceptors[PREFORK]; i++)
		if (read(told[0], &l->then[i], sizeof(self)) != sizeof(self))
			die("hear of child");
	close(ready); // the servers stand
	for (int i = 0; i < acceptors[PREFORK]; i++)
		await(pids[i]);
}

static void serve_uring(int fd)
{
	int ring = uring_accept_open();
	struct end e;

	do
		accept_in(&e, uring_accept(ring, fd));
	while (answer(&e) != QUIT);
	close(ring);
}

// serve_fork gives each connection a process of its own, which inherits it.
static void serve_fork(int fd)
{
	for (int number = 0, quit = 0; !quit; number++) {
		struct end e;
		int pid, status;

		accept_in(&e, accept_one(fd, number));
		pid = child();
		if (pid == 0) {
			e.then[0] = self;
			close(fd);
			quit = answer(&e) == QUIT;
			flush();
			_exit(quit ? 3 : 0);
		}
		close(e.fd);
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) % 3)
			give_up("a server of one connection ended badly");
		quit = WEXITSTATUS(status) == 3;
	}
}

// A parcel is what goes to another process beside the descriptor.
struct parcel {
	struct end end;
};

static void send_parcel(int to, const struct end *e)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct parcel p = { .end = *e };
	struct iovec data = { &p, sizeof(p) };
	struct msghdr m = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &e->fd, sizeof(int));
	if (sendmsg(to, &m, MSG_NOSIGNAL) != sizeof(p))
		die("pass a connection");
}

static int receive_parcel(int from, struct end *e)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct parcel p;
	struct iovec data = { &p, sizeof(p) };
	struct msghdr m = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (n == 0)
		return 0;
	if (n != sizeof(p) || !c || c->cmsg_type != SCM_RIGHTS)
		die("receive a connection");
	*e = p.end;
	memcpy(&e->fd, CMSG_DATA(c), sizeof(int));
	e->then[0] = self;
	return 1;
}

// serve_pass accepts, and passes each connection to a worker.
static void serve_pass(int fd)
{
	int pair[2], pid;
	char how = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("make socket pair");
	pid = child();
	if (pid == 0) {
		struct end e;

		close(fd);
		close(pair[0]);
		while (receive_parcel(pair[1], &e)) {
			how = answer(&e);
			if (send(pair[1], &how, 1, MSG_NOSIGNAL) != 1)
				die("tell that a connection is served");
		}
		leave();
	}
	close(pair[1]);
	for (int number = 0; how != QUIT; number++) {
		struct end e;

		accept_in(&e, accept_one(fd, number));
		send_parcel(pair[0], &e);
		close(e.fd);
		if (recv(pair[0], &how, 1, 0) != 1)
			die("hear that a connection is served");
	}
	close(pair[0]);
	await(pid);
}

// serve_tcp is a server process. Closing ready tells that it stands.
void serve_tcp(int kind, int family, int ready)
{
	struct end l;
	int fd = listener(family, &l);

	board->tcp[kind][family] = port_of(&l.local);
	if (kind != PREFORK)
		close(ready);
	switch (kind) {
	case THREADS:
		serve_threads(fd);
		break;
	case PREFORK:
		serve_prefork(fd, &l, ready);
		break;
	case URING:
		serve_uring(fd);
		break;
	case FORK:
		serve_fork(fd);
		break;
	case PASS:
		serve_pass(fd);
		break;
	}
	close_end(&l, "-", "-");
	leave();
}
