// SPDX-License-Identifier: Apache-2.0
//
// load builds a standing load of sockets, descriptors and processes of a known
// shape, prints one line that begins with "ready", and holds it until its
// standard input ends or it gets SIGTERM or SIGINT. It leaves nothing behind:
// the sockets live in network namespaces of its own, and its children die with
// it whatever way it goes.
//
//	load -sockets N -procs P [-listeners L] [-udp U] [-otherfds K]
//	     [-otherprocs Q] [-netns M] [-churn R]
//
//	-sockets N     ends of established loopback TCP connections, both counted
//	-procs P       processes that share them, each the same number
//	-listeners L   how many of those processes keep their listener open
//	-udp U         bound UDP sockets, spread over the same processes
//	-otherfds K    descriptors of each process that are no TCP or UDP socket
//	-otherprocs Q  further processes that have only those
//	-netns M       network namespaces to spread the processes over; 0 stays in
//	               the caller's
//	-churn R       connections a second that one more process opens and closes
//
// The ready line is "ready netns PID... procs PID...": one process in each
// namespace, by which a tool is run inside it, and the first processes.
//
// It is C because a process has to be as cheap as one can be: 5,000 of them
// stand in a second and share nearly all their memory.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	LISTEN_FD = 3, // a child's own listener
	READY_FD = 4,  // where a child says that it stands
	BACKLOG = 65535,
	FIRST_PORT = 8000,
	PORTS = 16,
	SHOWN_PIDS = 8,
};

struct shape {
	long sockets, procs, listeners, udp, otherfds, otherprocs, netns, churn;
};

static struct shape want = {.listeners = 12, .netns = 1};
static pid_t *children;
static long nchildren;

static void stop_children(void)
{
	for (long i = 0; i < nchildren; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

// die says what went wrong. A child's parent learns of it by the ready pipe,
// which then closes without a byte from this child.
static void die(const char *format, ...)
{
	int err = errno;
	va_list args;

	va_start(args, format);
	fprintf(stderr, "load: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s\n", strerror(err));
	va_end(args);
	if (children)
		stop_children();
	_exit(1);
}

// parse reads the flags; all of them take a number.
static void parse(int argc, char **argv)
{
	struct { const char *name; long *value; } flags[] = {
		{"-sockets", &want.sockets}, {"-procs", &want.procs},
		{"-listeners", &want.listeners}, {"-udp", &want.udp},
		{"-otherfds", &want.otherfds}, {"-otherprocs", &want.otherprocs},
		{"-netns", &want.netns}, {"-churn", &want.churn},
	};
	size_t count = sizeof flags / sizeof *flags;

	for (int i = 1; i < argc; i += 2) {
		size_t f = 0;
		char *end = NULL;

		while (f < count && strcmp(argv[i], flags[f].name))
			f++;
		if (f < count && i + 1 < argc)
			*flags[f].value = strtol(argv[i + 1], &end, 10);
		if (!end || *end || end == argv[i + 1] || *flags[f].value < 0) {
			fprintf(stderr, "load: bad flag %s: want a known name and a number\n", argv[i]);
			_exit(2);
		}
	}
	if (want.sockets % 2 || (want.sockets + want.udp && want.procs < 1)) {
		fprintf(stderr, "load: -sockets must be even, and needs -procs\n");
		_exit(2);
	}
}

// set_sysctl writes a setting of the current network namespace. It matters
// only to the largest loads, so a read-only /proc/sys is no failure.
static void set_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		fprintf(stderr, "load: set %s: %s\n", path, strerror(errno));
	close(fd);
}

static void enter_new_namespace(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;

	if (unshare(CLONE_NEWNET))
		die("make network namespace");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		die("bring lo up");
	close(fd);
	set_sysctl("/proc/sys/net/core/somaxconn", "65535");
	set_sysctl("/proc/sys/net/ipv4/tcp_max_syn_backlog", "65535");
	set_sysctl("/proc/sys/net/ipv4/ip_local_port_range", "10000 65535");
}

// Every process listens on an address of its own, so that each has all the
// ephemeral ports for its connections.
static struct sockaddr_in address_of(long i)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons(FIRST_PORT + i % PORTS),
		.sin_addr.s_addr = htonl(0x7f010001 + (uint32_t)i),
	};
	return a;
}

static int open_listener(long i)
{
	struct sockaddr_in a = address_of(i);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		die("open listener %ld", i);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, BACKLOG))
		die("listen for process %ld", i);
	return fd;
}

// no_time_wait makes close send a reset, so that nothing stays when the load goes.
static void no_time_wait(int fd)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static int connect_to(long i)
{
	struct sockaddr_in a = address_of(i);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		die("open socket to process %ld", i);
	no_time_wait(fd);
	if (connect(fd, (struct sockaddr *)&a, sizeof a))
		die("connect to process %ld", i);
	return fd;
}

// share says how many of total fall to part i of n; the first ones take what is left over.
static long share(long total, long i, long n)
{
	return total / n + (i < total % n);
}

// neighbour is the process that process i connects to: the next in the same namespace.
static long neighbour(long i)
{
	long step = want.netns ? want.netns : 1;

	return i + step < want.procs ? i + step : i % step;
}

// open_sockets makes this process's part. The connections to it are those of
// the process whose neighbour it is; the backlog holds them until they are taken.
static void open_sockets(long i)
{
	long step = want.netns ? want.netns : 1;
	long before = i - step >= 0 ? i - step : i + (want.procs - 1 - i) / step * step;
	long connections = want.sockets / 2;

	for (long n = share(connections, i, want.procs); n > 0; n--)
		connect_to(neighbour(i));
	for (long n = share(connections, before, want.procs); n > 0; n--) {
		int fd = accept(LISTEN_FD, NULL, NULL);

		if (fd < 0)
			die("accept in process %ld", i);
		no_time_wait(fd);
	}
	for (long n = share(want.udp, i, want.procs); n > 0; n--) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a))
			die("open udp socket in process %ld", i);
	}
	if (i >= want.listeners)
		close(LISTEN_FD);
}

// open_others opens what else a process has: of ten descriptors four are
// files, two the ends of a pipe, two of a UNIX socket pair, one an eventfd and
// one a device.
static void open_others(void)
{
	static const char kinds[] = "fpfuefdf";
	long left = want.otherfds;

	for (int n = 0; left > 0; n = (n + 1) % (sizeof kinds - 1)) {
		char kind = left < 2 ? 'f' : kinds[n];
		int pair[2], ok, pairs = kind == 'p' || kind == 'u';

		switch (kind) {
		case 'p': ok = !pipe(pair); break;
		case 'u': ok = !socketpair(AF_UNIX, SOCK_STREAM, 0, pair); break;
		case 'e': ok = eventfd(0, 0) >= 0; break;
		case 'd': ok = open("/dev/null", O_RDWR) >= 0; break;
		default: ok = open("/proc/self/exe", O_RDONLY) >= 0; break;
		}
		if (!ok)
			die("open descriptor");
		left -= 1 + pairs;
	}
}

// churn opens and closes connections for ever, in bursts of a millisecond.
static void churn(void)
{
	struct timespec next;
	long owed = 0;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		for (owed += want.churn; owed >= 1000; owed -= 1000) {
			int out = connect_to(want.procs), in = accept(LISTEN_FD, NULL, NULL);

			if (in < 0)
				die("accept");
			no_time_wait(in);
			close(out);
			close(in);
		}
		next.tv_nsec += 1000000;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}

// become makes a fresh child what it is to be: dead when its parent dies, named,
// and without any descriptor of the parent but its listener and the ready pipe.
static void become(const char *kind, long i, int listener, pid_t parent)
{
	char name[16];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	snprintf(name, sizeof name, "%s%04ld", kind, i);
	prctl(PR_SET_NAME, name);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(LISTEN_FD, STDIN_FILENO);
	dup2(LISTEN_FD, STDOUT_FILENO);
	if (listener >= 0)
		dup2(listener, LISTEN_FD);
	if (syscall(SYS_close_range, READY_FD + 1, ~0U, 0))
		die("close the parent's descriptors");
	children = NULL;
}

static void say_ready(void)
{
	if (write(READY_FD, "r", 1) != 1)
		die("say that process %d stands", getpid());
	close(READY_FD);
}

// start forks a child of a kind and keeps its pid.
static void start(char kind, long i, int listener)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0) {
		children[nchildren++] = pid;
		return;
	}
	if (kind == 'c') {
		become("churn", i, listener, parent);
		say_ready();
		churn();
	}
	become(kind == 's' ? "app" : "idle", i, listener, parent);
	if (kind == 's')
		open_sockets(i);
	else
		close(LISTEN_FD);
	open_others();
	say_ready();
	for (;;)
		pause();
}

// build_namespace makes namespace j with its processes. All its listeners
// stand before its first process, which may connect to any of them.
static void build_namespace(long j, long step)
{
	int *listeners = calloc(want.procs / step + 2, sizeof *listeners);
	long n = 0;

	if (!listeners)
		die("allocate");
	if (want.netns)
		enter_new_namespace();
	for (long i = j; i < want.procs; i += step)
		listeners[n++] = open_listener(i);
	if (want.churn && j == 0)
		listeners[n++] = open_listener(want.procs);
	n = 0;
	for (long i = j; i < want.procs; i += step) {
		start('s', i, listeners[n]);
		close(listeners[n++]);
	}
	for (long i = j; i < want.otherprocs; i += step)
		start('o', i, -1);
	if (want.churn && j == 0) {
		start('c', 0, listeners[n]);
		close(listeners[n]);
	}
	free(listeners);
}

// reserve takes descriptor 3 for /dev/null and 4 for the ready pipe's writing
// end, and returns the reading end.
static int reserve(void)
{
	struct rlimit files;
	int ready[2], null = open("/dev/null", O_RDWR);

	if (null < 0 || pipe(ready))
		die("open the ready pipe");
	int reading = fcntl(ready[0], F_DUPFD_CLOEXEC, READY_FD + 1);
	int writing = fcntl(ready[1], F_DUPFD_CLOEXEC, READY_FD + 1);
	int source = fcntl(null, F_DUPFD_CLOEXEC, READY_FD + 1);

	if (reading < 0 || writing < 0 || source < 0)
		die("move the ready pipe");
	dup2(source, LISTEN_FD);
	dup2(writing, READY_FD);
	close(source);
	close(writing);
	if (ready[1] > READY_FD)
		close(ready[1]);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	return reading;
}

// hold waits until all children stand, says so, and waits for the end. A child
// that ends before is a failure.
static void hold(int reading, int signals, const pid_t *first, long namespaces)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = signals, .events = POLLIN},
			       {.fd = reading, .events = POLLIN}};
	long standing = 0;
	char buffer[4096];

	for (;;) {
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[2].revents) {
			ssize_t got = read(reading, buffer, sizeof buffer);

			if (got <= 0)
				die("wait for the processes");
			standing += got;
			if (standing == nchildren) {
				fds[2].fd = -1;
				printf("ready netns");
				for (long j = 0; j < namespaces; j++)
					printf(" %d", first[j]);
				printf(" procs");
				for (long i = 0; i < nchildren && i < SHOWN_PIDS; i++)
					printf(" %d", children[i]);
				printf("\n");
				fflush(stdout);
			}
		}
		if (fds[0].revents && read(STDIN_FILENO, buffer, sizeof buffer) <= 0)
			return;
		if (fds[1].revents) {
			struct signalfd_siginfo info;

			if (read(signals, &info, sizeof info) != sizeof info)
				die("read signal");
			if (info.ssi_signo != SIGCHLD)
				return;
			fprintf(stderr, "load: process %d ended early\n", info.ssi_pid);
			stop_children();
			_exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	sigset_t caught;

	parse(argc, argv);
	int reading = reserve();
	long step = want.netns ? want.netns : 1;
	pid_t *first = calloc(step, sizeof *first);

	sigemptyset(&caught);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGCHLD);
	sigprocmask(SIG_BLOCK, &caught, NULL);
	signal(SIGPIPE, SIG_IGN);
	int signals = signalfd(-1, &caught, SFD_CLOEXEC);

	children = calloc(want.procs + want.otherprocs + 1, sizeof *children);
	if (!children || !first || signals < 0)
		die("allocate");
	for (long j = 0; j < step; j++) {
		long before = nchildren;

		build_namespace(j, step);
		if (nchildren == before) {
			fprintf(stderr, "load: fewer processes than namespaces\n");
			stop_children();
			return 2;
		}
		first[j] = children[before];
	}
	close(READY_FD);
	hold(reading, signals, first, step);
	stop_children();
	return 0;
}
