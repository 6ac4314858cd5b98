// SPDX-License-Identifier: Apache-2.0
//
// Connections that do not come about or end as they should not. Both ends are
// this process's, so that it knows the order of what happens.

#include "truthload.h"
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/tcp.h>
#include <poll.h>

// The addresses are of documentation: TEST-NET-3 has no route, TEST-NET-2 has
// one that says unreachable.
static const char *const nowhere[2] = { "203.0.113.7", "2001:db8::7" };
static const char *const refused_route = "198.51.100.7";

static void nonblocking(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		die("set nonblocking");
}

static int pending_error(int fd)
{
	int err;
	socklen_t n = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
		die("read error of socket");
	return err;
}

static void until_decided(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (poll(&p, 1, -1) != 1)
		die("poll");
}

static int socket_for(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("open socket");
	return fd;
}

// failing calls connect and wants it to fail, at once or later. With again it
// asks for the outcome by a second call.
static void failing(int family, const char *host, int port, int blocking, int again, const char *how, int err)
{
	struct sockaddr_storage to;
	struct end e;
	int fd = socket_for(family), got;

	target(&to, host, port);
	begin_out(&e, fd, &to);
	if (!blocking)
		nonblocking(fd, 1);
	if (connect(fd, (void *)&to, length(&to)) == 0)
		give_up("a connection came about that could not");
	got = errno;
	if (got == EINPROGRESS) {
		until_decided(fd);
		if (again)
			got = connect(fd, (void *)&to, length(&to)) < 0 ? errno : 0;
		else
			got = pending_error(fd);
	}
	if (got != err) {
		errno = got;
		die("connect failed otherwise");
	}
	e.kind = "fail";
	e.open = e.end = now();
	e.err = err;
	e.how = how;
	say_end(&e);
	close(fd);
}

static void refused(int count)
{
	int closed = bound_only(DUAL);
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	int port;

	if (getsockname(closed, (void *)&a, &n) < 0)
		die("read local address");
	port = port_of(&a);
	for (int i = 0; i < count; i++) {
		const struct way *w = &ways[i % 3];

		failing(w->client, w->host, port, i % 2, i % 4 == 0, "refused", ECONNREFUSED);
	}
	close(closed);
}

static void unreachable(int count)
{
	for (int i = 0; i < count; i++) {
		if (i % 3 == 0)
			failing(AF_INET, refused_route, 9, i % 2, 0, "unreachable", EHOSTUNREACH);
		else
			failing(i % 3 == 1 ? AF_INET : AF_INET6, nowhere[i % 3 - 1], 9, i % 2, 0, "unreachable", ENETUNREACH);
	}
}

// A pair is a connection to oneself by way of a listener.
struct pair {
	struct end client, server;
};

// self_way is a way to a listener of this process.
static const struct way *self_way(int number)
{
	static const int dual[3] = { 3, 4, 5 };

	return &ways[dual[number % 3]];
}

static void aborted(int count)
{
	struct end l;
	int fd = listener(DUAL, &l);

	never_hear(fd);
	for (int i = 0; i < count; i++) {
		const struct way *w = self_way(i);
		struct sockaddr_storage to;
		struct end e;
		int c = socket_for(w->client);

		nonblocking(c, 1);
		target(&to, w->host, port_of(&l.local));
		begin_out(&e, c, &to);
		if (connect(c, (void *)&to, length(&to)) == 0 || errno != EINPROGRESS)
			die("begin to connect");
		addresses(&e);
		e.kind = "fail";
		e.err = 0;
		close_end(&e, "aborted", "-");
	}
	close_end(&l, "-", "-");
}

static int accept_self(int listener, struct end *e)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		die("accept");
	return accept_in(e, fd);
}

static void send_some(struct end *e, size_t size)
{
	static const char zero[4096];

	if (send(e->fd, zero, size, MSG_NOSIGNAL) != (ssize_t)size)
		die("send");
	e->sent += size;
}

// late accepts connections that are over by then.
static void late(int count)
{
	struct end l;
	int fd = listener(DUAL, &l);

	for (int i = 0; i < count; i++) {
		const struct way *w = self_way(i);
		struct end client, server;

		connect_out(&client, w, w->host, port_of(&l.local));
		send_some(&client, 10);
		until_acknowledged(client.fd);
		linger0(client.fd);
		close_end(&client, "reset", "here");
		accept_self(fd, &server);
		// The reset may still be on its way, where the kernel leaves packets
		// to ksoftirqd: who closes before it comes resets the connection.
		until_state(server.fd, TCP_CLOSE);
		// Its addresses are gone when it is accepted; they are the client's.
		server.local = client.remote;
		server.remote = client.local;
		server.received = 10;
		server.late = 1;
		close_end(&server, "reset", "there");
	}
	close_end(&l, "-", "-");
}

// unaccepted leaves connections in the queue of a listener that closes.
static void unaccepted(int count)
{
	for (int i = 0; i < count; i++) {
		const struct way *w = self_way(i);
		struct end l, client, server = { .kind = "session" };
		int fd = listener(DUAL, &l), gone = i % 2;

		connect_out(&client, w, w->host, port_of(&l.local));
		send_some(&client, 10);
		until_acknowledged(client.fd);
		server.fd = fd; // for its family
		server.local = client.remote;
		server.remote = client.local;
		server.owner = self;
		server.open = client.open;
		server.received = 10;
		server.late = 1;
		if (gone) {
			if (shutdown(client.fd, SHUT_WR) < 0)
				die("shut half of a connection");
			until_state(client.fd, TCP_FIN_WAIT2);
			close_end(&client, "orderly", "here");
		}
		server.how = "reset";
		server.by = "here"; // who resets, whoever has closed before
		server.end = now();
		say_end(&server);
		close_end(&l, "-", "-");
		if (!gone) {
			until_state(client.fd, TCP_CLOSE);
			close_end(&client, "reset", "there");
		}
	}
}

static void connect_again(struct end *e, const struct way *w, int port)
{
	struct sockaddr_storage to;
	int fd = e->fd;

	target(&to, w->host, port);
	begin_out(e, fd, &to);
	if (connect(fd, (void *)&to, length(&to)) < 0)
		die("connect again");
	e->open = now();
	addresses(e);
}

static void finish(struct end *client, struct end *server)
{
	char c;

	send_some(client, 100);
	close_end(client, "orderly", "here");
	while (read(server->fd, &c, 1) == 1)
		server->received++;
	close_end(server, "orderly", "there");
}

// again uses a socket twice: after a disconnect, or after it was refused.
static void again(int count)
{
	struct end l;
	int fd = listener(DUAL, &l), closed = bound_only(DUAL);
	struct sockaddr_storage nobody;
	socklen_t n = sizeof(nobody);

	if (getsockname(closed, (void *)&nobody, &n) < 0)
		die("read local address");
	for (int i = 0; i < count; i++) {
		const struct sockaddr unspecified = { .sa_family = AF_UNSPEC };
		const struct way *w = self_way(i);
		struct end client, server;

		if (i % 2) {
			struct sockaddr_storage to;
			int c = socket_for(w->client);

			target(&to, w->host, port_of(&nobody));
			begin_out(&client, c, &to);
			if (connect(c, (void *)&to, length(&to)) == 0 || errno != ECONNREFUSED)
				die("be refused");
			client.kind = "fail";
			client.err = ECONNREFUSED;
			client.how = "refused";
			client.end = now();
			say_end(&client);
		} else {
			connect_out(&client, w, w->host, port_of(&l.local));
			accept_self(fd, &server);
			client.how = "reset";
			client.by = "here";
			client.end = now();
			say_end(&client);
			if (connect(client.fd, &unspecified, sizeof(unspecified)) < 0)
				die("disconnect");
			until_state(server.fd, TCP_CLOSE);
			close_end(&server, "reset", "there");
		}
		connect_again(&client, w, port_of(&l.local));
		accept_self(fd, &server);
		finish(&client, &server);
	}
	close(closed);
	close_end(&l, "-", "-");
}

// to_itself connects sockets to themselves: one socket is both ends.
static void to_itself(int count)
{
	for (int i = 0; i < count; i++) {
		struct sockaddr_storage a;
		socklen_t n = sizeof(a);
		struct end e;
		char data[100];
		int fd = socket_for(AF_INET);

		target(&a, "127.0.0.1", 0);
		if (bind(fd, (void *)&a, length(&a)) < 0 || getsockname(fd, (void *)&a, &n) < 0)
			die("bind");
		begin_out(&e, fd, &a);
		if (connect(fd, (void *)&a, length(&a)) < 0)
			die("connect to itself");
		e.open = now();
		addresses(&e);
		send_some(&e, sizeof(data));
		if (recv(fd, data, sizeof(data), MSG_WAITALL) != sizeof(data))
			die("receive from itself");
		e.received = sizeof(data);
		close_end(&e, "orderly", "any");
	}
}

void odd(int scale)
{
	refused(scale / 40 + 4);
	unreachable(scale / 80 + 3);
	aborted(scale / 100 + 3);
	late(scale / 200 + 3);
	unaccepted(scale / 200 + 4);
	again(scale / 200 + 4);
	to_itself(3);
}

// never_answered begins connects that nobody answers, all at once.
static void never_answered(int count)
{
	struct end l, ends[64];
	int fd = listener(DUAL, &l);

	never_hear(fd);
	for (int i = 0; i < count; i++) {
		const struct way *w = self_way(i);
		struct sockaddr_storage to;
		int c = socket_for(w->client);

		set(c, IPPROTO_TCP, TCP_SYNCNT, 1);
		nonblocking(c, 1);
		target(&to, w->host, port_of(&l.local));
		begin_out(&ends[i], c, &to);
		if (connect(c, (void *)&to, length(&to)) == 0 || errno != EINPROGRESS)
			die("begin to connect");
		addresses(&ends[i]);
	}
	for (int i = 0; i < count; i++) {
		until_decided(ends[i].fd);
		ends[i].err = pending_error(ends[i].fd);
		if (ends[i].err != ETIMEDOUT)
			give_up("a connect that nobody answers did not time out");
		ends[i].kind = "fail";
		close_end(&ends[i], "timed-out", "-");
	}
	close_end(&l, "-", "-");
}

// silenced opens connections whose other end then hears nothing any more.
static void silenced(int count)
{
	struct pair pairs[32];
	struct end l;
	int fd = listener(DUAL, &l);

	for (int i = 0; i < count; i++) {
		const struct way *w = self_way(i);
		struct pair *p = &pairs[i];

		connect_out(&p->client, w, w->host, port_of(&l.local));
		accept_self(fd, &p->server);
		never_hear(p->server.fd);
		set(p->client.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 300);
		send_some(&p->client, 100);
	}
	for (int i = 0; i < count; i++) {
		struct pollfd wait = { .fd = pairs[i].client.fd };

		if (poll(&wait, 1, -1) != 1) // POLLERR and POLLHUP
			die("poll");
		if (pending_error(pairs[i].client.fd) != ETIMEDOUT)
			give_up("a connection that is silent did not time out");
		close_end(&pairs[i].client, "timed-out", "nobody");
		hear(pairs[i].server.fd);
		linger0(pairs[i].server.fd);
		close_end(&pairs[i].server, "reset", "here");
	}
	close_end(&l, "-", "-");
}

// slow is what has to wait for timers of the kernel.
void slow(int scale)
{
	never_answered(scale / 300 < 60 ? scale / 300 + 3 : 60);
	silenced(scale / 1000 < 29 ? scale / 1000 + 3 : 29);
}
