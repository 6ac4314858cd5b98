// SPDX-License-Identifier: Apache-2.0
//
// Exchanges by UDP: connected and unconnected sockets, one and many remotes.
// A line of the log tells of one socket and remote; the same may come again
// and is then added.

#include "truthload.h"
#include <fcntl.h>

enum { MOST = 1400, BATCH = 4 };

// A request's first byte says what to do; an empty one is answered by another.
enum { ECHO = 'e', DOUBLE = 'd', STOP = 'q' };

// A flow is one socket and one remote, as far as it is not said yet.
struct flow {
	int fd;
	u64 cookie;
	int family;
	struct sockaddr_storage local, remote;
	u64 sent, received, datagrams_sent, datagrams_received;
	int blind; // received by calls that do not say from where
};

static void say_flow(struct flow *f)
{
	char local[64], remote[64];
	socklen_t n = sizeof(f->local);

	if (getsockname(f->fd, (void *)&f->local, &n) < 0)
		die("read local address");
	text_of(&f->local, local, sizeof(local));
	text_of(&f->remote, remote, sizeof(remote));
	say("udp cookie=%llu ns=%u pid=%d start=%llu fam=%d local=%s remote=%s sent=%llu recv=%llu dsent=%llu drecv=%llu "
	    "blind=%d at=%llu\n",
	    (unsigned long long)f->cookie, netns, self.pid, (unsigned long long)self.start, f->family == AF_INET ? 4 : 6,
	    local, remote, (unsigned long long)f->sent, (unsigned long long)f->received,
	    (unsigned long long)f->datagrams_sent, (unsigned long long)f->datagrams_received, f->blind,
	    (unsigned long long)now());
	f->sent = f->received = f->datagrams_sent = f->datagrams_received = 0;
}

static int open_udp(int family, struct flow *f)
{
	struct timeval patience = { .tv_sec = 60 };

	memset(f, 0, sizeof(*f));
	f->family = family;
	f->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (f->fd < 0 || setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		die("open socket");
	f->cookie = cookie_of(f->fd);
	return f->fd;
}

static void bind_udp(struct flow *f, const char *host)
{
	struct sockaddr_storage a;
	char local[64];
	socklen_t n = sizeof(a);

	target(&a, host, 0);
	if (bind(f->fd, (void *)&a, length(&a)) < 0 || getsockname(f->fd, (void *)&a, &n) < 0)
		die("bind");
	text_of(&a, local, sizeof(local));
	say("bind cookie=%llu ns=%u pid=%d start=%llu fam=%d local=%s\n", (unsigned long long)f->cookie, netns, self.pid,
	    (unsigned long long)self.start, f->family == AF_INET ? 4 : 6, local);
}

static void sent(struct flow *f, ssize_t n, size_t want)
{
	if (n != (ssize_t)want)
		die("send a datagram");
	f->sent += n;
	f->datagrams_sent++;
}

static void received(struct flow *f, ssize_t n, size_t want)
{
	if (n != (ssize_t)want)
		die("receive a datagram");
	f->received += n;
	f->datagrams_received++;
}

// serve_udp answers until it is told to stop.
void serve_udp(int family, int ready)
{
	struct flow f;
	struct timeval forever = { 0 };
	char data[2 * MOST] = "";

	open_udp(family == V4 ? AF_INET : AF_INET6, &f);
	if (family != V4)
		set(f.fd, IPPROTO_IPV6, IPV6_V6ONLY, family == V6);
	if (setsockopt(f.fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever)) < 0)
		die("set patience");
	bind_udp(&f, family == V4 ? "0.0.0.0" : "::");
	socklen_t n = sizeof(f.local);
	if (getsockname(f.fd, (void *)&f.local, &n) < 0)
		die("read local address");
	board->udp[family] = port_of(&f.local);
	close(ready);
	for (data[0] = ECHO; data[0] != STOP;) {
		socklen_t size = sizeof(f.remote);
		ssize_t got;

		data[0] = ECHO;
		got = recvfrom(f.fd, data, MOST, 0, (void *)&f.remote, &size);
		received(&f, got, got < 0 ? 1 : got);
		if (got > 0 && data[0] == DOUBLE)
			sent(&f, sendto(f.fd, data, 2 * got, 0, (void *)&f.remote, size), 2 * got);
		else
			sent(&f, sendto(f.fd, data, got, 0, (void *)&f.remote, size), got);
		say_flow(&f);
	}
	leave(); // the kernel closes the socket
}

static void exchange_to(struct flow *f, const char *host, int port, size_t size, char what, int flags)
{
	struct sockaddr_storage from;
	socklen_t n = sizeof(from);
	char data[2 * MOST];
	size_t back = what == DOUBLE ? 2 * size : size;

	memset(data, what, size);
	target(&f->remote, host, port);
	sent(f, sendto(f->fd, data, size, 0, (void *)&f->remote, length(&f->remote)), size);
	if ((flags & MSG_PEEK) && recvfrom(f->fd, data, sizeof(data), MSG_PEEK, NULL, NULL) != (ssize_t)back)
		die("peek at a datagram");
	received(f, recvfrom(f->fd, data, sizeof(data), 0, (void *)&from, &n), back);
	say_flow(f);
}

static void connect_udp(struct flow *f, const char *host, int port)
{
	target(&f->remote, host, port);
	if (connect(f->fd, (void *)&f->remote, length(&f->remote)) < 0)
		die("connect");
}

static void exchange(struct flow *f, size_t size, int plain)
{
	char data[MOST];

	memset(data, ECHO, size);
	sent(f, plain ? write(f->fd, data, size) : send(f->fd, data, size, 0), size);
	received(f, plain ? read(f->fd, data, sizeof(data)) : recv(f->fd, data, sizeof(data), 0), size);
}

// batch sends and receives several datagrams with one call each.
static void batch(struct flow *f, const char *host, int port)
{
	char data[BATCH][100];
	struct sockaddr_storage from[BATCH];
	struct iovec pieces[BATCH];
	struct mmsghdr m[BATCH];
	int done = 0;

	target(&f->remote, host, port);
	memset(m, 0, sizeof(m));
	for (int i = 0; i < BATCH; i++) {
		memset(data[i], ECHO, sizeof(data[i]));
		pieces[i] = (struct iovec){ data[i], 20 * (i + 1) };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &pieces[i], .msg_iovlen = 1, .msg_name = &f->remote,
						.msg_namelen = length(&f->remote) };
	}
	if (sendmmsg(f->fd, m, BATCH, 0) != BATCH)
		die("send a batch");
	for (int i = 0; i < BATCH; i++)
		sent(f, 20 * (i + 1), 20 * (i + 1));
	while (done < BATCH) {
		for (int i = 0; i < BATCH; i++) {
			pieces[i] = (struct iovec){ data[i], sizeof(data[i]) };
			m[i].msg_hdr.msg_name = &from[i];
			m[i].msg_hdr.msg_namelen = sizeof(from[i]);
		}
		int n = recvmmsg(f->fd, m, BATCH - done, MSG_WAITFORONE, NULL);
		if (n <= 0)
			die("receive a batch");
		for (int i = 0; i < n; i++)
			received(f, m[i].msg_len, m[i].msg_len);
		done += n;
	}
	say_flow(f);
}

// one_client is one socket's life. It returns how many exchanges it made.
static int one_client(int number)
{
	const struct way *w = &ways[number / 8 % WAYS];
	int port = board->udp[w->server], exchanges = 1;
	size_t size = 1 + number * 37 % (MOST - 1);
	struct flow f;

	open_udp(w->client, &f);
	switch (number % 8) {
	case 0:
		connect_udp(&f, w->host, port);
		exchange(&f, size, 0);
		say_flow(&f);
		break;
	case 1:
		if (number % 16 == 1)
			bind_udp(&f, w->host);
		exchange_to(&f, w->host, port, size, DOUBLE, 0);
		break;
	case 2: // many remotes
		exchanges = 3;
		for (int i = 0; i < exchanges; i++)
			exchange_to(&f, w->host, board->udp[i && strcmp(w->host, "::1") ? DUAL : w->server], size, ECHO, 0);
		break;
	case 3:
		exchanges = BATCH;
		batch(&f, w->host, port);
		break;
	case 4:
		exchanges = 3;
		connect_udp(&f, w->host, port);
		for (int i = 0; i < exchanges; i++)
			exchange(&f, size, 1);
		say_flow(&f);
		break;
	case 5: // connected to one and then to another
		exchanges = 2;
		connect_udp(&f, w->host, port);
		exchange(&f, size, 0);
		say_flow(&f);
		connect_udp(&f, w->host, board->udp[DUAL]);
		exchange(&f, size, 1);
		say_flow(&f);
		break;
	case 6: // empty datagrams
		exchange_to(&f, w->host, port, 0, ECHO, 0);
		break;
	case 7:
		exchange_to(&f, w->host, port, size, ECHO, MSG_PEEK);
		break;
	}
	close(f.fd);
	return exchanges;
}

void client_udp(int worker, int count)
{
	for (int number = worker; count > 0; number++)
		count -= one_client(number);
}

// unanswered sends to a port where nobody is.
static void unanswered(int number)
{
	const struct way *w = &ways[number % 2];
	struct flow f, nobody;
	socklen_t n = sizeof(nobody.local);
	char data[10] = "";

	open_udp(w->client, &nobody);
	bind_udp(&nobody, w->host);
	if (getsockname(nobody.fd, (void *)&nobody.local, &n) < 0)
		die("read local address");
	open_udp(w->client, &f);
	/* Before nobody is gone: else this socket may get its port, and talk to itself. */
	connect_udp(&f, w->host, port_of(&nobody.local));
	close(nobody.fd);
	sent(&f, send(f.fd, data, sizeof(data), 0), sizeof(data));
	if (recv(f.fd, data, sizeof(data), 0) >= 0 || errno != ECONNREFUSED)
		die("be refused");
	say_flow(&f);
	close(f.fd);
}

// handed binds a socket that a child then uses first.
static void handed(void)
{
	struct flow f;
	int pid;

	open_udp(AF_INET, &f);
	bind_udp(&f, "127.0.0.1");
	pid = child();
	if (pid == 0) {
		exchange_to(&f, "127.0.0.1", board->udp[V4], 50, ECHO, 0);
		leave();
	}
	await(pid);
	close(f.fd);
}

// blind receives without asking from where.
static void blind(void)
{
	struct flow f;
	char data[30];

	open_udp(AF_INET, &f);
	f.blind = 1;
	memset(data, ECHO, sizeof(data));
	target(&f.remote, "127.0.0.1", board->udp[V4]);
	sent(&f, sendto(f.fd, data, sizeof(data), 0, (void *)&f.remote, length(&f.remote)), sizeof(data));
	received(&f, recv(f.fd, data, sizeof(data), 0), sizeof(data));
	say_flow(&f);
	close(f.fd);
}

// silent connects and sends nothing: no flow.
static void silent(void)
{
	struct flow f;

	open_udp(AF_INET, &f);
	connect_udp(&f, "127.0.0.1", board->udp[V4]);
	close(f.fd);
}

// one_datagram is a process for one exchange: PATH LOG HOST PORT.
void one_datagram(int argc, char **argv)
{
	struct flow f;

	if (argc != 4)
		give_up("datagram wants LOG HOST PORT");
	open_udp(strchr(argv[2], ':') ? AF_INET6 : AF_INET, &f);
	log_process(argc, argv);
	exchange_to(&f, argv[2], atoi(argv[3]), 60, ECHO, 0);
	leave();
}

static void datagrams(const char *dir, int count)
{
	for (int i = 0; i < count; i++) {
		char path[512], log[512], port[16];
		const struct way *w = &ways[i % WAYS];
		int pid = child();

		if (pid > 0) {
			await(pid);
			continue;
		}
		snprintf(path, sizeof(path), "%s/datagram", dir);
		snprintf(log, sizeof(log), "%s/log", dir);
		snprintf(port, sizeof(port), "%d", board->udp[w->server]);
		execl(path, path, log, w->host, port, NULL);
		die(path);
	}
}

void odd_udp(const char *dir, int scale)
{
	for (int i = 0; i < scale / 100 + 2; i++) {
		unanswered(i);
		handed();
		blind();
		silent();
	}
	datagrams(dir, scale / 100 + 6);
}

void quit_udp(void)
{
	for (int family = 0; family < FAMILIES; family++) {
		const struct way *w = &ways[family == V6 ? 1 : family == DUAL ? 3 : 0];
		struct flow f;

		open_udp(w->client, &f);
		exchange_to(&f, w->host, board->udp[family], 1, STOP, 0);
		close(f.fd);
	}
}
