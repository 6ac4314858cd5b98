// SPDX-License-Identifier: Apache-2.0
//
// truthload opens and closes sessions of every kind in the network namespace
// that it is started in, and writes down what it did: a line for each end of
// each TCP connection, each attempt, each listener, and each UDP socket and
// remote. What the kernel was seen to do is judged by these lines.
//
//	truthload DIR TCP UDP
//	truthload DIR hold CONNECTIONS
//
// TCP is the number of connections beside some more that serve a purpose, UDP
// that of exchanges; 0 leaves the kind out. DIR/log is appended to. The folder
// gets further names of the program, by which it executes itself. With hold it
// opens connections, prints "ready", and lets them stand until its input ends.
//
// It is C because a process must be able to fork, and to end without a close,
// at any point, and because what it costs is taken from what it measures.

#include "truthload.h"
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum { CLIENTS = 4, SERVERS = 64 };

struct board *board;

// servers started, to be waited for.
static int server_pids[SERVERS], servers;

// unreachable_route adds a route that says that nobody can be reached.
static void unreachable_route(void)
{
	struct {
		struct nlmsghdr h;
		struct rtmsg r;
		struct rtattr a;
		struct in_addr to;
		char reply[512];
	} m = {
		.h = { .nlmsg_len = sizeof(m) - sizeof(m.reply), .nlmsg_type = RTM_NEWROUTE,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK },
		.r = { .rtm_family = AF_INET, .rtm_dst_len = 24, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
		       .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNREACHABLE },
		.a = { .rta_len = sizeof(struct rtattr) + sizeof(struct in_addr), .rta_type = RTA_DST },
		.to = { .s_addr = htonl(0xc6336400) },
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct nlmsgerr *err = NLMSG_DATA(&m.h);

	if (fd < 0 || send(fd, &m, m.h.nlmsg_len, 0) < 0 || recv(fd, &m, sizeof(m), 0) < 0)
		die("add a route");
	if (m.h.nlmsg_type != NLMSG_ERROR || err->error != 0)
		give_up("the kernel takes no route that is unreachable");
	close(fd);
}

// start_servers starts them all and waits until they stand.
static void start_servers(int tcp, int udp)
{
	int ready[2];
	char c;

	if (pipe(ready) < 0)
		die("make pipe");
	for (int i = 0; tcp > 0 && i < KINDS * FAMILIES; i++) {
		server_pids[servers] = child();
		if (server_pids[servers++] == 0) {
			close(ready[0]);
			serve_tcp(i / FAMILIES, i % FAMILIES, ready[1]);
		}
	}
	for (int family = 0; udp > 0 && family < FAMILIES; family++) {
		server_pids[servers] = child();
		if (server_pids[servers++] == 0) {
			close(ready[0]);
			serve_udp(family, ready[1]);
		}
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 0) // all have closed it
		give_up("a server said more than that it stands");
	close(ready[0]);
	for (int i = 0; i < KINDS * FAMILIES && tcp > 0; i++)
		if (board->tcp[i / FAMILIES][i % FAMILIES] == 0)
			give_up("a server did not come up");
}

// client is one of the processes that do the work.
static void client(int number, const char *dir, int tcp, int udp)
{
	if (number < CLIENTS) {
		client_tcp(number, tcp / CLIENTS + (number < tcp % CLIENTS), number == 1 ? 3 : 1);
		client_udp(number, udp / CLIENTS + (number < udp % CLIENTS));
	} else if (number == CLIENTS) {
		if (tcp > 0) {
			odd(tcp);
			heirs(dir, tcp / 400 + 3);
		}
	} else if (number == CLIENTS + 1) {
		if (tcp > 0)
			one_shots(dir, tcp / 80 + 6);
		if (udp > 0)
			odd_udp(dir, udp);
	} else if (tcp > 0) {
		slow(tcp);
	}
	leave();
}

static void run(const char *dir, int tcp, int udp)
{
	int pids[CLIENTS + 3];

	start_servers(tcp, udp);
	for (int i = 0; i < CLIENTS + 3; i++) {
		pids[i] = child();
		if (pids[i] == 0)
			client(i, dir, tcp, udp);
	}
	for (int i = 0; i < CLIENTS + 3; i++)
		await(pids[i]);
	if (tcp > 0)
		quit_servers();
	if (udp > 0)
		quit_udp();
	for (int i = 0; i < servers; i++)
		await(server_pids[i]);
}

// other_names gives the program the names by which it executes itself.
static void other_names(const char *dir)
{
	static const char *const names[] = { "one-shot", "heir", "datagram" };
	char self_path[512], path[600];
	ssize_t n = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);

	if (n < 0)
		die("read /proc/self/exe");
	self_path[n] = 0;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (link(self_path, path) < 0 && errno != EEXIST)
			die(path);
	}
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	char log[600];

	signal(SIGPIPE, SIG_IGN);
	know_self();
	name = name ? name + 1 : argv[0];
	if (strcmp(name, "truthload") != 0 && argc > 1) {
		log_to(argv[1]);
		if (strcmp(name, "one-shot") == 0)
			one_shot(argc, argv);
		else if (strcmp(name, "heir") == 0)
			heir(argc, argv);
		else if (strcmp(name, "datagram") == 0)
			one_datagram(argc, argv);
	}
	if (argc != 4)
		give_up("want DIR TCP UDP");
	snprintf(log, sizeof(log), "%s/log", argv[1]);
	log_to(log);
	if (strcmp(argv[2], "hold") == 0)
		hold(atoi(argv[3]));
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		die("map memory");
	other_names(argv[1]);
	unreachable_route();
	run(argv[1], atoi(argv[2]), atoi(argv[3]));
	leave();
}
