// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * One pass over the descriptors of every process: sockets and their owners in
 * one go, in all network namespaces.
 *
 * The kernel hands over each (task, descriptor) with a reference on the file,
 * so the socket stays while we look. It leaves out threads that share their
 * leader's table; what remains of a process twice (threads with a table of
 * their own, a leader that has exited) the reader makes unique.
 */
#include "flow.h"
#include "origin.h"
#include "task.h"
#include "timer.h"

/* The kernel gives GPL-only helpers to a known few names of licences only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading: bpf_get_socket_cookie serves iterators (Linux 5.12). */
const volatile bool cookie_helper = true;

/*
 * Set before loading: descriptors by which other network namespaces are to be
 * reached are emitted too, for a reader that has to enter them.
 */
const volatile bool show_ways = false;

static always_inline void put_ends(struct socket_record *r, struct sock *sk)
{
	u64 *local = (u64 *)r->local, *remote = (u64 *)r->remote;

	r->lport = sk->__sk_common.skc_num;
	r->rport = __builtin_bswap16(sk->__sk_common.skc_dport);
	if (r->family == FAMILY_V4) {
		map_v4(r->local, sk->__sk_common.skc_rcv_saddr);
		map_v4(r->remote, sk->__sk_common.skc_daddr);
		return;
	}
	local[0] = *(u64 *)&sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8[0];
	local[1] = *(u64 *)&sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8[8];
	remote[0] = *(u64 *)&sk->__sk_common.skc_v6_daddr.in6_u.u6_addr8[0];
	remote[1] = *(u64 *)&sk->__sk_common.skc_v6_daddr.in6_u.u6_addr8[8];
}

/* As inet_diag counts them. */
static always_inline void put_queues(struct socket_record *r, struct sock *sk, struct tcp_sock *tcp)
{
	s32 waiting;

	if (r->proto == PROTO_TCP && r->state == TCP_LISTEN) {
		r->recvq = sk->sk_ack_backlog;
		r->sendq = sk->sk_max_ack_backlog;
	} else if (tcp) {
		waiting = tcp->rcv_nxt - tcp->copied_seq;
		r->recvq = waiting > 0 ? waiting : 0;
		r->sendq = tcp->write_seq - tcp->snd_una;
	} else if (r->proto == PROTO_MPTCP) {
		struct mptcp_sock *msk = (struct mptcp_sock *)sk;
		struct sock *first = NULL;

		r->recvq = sk->sk_backlog.rmem_alloc.counter;
		r->sendq = sk->sk_wmem_alloc.refs.counter - 1;
		/* Not every kernel is built with MPTCP. */
		if (!field_exists(msk->first) || r->state != TCP_LISTEN ||
		    probe(&first, &msk->first) || !first)
			return;
		probe(&r->recvq, &first->sk_ack_backlog);
		probe(&r->sendq, &first->sk_max_ack_backlog);
	} else {
		s32 deficit = 0;

		probe(&deficit, &((struct udp_sock *)sk)->forward_deficit);
		r->recvq = sk->sk_backlog.rmem_alloc.counter - deficit;
		r->sendq = sk->sk_wmem_alloc.refs.counter - 1;
	}
}

static always_inline void put_owner(struct socket_record *r, struct task_struct *task, u32 pid,
				    u32 fd)
{
	struct task_struct *leader = task->group_leader;
	u64 *comm = (u64 *)r->comm;

	r->pid = pid;
	r->fd = fd;
	if (!leader)
		return;
	r->start = leader->start_boottime;
	comm[0] = *(u64 *)&leader->comm[0];
	comm[1] = *(u64 *)&leader->comm[8];
}

/* Everything but the ends, which come first because they are conditions. */
static always_inline void put_socket(struct socket_record *r, struct sock *sk, struct tcp_sock *tcp)
{
	r->cookie = cookie_helper ? bpf_get_socket_cookie(sk) : sk->__sk_common.skc_cookie.counter;
	r->flags = FLAG_FILE;
	if (r->family == FAMILY_V6 && bit_of(&sk->__sk_common, skc_ipv6only))
		r->flags |= FLAG_V6ONLY;
	r->uid = sk->sk_uid.val;
	r->mark = sk->sk_mark;
	r->device = sk->__sk_common.skc_bound_dev_if;
	put_queues(r, sk, tcp);
	put_origin(r, (u64)sk);
}

static always_inline int write_tcp(void *seq, struct tcp_record *r, struct tcp_sock *tcp)
{
	const struct tcp_congestion_ops *ops = tcp->inet_conn.icsk_ca_ops;

	r->tag = TAG(RECORD_TCP);
	r->srtt = tcp->srtt_us >> 3;
	r->retrans = tcp->total_retrans;
	r->cwnd = tcp->snd_cwnd;
	r->bytes_sent = tcp->bytes_sent - tcp->bytes_retrans;
	r->bytes_received = tcp->bytes_received;
	__builtin_memset(r->cong, 0, sizeof(*r) - __builtin_offsetof(struct tcp_record, cong));
	put_timer(r, (u64)tcp);
	if (ops)
		bpf_probe_read_kernel(r->cong, sizeof(r->cong), ops->name);
	return bpf_seq_write(seq, r, sizeof(*r)) ? 1 : 0;
}

/*
 * Is it the lowest descriptor of its table, so that the process is counted
 * once. One that has none of the first three open is not: nobody minds.
 */
static always_inline bool is_first(struct task_struct *task, u32 fd)
{
	struct files_struct *files;
	struct fdtable *fdt;
	unsigned long open = 0;

	if (fd > 2)
		return false;
	if (!fd)
		return true;
	files = task->files;
	fdt = files ? files->fdt : NULL;
	if (!fdt || bpf_probe_read_kernel(&open, sizeof(open), fdt->open_fds))
		return false;
	return !(open & ((1UL << fd) - 1));
}

static always_inline int count_task(void *seq, struct task_struct *task, u32 fd, u32 pid)
{
	struct task_record r = {.tag = TAG(RECORD_TASK), .pid = pid};

	return task->pid == task->tgid && is_first(task, fd) ? bpf_seq_write(seq, &r, sizeof(r)) : 0;
}

static always_inline bool put_conditions(struct socket_record *r, struct sock *sk,
					 const struct question *q)
{
	u16 family = sk->__sk_common.skc_family;

	if (family != AF_INET && family != AF_INET6)
		return false;
	r->family = hide(family == AF_INET ? FAMILY_V4 : FAMILY_V6);
	r->proto = hide(proto_by(sk->sk_type, sk->sk_protocol));
	if (!r->proto)
		return false;
	r->state = hide(state_of(r->proto, sk->__sk_common.skc_state));
	if (!asks_kind(q, r->proto, r->family, r->state))
		return false;
	put_ends(r, sk);
	if (is_idle(r->state, r->lport) || !asks_ends(q->number, r))
		return false;
	r->netns = sk->__sk_common.skc_net.net->ns.inum;
	return asks_netns(q->number, r->netns);
}

#define NSFS_MAGIC 0x6e736673

/* The network namespace that the file is, NULL for other files. */
static always_inline const struct ns_common *netns_of_file(struct file *file, const struct net *mine)
{
	struct inode *inode = load(file, f_inode);
	struct super_block *sb = inode ? load(inode, i_sb) : NULL;
	const struct ns_common *ns;
	const struct proc_ns_operations *ops = NULL, *network = NULL;

	if (!sb || load(sb, s_magic) != NSFS_MAGIC)
		return NULL;
	ns = load(inode, i_private);
	if (!ns || probe(&ops, &ns->ops) || probe(&network, &mine->ns.ops))
		return NULL;
	return ops == network ? ns : NULL;
}

/* Tells which network namespace the descriptor leads into, if not the reader's own. */
static noinline int write_way(void *seq, struct file *file, struct sock *sk, u32 pid, u32 fd)
{
	struct way_record r = {.tag = TAG(RECORD_WAY), .pid = pid, .fd = fd};
	struct nsproxy *proxy = load(bpf_get_current_task_btf(), nsproxy);
	const struct net *mine = proxy ? load(proxy, net_ns) : NULL, *net = NULL;
	const struct ns_common *ns = NULL;

	if (!mine)
		return 0;
	if (sk) {
		net = load(sk, __sk_common.skc_net.net);
		ns = net ? &net->ns : NULL;
		r.inode = load(load(file, f_inode), i_ino);
	} else {
		ns = netns_of_file(file, mine);
	}
	if (!ns || ns == &mine->ns || probe(&r.netns, &ns->inum))
		return 0;
	return bpf_seq_write(seq, &r, sizeof(r)) ? 1 : 0;
}

SEC("iter/task_file")
int task_file(struct bpf_iter__task_file *ctx)
{
	union {
		struct socket_record socket;
		struct tcp_record tcp;
	} r = {};
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	void *seq = ctx->meta->seq;
	struct question q = {};
	struct tcp_sock *tcp = NULL;
	struct socket *socket;
	struct sock *sk;
	u32 pid;

	if (write_header(ctx->meta, PROGRAM_TASK_FILE))
		return 1;
	if (!task || !file)
		return 0;
	read_question(&q);
	if (!asks_process(&q, task->tgid))
		return 0;
	pid = pid_of(task);
	if (q.number && q.number != pid && !(q.flags & ASK_WANTED))
		return 0;
	if (has(q.number, HAS_BITS) && !wanted_bit(q.number, file->f_inode->i_ino))
		return 0;
	if (ctx->fd <= 2 && count_task(seq, task, ctx->fd, pid))
		return 1;

	socket = bpf_sock_from_file(file);
	sk = socket ? socket->sk : NULL;
	if (!sk || !put_conditions(&r.socket, sk, &q))
		return show_ways ? write_way(seq, file, sk, pid, ctx->fd) : 0;
	r.socket.inode = field_exists(sk->sk_ino) ? sk->sk_ino : file->f_inode->i_ino;
	if (r.socket.proto == PROTO_TCP)
		tcp = bpf_skc_to_tcp_sock(sk);
	put_socket(&r.socket, sk, tcp);
	if (q.protos & ASK_FLOW)
		put_flow(&r.socket, flow_socket(&r.socket, (u64)load(socket, sk)));
	put_owner(&r.socket, task, pid, ctx->fd);
	if (task->pid != task->tgid)
		r.socket.flags |= FLAG_THREAD;
	r.socket.tag = TAG(RECORD_SOCKET);
	if (unlikely(r.socket.device) &&
	    put_device(seq, sk->__sk_common.skc_net.net, r.socket.netns, r.socket.device))
		return 1;
	if (bpf_seq_write(seq, &r.socket, sizeof(r.socket)))
		return 1;
	return q.flags & ASK_TCPINFO && tcp ? write_tcp(seq, &r.tcp, tcp) : 0;
}
