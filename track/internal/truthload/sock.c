// SPDX-License-Identifier: Apache-2.0
//
// Sockets, addresses, and the line of an end.

#include "truthload.h"
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

const struct way ways[WAYS] = {
	{ AF_INET, V4, "127.0.0.1" },
	{ AF_INET6, V6, "::1" },
	{ AF_INET6, V4, "::ffff:127.0.0.1" },
	{ AF_INET, DUAL, "127.0.0.1" },
	{ AF_INET6, DUAL, "::1" },
	{ AF_INET6, DUAL, "::ffff:127.0.0.1" },
};

void target(struct sockaddr_storage *a, const char *host, int port)
{
	struct sockaddr_in *v4 = (void *)a;
	struct sockaddr_in6 *v6 = (void *)a;

	memset(a, 0, sizeof(*a));
	if (strchr(host, ':')) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
			give_up("an IPv6 address is none");
		return;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
		give_up("an IPv4 address is none");
}

socklen_t length(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

int port_of(const struct sockaddr_storage *a)
{
	return ntohs(((const struct sockaddr_in *)a)->sin_port); // the same place in both families
}

int family_of(int fd)
{
	int family;
	socklen_t n = sizeof(family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) < 0)
		die("read family of socket");
	return family;
}

u64 cookie_of(int fd)
{
	u64 cookie;
	socklen_t n = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0)
		die("read cookie of socket");
	return cookie;
}

// text_of writes address and port, IPv4-mapped as IPv4, parted by a slash.
void text_of(const struct sockaddr_storage *a, char *to, size_t size)
{
	const struct sockaddr_in6 *v6 = (const void *)a;
	char host[INET6_ADDRSTRLEN];
	const void *address = &((const struct sockaddr_in *)a)->sin_addr;
	int family = AF_INET;

	if (a->ss_family == AF_INET6) {
		family = AF_INET6;
		address = &v6->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			family = AF_INET;
			address = &v6->sin6_addr.s6_addr[12];
		}
	} else if (a->ss_family != AF_INET) {
		snprintf(to, size, "0.0.0.0/0"); // not known
		return;
	}
	if (!inet_ntop(family, address, host, sizeof(host)))
		die("write address");
	snprintf(to, size, "%s/%d", host, port_of(a));
}

void set(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("set option of socket");
}

void never_hear(int fd)
{
	struct sock_filter drop = { .code = BPF_RET | BPF_K, .k = 0 };
	struct sock_fprog program = { .len = 1, .filter = &drop };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		die("attach filter");
}

void hear(int fd)
{
	set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

void linger0(int fd)
{
	struct linger l = { .l_onoff = 1 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) < 0)
		die("set linger");
}

int tcp_state(int fd)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
		die("read tcp_info");
	return info.tcpi_state;
}

void until_state(int fd, int state)
{
	while (tcp_state(fd) != state)
		usleep(50);
}

void until_queued(int fd, int bytes)
{
	int n = 0;

	while (ioctl(fd, SIOCINQ, &n) == 0 && n < bytes)
		usleep(50);
	if (n != bytes)
		give_up("the receive queue holds more than was sent");
}

void until_acknowledged(int fd)
{
	int n = 1;

	while (ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0)
		usleep(50);
	if (n != 0)
		die("read send queue");
}

// bound binds a TCP socket to a free port of any address of the family.
static int bound(int family)
{
	struct sockaddr_storage a;
	int fd = socket(family == V4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("open socket");
	if (family != V4)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, family == V6);
	target(&a, family == V4 ? "0.0.0.0" : "::", 0);
	if (bind(fd, (void *)&a, length(&a)) < 0)
		die("bind");
	return fd;
}

int bound_only(int family)
{
	return bound(family);
}

int listener(int family, struct end *e)
{
	int fd = bound(family);

	memset(e, 0, sizeof(*e));
	e->kind = "listen";
	e->how = e->by = "-";
	e->owner = self;
	e->fd = fd;
	e->cookie = cookie_of(fd);
	e->begin = now();
	if (listen(fd, 4096) < 0)
		die("listen");
	e->open = now();
	addresses(e);
	return fd;
}

void addresses(struct end *e)
{
	socklen_t n = sizeof(e->local), m = sizeof(e->remote);

	if (getsockname(e->fd, (void *)&e->local, &n) < 0)
		die("read local address");
	if (getpeername(e->fd, (void *)&e->remote, &m) < 0 && errno != ENOTCONN)
		die("read remote address");
}

// begin_out fills in what is known before connect is called.
void begin_out(struct end *e, int fd, const struct sockaddr_storage *to)
{
	memset(e, 0, sizeof(*e));
	e->kind = "session";
	e->how = e->by = "-";
	e->out = 1;
	e->fd = fd;
	e->cookie = cookie_of(fd);
	e->remote = *to;
	e->owner = self;
	e->begin = now();
}

// connect_out opens a connection, and fails if that does not come about.
int connect_out(struct end *e, const struct way *w, const char *host, int port)
{
	struct sockaddr_storage a;
	int fd = socket(w->client, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("open socket");
	target(&a, host, port);
	begin_out(e, fd, &a);
	if (connect(fd, (void *)&a, length(&a)) < 0)
		die("connect");
	e->open = now();
	addresses(e);
	return fd;
}

// accept_in fills in what is known of a connection that was just accepted.
int accept_in(struct end *e, int fd)
{
	memset(e, 0, sizeof(*e));
	e->kind = "session";
	e->how = e->by = "-";
	e->fd = fd;
	e->open = now();
	e->cookie = cookie_of(fd);
	e->owner = self;
	addresses(e);
	return fd;
}

void say_end(const struct end *e)
{
	char local[64], remote[64], then[96] = "-";

	text_of(&e->local, local, sizeof(local));
	text_of(&e->remote, remote, sizeof(remote));
	if (e->then[1].pid)
		snprintf(then, sizeof(then), "%d:%llu,%d:%llu", e->then[0].pid, (unsigned long long)e->then[0].start,
			 e->then[1].pid, (unsigned long long)e->then[1].start);
	else if (e->then[0].pid)
		snprintf(then, sizeof(then), "%d:%llu", e->then[0].pid, (unsigned long long)e->then[0].start);
	say("tcp kind=%s cookie=%llu ns=%u pid=%d start=%llu then=%s dir=%s fam=%d local=%s remote=%s "
	    "begin=%llu open=%llu end=%llu sent=%llu recv=%llu how=%s by=%s errno=%d late=%d\n",
	    e->kind, (unsigned long long)e->cookie, netns, e->owner.pid, (unsigned long long)e->owner.start, then,
	    strcmp(e->kind, "listen") == 0 ? "-" : e->out ? "out" : "in",
	    (e->fd >= 0 ? family_of(e->fd) : e->local.ss_family) == AF_INET ? 4 : 6, local, remote,
	    (unsigned long long)e->begin, (unsigned long long)e->open, (unsigned long long)e->end,
	    (unsigned long long)e->sent, (unsigned long long)e->received, e->how, e->by, e->err, e->late);
}

// close_end says all of an end that is not said yet, and closes it.
void close_end(struct end *e, const char *how, const char *by)
{
	e->how = how;
	e->by = by;
	if (e->end == 0) // or it was shut before
		e->end = now();
	say_end(e);
	if (close(e->fd) < 0)
		die("close");
}
