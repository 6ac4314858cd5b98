// SPDX-License-Identifier: Apache-2.0
//
// What the files of truthload share. main.c says what the program is.

#ifndef TRUTHLOAD_H
#define TRUTHLOAD_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef uint64_t u64;
typedef uint32_t u32;

// self.c: who this process is, and its log.

// A self is a process as everybody outside knows it.
struct self {
	int pid;
	u64 start; // clock ticks since boot
};

extern struct self self;
extern u32 netns; // inode of the network namespace

void know_self(void);		   // after each fork
void log_to(const char *path);	   // shared by all processes, appended to
void log_process(int argc, char **argv);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void flush(void);		   // what this thread has said
_Noreturn void leave(void);	   // flush and end the process
_Noreturn void die(const char *what);
_Noreturn void give_up(const char *what); // without an errno
int child(void);		   // fork, and know oneself in the child
void await(int pid);		   // wants it to end well
u64 now(void);			   // boot clock, ns

// sock.c: sockets, addresses, and the line of an end.

// The kinds of listeners and servers by address.
enum { V4, V6, DUAL, FAMILIES };

// The ways from a client to a server: the family of each.
struct way {
	int client;	   // AF_INET or AF_INET6
	int server;	   // V4, V6 or DUAL
	const char *host;
};

enum { WAYS = 6 };
extern const struct way ways[WAYS];

// An end is one end of a TCP connection, one attempt, or one listener.
struct end {
	const char *kind; // session, fail, listen
	const char *how;  // orderly, reset, timed-out, refused, unreachable, aborted
	const char *by;	  // here, there, nobody, any
	int out;
	int fd;
	u64 cookie;
	struct sockaddr_storage local, remote;
	u64 begin;	   // before the call that opened it; 0: not known
	u64 open;	   // after that call
	u64 end;	   // before the call that closed it, or shut its half
	u64 sent, received;
	int err;
	struct self owner; // who called connect, accept or listen
	struct self then[2]; // who had it later too; pid 0 for none
	int late;	   // closed before it was accepted: nobody has to be named
};

void target(struct sockaddr_storage *a, const char *host, int port);
socklen_t length(const struct sockaddr_storage *a);
int port_of(const struct sockaddr_storage *a);
int family_of(int fd);
u64 cookie_of(int fd);
void text_of(const struct sockaddr_storage *a, char *to, size_t size);
void set(int fd, int level, int name, int value);
void never_hear(int fd); // drops every packet that comes
void hear(int fd);
void linger0(int fd);
int tcp_state(int fd);
void until_state(int fd, int state);
void until_queued(int fd, int bytes);
void until_acknowledged(int fd);
int listener(int family, struct end *e);
int bound_only(int family); // a TCP port where nobody listens
void begin_out(struct end *e, int fd, const struct sockaddr_storage *to);
int connect_out(struct end *e, const struct way *w, const char *host, int port);
int accept_in(struct end *e, int fd);
void addresses(struct end *e);
void say_end(const struct end *e);
void close_end(struct end *e, const char *how, const char *by);

// talk.c: what both ends of a connection do.

// How an exchange ends.
enum how {
	CLIENT_FIRST,
	SERVER_FIRST,
	CLIENT_RESET,
	SERVER_RESET,
	HALF,	    // the client shuts its half and then hears the answer
	HALF_RESET, // and is then reset
	UNREAD,	    // the server closes with data unread
	BOTH,	    // nobody knows who is first
	EXIT,	    // the client ends without a close
	QUIT,	    // CLIENT_FIRST, and the server accepts no more
	HOWS,
};

void ask(struct end *e, enum how how, u32 request, u32 response);
enum how answer(struct end *e);

// server.c

enum { THREADS, PREFORK, URING, FORK, PASS, KINDS };

extern const int acceptors[KINDS];

// A board is what all processes of a namespace know.
struct board {
	unsigned short tcp[KINDS][FAMILIES];
	unsigned short udp[FAMILIES];
};

extern struct board *board;

void serve_tcp(int kind, int family, int ready);

// uring.c

int uring_accept_open(void);
int uring_accept(int ring, int listener);

// client.c

void client_tcp(int worker, int count, int threads);
void one_shot(int argc, char **argv);
void one_shots(const char *dir, int count);
void heirs(const char *dir, int count);
void heir(int argc, char **argv);
void quit_servers(void);

// odd.c: what ends as it should not.

void odd(int scale);
void slow(int scale);

// hold.c

void hold(int count);

// udp.c

void serve_udp(int family, int ready);
void client_udp(int worker, int count);
void odd_udp(const char *dir, int scale);
void one_datagram(int argc, char **argv);
void quit_udp(void);

#endif
