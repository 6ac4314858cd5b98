// SPDX-License-Identifier: Apache-2.0
//
// Who this process is, and its log: whole lines, appended to one file by all
// processes of the namespace.

#include "truthload.h"
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { BUFFER = 1 << 16, LINE = 2048 };

struct self self;
u32 netns;

static int log_fd = -1;
static __thread char buffer[BUFFER];
static __thread size_t filled;

_Noreturn void give_up(const char *what)
{
	fprintf(stderr, "truthload: process %d: %s\n", self.pid, what);
	_exit(1);
}

_Noreturn void die(const char *what)
{
	fprintf(stderr, "truthload: process %d: %s: %s\n", self.pid, what, strerror(errno));
	_exit(1);
}

// know_self reads the number by which procfs knows the process, which is that
// of the mount's pid namespace, and when it started.
void know_self(void)
{
	char text[1024], *at;
	struct stat st;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		die("read /proc/self/stat");
	close(fd);
	text[n] = 0;
	self.pid = atoi(text);
	at = strrchr(text, ')'); // the name may hold anything
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		give_up("/proc/self/stat has no field 22");
	self.start = strtoull(at + 1, NULL, 10);
	if (stat("/proc/self/ns/net", &st) < 0)
		die("stat /proc/self/ns/net");
	netns = st.st_ino;
}

void log_to(const char *path)
{
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd < 0)
		die(path);
}

void flush(void)
{
	if (filled > 0 && write(log_fd, buffer, filled) != (ssize_t)filled)
		die("write log");
	filled = 0;
}

void say(const char *format, ...)
{
	va_list args;
	int n;

	if (filled > BUFFER - LINE)
		flush();
	va_start(args, format);
	n = vsnprintf(buffer + filled, LINE, format, args);
	va_end(args);
	if (n < 0 || n >= LINE)
		give_up("a line of the log is too long");
	filled += n;
}

void log_process(int argc, char **argv)
{
	char exe[512], name[32], line[1024];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	size_t used = 0;

	if (n < 0 || prctl(PR_GET_NAME, name) < 0)
		die("read what the process is called");
	exe[n] = 0;
	for (int i = 0; i < argc; i++)
		used += snprintf(line + used, sizeof(line) - used, "%s%s", i ? " " : "", argv[i]);
	say("proc pid=%d start=%llu comm=%s exe=%s cmdline=%s\n", self.pid, (unsigned long long)self.start, name, exe, line);
}

_Noreturn void leave(void)
{
	flush();
	_exit(0);
}

int child(void)
{
	int pid;

	flush(); // or the child would say it again
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			die("ask to end with the parent");
		know_self();
	}
	return pid;
}

void await(int pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("wait for a child");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "truthload: child %d ended with status %x\n", pid, status);
		_exit(1);
	}
}

u64 now(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_BOOTTIME, &t) < 0)
		die("read clock");
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}
