// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The same pass over descriptors as task_file, by reading the tables of the
 * processes themselves: no reference is taken on any file, and of one that is
 * no socket no more is touched than where its operations stand.
 *
 * Nothing here holds what it reads, so a socket counts only if, after it was
 * read, the process still has that table, the table that file, the file that
 * socket and the socket that sock. The program runs in one read-side section
 * of RCU: a struct socket met in it is not freed, so that it is not another
 * one, before the program ends. What fails the test twice is left out; if it
 * is still there the walk of the socket tables finds that it was not met.
 *
 * What a process has must fit the kernel's buffer, so a run shows so many sockets
 * of each table, among so many descriptors, and says where a table goes on.
 *
 * Where sockets are looked for once more, the pointers in the tables are
 * compared with those to their files, and no other file is touched. A socket
 * has one file for as long as it has one at all, and what is met is proven like
 * any other.
 */
#include "find.h"
#include "flow.h"
#include "key.h"
#include "look.h"
#include "origin.h"
#include "task.h"
#include "timer.h"

/* The kernel gives GPL-only helpers to a known few names of licences only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Sockets of a table in a run. As many, with a device each and the figures of
 * TCP, fit 32 KiB.
 */
#define MOST	 160
#define MOST_TCP 128

/* Descriptors of a table in a run. Nobody else runs on the processor meanwhile. */
#define RANGE 4096

/*
 * A step for the next few descriptors, two at most for each that may be a socket:
 * one that is not asked for, as of UNIX, takes its step too.
 */
#define STEPS (RANGE / AT_ONCE + 2 * RANGE + 1)

/*
 * Descriptors that are looked at together. What a socket is made of lies in
 * memory that no cache has; the reads of one wait for each other, those of
 * several do not.
 */
#define AT_ONCE 8

/* Set before loading: a descriptor of this process that is a socket. */
const volatile s32 socket_fd = -1;
/* Set before loading: loads may pass each other on this kind of processor. */
const volatile bool weak_order = false;

/* Where the operations of sockets stand, found by find_socket_ops. */
volatile u64 socket_ops;

/* What goes into the records of a process, and what is asked for. */
struct owner {
	u32 pid;
	u32 thread; /* FLAG_THREAD or nought */
	u64 start, comm[2];
	struct question q;
};

/* What the functions that look have to know. */
struct fds {
	u64 task, files, table, slots; /* addresses */
	u32 visit;		       /* the number of the task in this run */
	u32 fd, end;		       /* the next descriptor, and that after the last */
	u32 met; /* a file was met */
	u32 fence;
	u32 first, todo; /* of the next few, a bit for each socket */
	u32 again;	 /* the socket changed while it was read */
	u32 emitted, most;
	u32 start, room; /* of the range, and of the table */
	u64 sk;		 /* the socket that was looked at */
	u64 wanted;	 /* the summary of what is looked for */
	struct brief b;	 /* what conditions on the ends have in common */
	struct owner o;
};

struct walk {
	void *seq;
	u32 failed;
	struct fds f;
};

static always_inline u64 slot_of(const struct fds *w, u32 fd)
{
	return peek((const void *)(w->slots + (u64)fd * 8));
}

/* Does the process have the socket at this descriptor. */
static always_inline bool still_has(struct fds *w, u32 fd, u64 file, u64 socket, u64 sk)
{
	if (weak_order)
		__sync_fetch_and_add(&w->fence, 1);
	return PEEK(struct task_struct, w->task, files) == w->files &&
	       PEEK(struct files_struct, w->files, fdt) == w->table && slot_of(w, fd) == file &&
	       PEEK(struct file, file, private_data) == socket &&
	       PEEK(struct socket, socket, sk) == sk;
}

static always_inline bool has_conditions(struct socket_record *r, const struct sock *sk,
					 const struct question *q)
{
	const struct net *net = NULL;
	struct front f = {};
	u16 type = 0, protocol = 0, family;

	read_front(&f, sk);
	family = FRONT(&f, u16, skc_family);
	if (family != AF_INET && family != AF_INET6)
		return false;
	r->family = hide(family == AF_INET ? FAMILY_V4 : FAMILY_V6);
	probe(&type, &sk->sk_type);
	probe(&protocol, &sk->sk_protocol);
	r->proto = hide(proto_by(type, protocol));
	if (!r->proto)
		return false;
	r->state = hide(state_of(r->proto, FRONT(&f, u8, skc_state)));
	if (!asks_kind(q, r->proto, r->family, r->state))
		return false;
	put_ends(r, &f, &sk->__sk_common);
	if (is_idle(r->state, r->lport) || !asks_ends(q->number, r))
		return false;
	probe(&net, &sk->__sk_common.skc_net.net);
	probe(&r->netns, &net->ns.inum);
	return asks_netns(q->number, r->netns);
}

/*
 * Reads the socket of the descriptor. A function of its own to the verifier,
 * so that it looks at it once. Returns 0 for none that is asked for.
 */
noinline int view_fd(const struct owner *o, struct socket_record *r, u64 address)
{
	const struct sock *sk = (const void *)address;
	u32 bit = 0;

	if (!o || !r)
		return 0;
	*r = (struct socket_record){.tag = TAG(RECORD_SOCKET)};
	if (!has_conditions(r, sk, &o->q))
		return 0;
	probe(&r->cookie, (u64 *)&sk->__sk_common.skc_cookie.counter);
	probe_bit(&bit, &sk->__sk_common, skc_ipv6only);
	r->flags = FLAG_FILE | o->thread | (bit && r->family == FAMILY_V6 ? FLAG_V6ONLY : 0);
	probe(&r->uid, &sk->sk_uid.val);
	probe(&r->mark, &sk->sk_mark);
	probe(&r->device, (u32 *)&sk->__sk_common.skc_bound_dev_if);
	put_queues(r, address);
	put_origin(r, address);
	r->pid = o->pid;
	r->start = o->start;
	*(u64 *)&r->comm[0] = o->comm[0];
	*(u64 *)&r->comm[8] = o->comm[1];
	return 1;
}

static always_inline u64 inode_behind(u64 file, u64 sk)
{
	unsigned long inode = 0;
	const struct sock *s = (const void *)sk;

	if (field_exists(s->sk_ino))
		probe(&inode, &s->sk_ino);
	else
		probe(&inode, &((const struct inode *)PEEK(struct file, file, f_inode))->i_ino);
	return inode;
}

/* Descriptors of the table, of which the kernel makes room for multiples of 64. */
static always_inline u32 room_of(u64 table)
{
	u32 room = 0;

	probe(&room, &((const struct fdtable *)table)->max_fds);
	return room & -AT_ONCE;
}

enum outcome { NEXT, AGAIN, EMIT };

/* Looks at the file of a descriptor and puts its record into r. */
noinline int look_fd(struct fds *w, struct socket_record *r, u32 fd)
{
	u64 file, socket, sk, inode;

	if (!w || !r)
		return NEXT;
	file = slot_of(w, fd);
	if (has(w->o.q.number, HAS_BITS) && !wanted_bit(w->o.q.number, file_key(file)))
		return NEXT;
	if (!file || PEEK(struct file, file, f_op) != socket_ops)
		return NEXT;
	socket = PEEK(struct file, file, private_data);
	sk = socket ? PEEK(struct socket, socket, sk) : 0;
	if (!sk)
		return NEXT;
	inode = inode_behind(file, sk);
	if (!view_fd(&w->o, r, sk))
		return NEXT;
	if (!still_has(w, fd, file, socket, sk)) {
		w->table = PEEK(struct files_struct, w->files, fdt);
		w->slots = PEEK(struct fdtable, w->table, fd);
		return fd < room_of(w->table) ? AGAIN : NEXT;
	}
	r->inode = inode;
	r->fd = fd;
	r->key = file_key(file);
	w->sk = sk;
	return EMIT;
}

static noinline int write_fd(struct walk *w, struct socket_record *r)
{
	struct tcp_record tcp;
	const struct net *net;

	if (unlikely(r->device)) {
		net = (const void *)PEEK(struct sock, w->f.sk, __sk_common.skc_net.net);
		if (net && put_device(w->seq, net, r->netns, r->device))
			return 1;
	}
	if (bpf_seq_write(w->seq, r, sizeof(*r)))
		return 1;
	if (!(w->f.o.q.flags & ASK_TCPINFO) || r->proto != PROTO_TCP)
		return 0;
	put_tcp(&tcp, w->f.sk);
	put_timer(&tcp, w->f.sk);
	return bpf_seq_write(w->seq, &tcp, sizeof(tcp)) ? 1 : 0;
}

/* Reads of the socket what is read later, so that it is there then. */
static always_inline void warm(u64 address)
{
	const struct tcp_sock *t = (const void *)address;
	const struct sock *sk = (const void *)address;

	peek(sk);
	peek(&sk->__sk_common.skc_cookie);
	peek(&sk->sk_uid);
	peek(&sk->sk_userlocks);
	if (field_exists(sk->sk_ino))
		peek(&sk->sk_ino);
	peek(&t->rcv_nxt);
	peek(&t->copied_seq);
	peek(&t->write_seq);
}

/* 1 for nought, else 0, with no branch for the verifier to follow. */
static always_inline u64 is_nought(u64 n)
{
	u64 minus = -n;

	barrier_var(minus);
	n |= minus;
	barrier_var(n);
	n >>= 63;
	barrier_var(n);
	return n ^ 1;
}

/* The address or, for none, another that can be read. */
static always_inline u64 or_else(u64 address, u64 other)
{
	u64 mask = -is_nought(address);

	barrier_var(mask);
	return address | (other & mask);
}

/* Keeps of the files that stand there those that may be looked for. */
static always_inline u32 wanted_of(u64 *at, u64 summary)
{
	u32 todo = 0;

#pragma clang loop unroll(full)
	for (u32 i = 0; i < AT_ONCE; i++) {
		u64 wanted = in_summary(summary, file_key(at[i]));

		barrier_var(wanted);
		todo |= (u32)(wanted & (is_nought(at[i]) ^ 1)) << i;
	}
	return todo;
}

/* Are few sockets asked for, so that it pays to look at the front of each first. */
static always_inline bool is_narrow(const struct fds *w)
{
	return has(w->o.q.number, HAS_ENDS) || !(w->o.q.states >> TCP_ESTABLISHED & 1);
}

/* Is it of MPTCP. Its struct proto is in the caches, where the socket is not. */
static always_inline bool is_of_mptcp(u64 address)
{
	const struct proto *proto = (const void *)PEEK(struct sock_common, address, skc_prot);
	u32 name = 0;

	probe(&name, (const u32 *)proto->name);
	return name == ('M' | 'P' << 8 | 'T' << 16 | 'C' << 24);
}

/* Looks at no more than the front. */
noinline int may_be_asked(const struct fds *w, u64 address)
{
	const struct sock_common *c = (const void *)address;
	u32 states, local = 0, remote = 0;
	u16 lport = 0, rport = 0, family = 0;
	u8 state = 0;

	if (!w)
		return 1;
	states = w->o.q.states;
	probe(&state, (const u8 *)&c->skc_state);
	if (!(states >> (state & 31) & 1) &&
	    !(state == TCP_CLOSE && states >> STATE_UNCONN & 1))
		return 0;
	if (!has(w->o.q.number, HAS_ENDS))
		return 1;
	probe(&lport, &c->skc_num);
	probe(&rport, (const u16 *)&c->skc_dport);
	if (w->b.mask) {
		probe(&family, &c->skc_family);
		probe(&local, family == AF_INET ? (const u32 *)&c->skc_rcv_saddr
						: (const u32 *)&c->skc_v6_rcv_saddr.in6_u.u6_addr8[12]);
		probe(&remote, family == AF_INET ? (const u32 *)&c->skc_daddr
						 : (const u32 *)&c->skc_v6_daddr.in6_u.u6_addr8[12]);
	}
	if (meets_brief(&w->b, lport, __builtin_bswap16(rport), local, remote))
		return 1;
	return is_of_mptcp(address);
}

/* A bit for each of these sockets that may be asked for. */
static always_inline u32 kept_of(const struct fds *w, u64 *at)
{
	u32 kept = 0;

#pragma clang loop unroll(full)
	for (u32 i = 0; i < AT_ONCE; i++) {
		at[i] = or_else(at[i], w->files);
		peek((const void *)at[i]); /* together, as in warm */
	}
#pragma clang loop unroll(full)
	for (u32 i = 0; i < AT_ONCE; i++) {
		u32 keeps = may_be_asked(w, at[i]);

		barrier_var(keeps);
		kept |= (keeps & 1) << i;
	}
	return kept;
}

/*
 * Finds out which of the next descriptors are sockets. A range begins at a
 * multiple of as many and ends with the table or at another, so all of these are
 * in the table.
 */
noinline int next_few(struct fds *w)
{
	u64 ops = socket_ops, at[AT_ONCE];
	u32 todo = 0, first;

	if (!w)
		return 1;
	first = w->fd;
	if (first >= w->end)
		return 1;
#pragma clang loop unroll(full)
	for (u32 i = 0; i < AT_ONCE; i++) {
		at[i] = slot_of(w, first + i);
		todo |= (u32)(is_nought(at[i]) ^ 1) << i;
	}
	w->first = hide(first);
	w->fd = hide(first + AT_ONCE);
	todo = hide(todo);
	w->met = hide(w->met | todo);
	if (!todo)
		return 0;
	if (has(w->o.q.number, HAS_BITS)) {
		w->todo = wanted_of(at, w->wanted);
		return 0;
	}
	todo = 0;
#pragma clang loop unroll(full)
	for (u32 i = 0; i < AT_ONCE; i++) {
		u64 file = or_else(at[i], w->files), sockets;

		sockets = is_nought(PEEK(struct file, file, f_op) ^ ops);
		sockets = -sockets;
		barrier_var(sockets);
		at[i] = PEEK(struct file, file, private_data) & sockets;
		todo |= (u32)sockets & 1 << i;
	}
	todo = hide(todo);
	w->todo = hide(todo);
	if (!todo)
		return 0;
#pragma clang loop unroll(full)
	for (u32 i = 0; i < AT_ONCE; i++)
		at[i] = PEEK(struct socket, or_else(at[i], w->files), sk);
	if (is_narrow(w)) {
		w->todo = todo & kept_of(w, at);
		return 0;
	}
#pragma clang loop unroll(full)
	for (u32 i = 0; i < AT_ONCE; i++)
		warm(or_else(at[i], w->files));
	return 0;
}

/* One step: a socket, or the way to the next few descriptors. */
static long step(u32 i, struct walk *w)
{
	struct socket_record r;
	u32 todo = w->f.todo;
	int outcome;

	if (!todo) {
		outcome = next_few(&w->f);
		barrier_var(outcome); /* the compiler knows that it is 0 or 1, not the verifier */
		return outcome ? 1 : 0;
	}
	outcome = look_fd(&w->f, &r, w->f.first + __builtin_ctz(todo));
	if (outcome == AGAIN && !w->f.again) {
		w->f.again = hide(1);
		return 0;
	}
	w->f.again = nought;
	w->f.todo = hide(todo & (todo - 1));
	if (outcome != EMIT)
		return 0;
	if (w->f.emitted == w->f.most) {
		w->f.end = r.fd; /* the table goes on with this one */
		return 1;
	}
	w->f.emitted++;
	if (unlikely(w->f.o.q.protos & ASK_FLOW))
		put_flow(&r, flow_socket(&r, w->f.sk));
	if (!write_fd(w, &r)) {
		if (likely(!has(w->f.o.q.number, HAS_FIRST)))
			return 0;
		w->f.end = w->f.room; /* it does not go on */
		return 1;
	}
	w->failed = 1;
	return 1;
}

/* The table of the task, unless it is that of its leader; 0: none. */
static always_inline u64 files_of(const struct fds *w, u64 leader)
{
	u64 files = PEEK(struct task_struct, w->task, files);

	if (leader == w->task || !leader)
		return files;
	return files == PEEK(struct task_struct, leader, files) ? 0 : files;
}

/* The network namespace that the task is in, 0 for one that has ended. */
static always_inline u32 netns_of(u64 task)
{
	u64 proxy = PEEK(struct task_struct, task, nsproxy);
	const struct net *net = (const void *)(proxy ? PEEK(struct nsproxy, proxy, net_ns) : 0);
	u32 inum = 0;

	if (net)
		probe(&inum, &net->ns.inum);
	/* The task may have left it, and then anything may be there. */
	return PEEK(struct task_struct, task, nsproxy) == proxy ? inum : 0;
}

/* The number of the thread, as pid_of has that of its process. */
static always_inline u32 tid_of(u64 task)
{
	struct pid *mine = load(bpf_get_current_task_btf(), thread_pid);
	u32 level = mine ? load(mine, level) : 0, nr = 0;
	const void *pid = (const void *)PEEK(struct task_struct, task, thread_pid);

	if (pid && level < 64)
		probe(&nr, (const u32 *)(pid + field_offset(struct pid, numbers) +
					 level * TYPE_SIZE(struct upid) + field_offset(struct upid, nr)));
	return nr;
}

static noinline int write_inside(void *seq, u64 task, u32 tid)
{
	struct inside_record r = {.tag = TAG(RECORD_INSIDE), .netns = netns_of(task), .tid = tid};

	r.pid = pid_of((struct task_struct *)task);
	return r.netns && bpf_seq_write(seq, &r, sizeof(r)) ? 1 : 0;
}

/*
 * A number that is another once the process has executed a program, or has another
 * name, user, parent or place among the control groups: a reader who knows it need not
 * read those again. Addresses go into it as into the keys of files.
 */
static noinline u32 mark_of(u64 task)
{
	const struct cred *cred = (const void *)PEEK(struct task_struct, task, cred);
	u32 euid = 0;
	u64 n;

	probe(&euid, &cred->euid.val);
	n = file_key(PEEK(struct task_struct, task, start_boottime));
	n = file_key(n ^ PEEK(struct task_struct, task, self_exec_id));
	n = file_key(n ^ PEEK(struct task_struct, task, comm[0]));
	n = file_key(n ^ PEEK(struct task_struct, task, comm[8]));
	n = file_key(n ^ PEEK(struct task_struct, task, real_parent));
	n = file_key(n ^ PEEK(struct task_struct, task, cgroups));
	n = file_key(n ^ euid);
	return (u32)(n >> 32) ?: 1;
}

static noinline int write_task(void *seq, u64 task, u32 pid, u32 marks)
{
	struct task_record r = {.tag = TAG(RECORD_TASK), .pid = pid, .netns = netns_of(task)};

	if (marks)
		r.mark = mark_of(task);
	return bpf_seq_write(seq, &r, sizeof(r)) ? 1 : 0;
}

/*
 * Says of the task in which network namespace it is: of a process by its main
 * thread, of another thread if it is in one of its own.
 */
static always_inline int write_whereabouts(void *seq, const struct fds *f)
{
	u64 leader = PEEK(struct task_struct, f->task, group_leader);

	if (leader == f->task)
		return f->met ? write_task(seq, f->task, f->o.pid, f->o.q.flags & ASK_MARKS) : write_inside(seq, f->task, 0);
	if (PEEK(struct task_struct, f->task, nsproxy) == PEEK(struct task_struct, leader, nsproxy))
		return 0;
	return write_inside(seq, f->task, tid_of(f->task));
}

static noinline int write_more(void *seq, const struct fds *f)
{
	struct more_record r = {.tag = TAG(RECORD_MORE), .element = f->o.pid, .done = f->room,
				.from = f->end | (f->o.thread ? MORE_OF_THREAD : 0)};

	return bpf_seq_write(seq, &r, sizeof(r)) ? 1 : 0;
}

/*
 * The first descriptor of the range. The reader names any; it is put where a
 * look at the next few begins. With struct wanted it stands in the place of states
 * and protocols, and those stand there.
 */
static always_inline u32 range_start(struct question *q)
{
	u32 start = q->number, kinds[2];

	if (q->flags & ASK_WANTED) {
		start = q->states | q->protos << 18;
		if (bpf_probe_read_user(kinds, sizeof(kinds), &wanted_at(q->number)->states))
			kinds[0] = kinds[1] = ~0U;
		q->states = kinds[0];
		q->protos = kinds[1];
	}
	return start & -AT_ONCE;
}

/* The same of a question for one process. */
static always_inline u32 resume_start(struct question *q)
{
	u32 start = (q->part | q->parts << 6 | (q->states >> RESUME_STATES) << 12) * RESUME_UNIT;

	q->states &= (1 << RESUME_STATES) - 1;
	return start;
}

/* Is it no more than which namespaces processes are in. */
static always_inline bool asks_nothing(const struct question *q)
{
	return !q->protos;
}

static always_inline u32 most_of(const struct question *q)
{
	return q->flags & ASK_TCPINFO ? MOST_TCP : MOST;
}

/* In how many words of 64 open descriptors are looked for beyond the range. */
#define BEYOND 1024

struct beyond {
	u64 word; /* address of the next */
	u64 met;
	u32 shift;
};

static long next_word(u32 i, struct beyond *b)
{
	b->met = peek((const void *)b->word) >> (b->shift & 63);
	b->word += 8;
	b->shift = nought;
	return b->met ? 1 : 0;
}

/* Is a descriptor open from end on. Of a long table it is taken for granted. */
static noinline int goes_on(u64 table, u32 room, u32 end)
{
	struct beyond b = {.shift = hide(end & 63)};
	u32 words;

	if (room <= end)
		return 0;
	words = (room - end / 64 * 64) / 64;
	if (words > BEYOND)
		return 1;
	b.word = PEEK(struct fdtable, table, open_fds) + end / 64 * 8;
	bpf_loop(words, next_word, &b, 0);
	return b.met ? 1 : 0;
}

static always_inline void put_owner(struct fds *w, u64 leader)
{
	w->o.pid = pid_of((struct task_struct *)w->task);
	w->o.start = leader ? PEEK(struct task_struct, leader, start_boottime) : 0;
	w->o.comm[0] = leader ? PEEK(struct task_struct, leader, comm[0]) : 0;
	w->o.comm[1] = leader ? PEEK(struct task_struct, leader, comm[8]) : 0;
	w->o.thread = leader == w->task ? 0 : FLAG_THREAD;
}

/* What there is to do about a task. */
#define OVER  (-1) /* nothing, nor about the following ones */
#define OURS  1	   /* it is this thread's */
#define TABLE 2	   /* and has a table to be walked */

/*
 * Of a question for one process the visits of the run stand for its tables: the
 * first for that of the leader, the others for those of threads. Which tasks are
 * visited is no matter, nor how many there are.
 */
static always_inline int set_alone(struct fds *w)
{
	u64 leader = find_process(w->o.q.number);

	if (leader && pid_of((struct task_struct *)leader) != w->o.q.number)
		leader = 0;
	w->start = resume_start(&w->o.q);
	w->task = leader;
	if (w->visit)
		w->task = leader ? find_thread(leader, w->visit - 1) : 0;
	/* The first visit has a header in it, and may not end the run. */
	return w->task ? OURS : w->visit ? OVER : 0;
}

static always_inline int set_together(struct fds *w)
{
	w->start = range_start(&w->o.q);
	return asks_process(&w->o.q, PEEK(struct task_struct, w->task, tgid)) ? OURS : 0;
}

/*
 * Finds the table of the task and the range in it, unless no socket is asked for.
 * Returns what there is to do, 0 for nothing. A function of its own to
 * the verifier: what it finds is nothing that is known, and all ways become one.
 */
noinline int set_out(struct fds *w)
{
	u32 room, end;
	u64 leader;
	int turn;

	if (!w)
		return 0;
	read_question(&w->o.q);
	turn = w->o.q.flags & ASK_RESUME ? set_alone(w) : set_together(w);
	w->met = nought;
	if (turn <= 0 || asks_nothing(&w->o.q))
		return turn;
	leader = PEEK(struct task_struct, w->task, group_leader);
	w->files = files_of(w, leader);
	if (!w->files)
		return turn;
	w->fd = w->start;
	w->table = PEEK(struct files_struct, w->files, fdt);
	room = room_of(w->table);
	if (room <= w->fd)
		return turn;
	w->room = room;
	end = w->fd + RANGE;
	w->end = room < end ? room : end;
	w->slots = PEEK(struct fdtable, w->table, fd);
	w->most = most_of(&w->o.q);
	if (has(w->o.q.number, HAS_BITS))
		w->wanted = wanted_summary(w->o.q.number);
	if (has(w->o.q.number, HAS_ENDS))
		read_brief(&w->b, w->o.q.number);
	w->fence = w->again = w->first = w->todo = w->emitted = 0;
	put_owner(w, leader);
	return turn | TABLE;
}

SEC("iter/task")
int fd_walk(struct bpf_iter__task *ctx)
{
	struct walk w = {};
	int turn;

	if (write_header(ctx->meta, PROGRAM_FD_WALK))
		return 1;
	if (!ctx->task || !socket_ops)
		return 0;
	w.seq = ctx->meta->seq;
	w.failed = nought;
	/* As a number: the verifier is not to follow it through the loop. */
	bpf_probe_read_kernel(&w.f.task, sizeof(w.f.task), &ctx->task);
	w.f.visit = load(ctx->meta, seq_num);
	turn = set_out(&w.f);
	if (turn < 0)
		return 1; /* ends the read, and with EAGAIN the next */
	if (turn & TABLE) {
		bpf_loop(STEPS, step, &w, 0);
		if (w.failed)
			return 1;
		if (goes_on(w.f.table, w.f.room, w.f.end) && write_more(w.seq, &w.f))
			return 1;
	}
	if (!(turn & OURS) || w.f.start || has(w.f.o.q.number, HAS_BITS))
		return 0;
	return write_whereabouts(w.seq, &w.f);
}

/* Runs once, in the loading process. */
SEC("iter/task")
int find_socket_ops(struct bpf_iter__task *ctx)
{
	struct task_struct *me = bpf_get_current_task_btf();
	const void *files = load(me, files);
	u64 table, file;

	if (!ctx->task || socket_ops || !files || socket_fd < 0)
		return 0;
	table = PEEK(struct files_struct, files, fdt);
	file = peek((const void *)(PEEK(struct fdtable, table, fd) + (u64)socket_fd * 8));
	if (file)
		socket_ops = PEEK(struct file, file, f_op);
	return socket_ops ? write_found(ctx->meta->seq) : 0;
}
