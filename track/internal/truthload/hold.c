// SPDX-License-Identifier: Apache-2.0
//
// Sessions that stand: many connections of a few processes to themselves.

#include "truthload.h"

enum { EACH = 5000 }; // connections of a process: twice as many descriptors

// stand opens connections and says which process has them.
static void stand(int count, int ready)
{
	struct end l;
	int fd = listener(V4, &l);
	struct sockaddr_storage to;

	for (int i = 0; i < count; i++) {
		char host[32];
		int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		snprintf(host, sizeof(host), "127.0.1.%d", 1 + i % 200);
		target(&to, host, port_of(&l.local));
		if (c < 0 || connect(c, (void *)&to, length(&to)) < 0 || accept(fd, NULL, NULL) < 0)
			die("open a connection that stands");
	}
	say("standing pid=%d start=%llu ns=%u listener=%llu ends=%d\n", self.pid, (unsigned long long)self.start, netns,
	    (unsigned long long)l.cookie, 2 * count);
	flush();
	close(ready);
	for (;;)
		pause();
}

// hold lets connections stand until its standard input ends.
void hold(int count)
{
	int ready[2];
	char c;

	if (pipe(ready) < 0)
		die("make pipe");
	for (; count > 0; count -= EACH) {
		if (child() == 0) {
			close(ready[0]);
			stand(count < EACH ? count : EACH, ready[1]);
		}
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 0)
		give_up("a child said more than that it stands");
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		die("say that all stands");
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	leave(); // the children go with it
}
