// SPDX-License-Identifier: Apache-2.0
//
// timed runs one command with its output in a file and prints what it cost:
//
//	timed [-ns PID] [-t SECONDS] -o FILE COMMAND [ARGUMENT...]
//
// prints "WALL_NS USER_US SYSTEM_US PEAK_KIB STATUS". STATUS is the exit
// status, or minus the number of the signal that ended it; the command is
// killed after SECONDS. With -ns it runs in the network namespace of process PID.
//
// It is C because the kernel counts a parent's memory into the peak of the
// child that it starts: this parent has one megabyte, a Go program ten.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t child;

static void die(const char *what)
{
	fprintf(stderr, "timed: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static void kill_child(int signal)
{
	(void)signal;
	if (child > 0)
		kill(-child, SIGKILL);
}

static void enter(const char *pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("enter network namespace");
	close(fd);
}

static void run(const char *output, char **command)
{
	int null = open("/dev/null", O_RDONLY);
	int out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null < 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0)
		die("open output");
	close(null);
	close(out);
	execvp(command[0], command);
	die(command[0]);
}

static long micros(struct timeval t)
{
	return t.tv_sec * 1000000L + t.tv_usec;
}

int main(int argc, char **argv)
{
	const char *ns = NULL, *output = NULL;
	unsigned limit = 0;
	int i = 1;

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (!strcmp(argv[i], "-ns"))
			ns = argv[i + 1];
		else if (!strcmp(argv[i], "-t"))
			limit = strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "-o"))
			output = argv[i + 1];
	}
	if (!output || i >= argc) {
		fprintf(stderr, "usage: timed [-ns PID] [-t SECONDS] -o FILE COMMAND [ARGUMENT...]\n");
		return 2;
	}
	if (ns)
		enter(ns);
	signal(SIGALRM, kill_child);
	signal(SIGTERM, kill_child);
	signal(SIGINT, kill_child);

	struct timespec from, to;
	struct rusage used;
	int status;

	clock_gettime(CLOCK_MONOTONIC, &from);
	child = fork();
	if (child < 0)
		die("fork");
	if (!child)
		run(output, argv + i);
	alarm(limit);
	while (wait4(child, &status, 0, &used) < 0)
		if (errno != EINTR)
			die("wait");
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%lld %ld %ld %ld %d\n",
	       (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec,
	       micros(used.ru_utime), micros(used.ru_stime), used.ru_maxrss,
	       WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	return 0;
}
