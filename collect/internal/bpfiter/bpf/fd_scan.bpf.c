// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Finds who holds a few files, by the descriptor tables alone: a pointer is
 * compared, and neither file nor socket is touched, which is what the time of
 * task_file goes to. The memory of a file is used again for others, so that a
 * socket had this file when its descriptor was met is for the reader to make
 * sure: the walk has to meet the socket before and after.
 */
#include "question.h"
#include "key.h"
#include "task.h"

/* The kernel gives GPL-only helpers to a known few names of licences only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct scan {
	void *seq;
	struct task_struct *task;
	u64 fds; /* address of the table */
	u32 fd;
	u32 end;
	u32 pid;
	u32 number; /* of the question */
	u32 written;
	u32 failed;
	u32 open; /* some descriptor is */
};

static noinline int write_hold(struct scan *s, u64 key, u32 fd)
{
	struct hold_record r = {.tag = TAG(RECORD_HOLD), .pid = s->pid, .key = key, .fd = fd};
	struct task_struct *leader = s->task->group_leader;

	if (leader) {
		r.start = leader->start_boottime;
		*(u64 *)&r.comm[0] = *(u64 *)&leader->comm[0];
		*(u64 *)&r.comm[8] = *(u64 *)&leader->comm[8];
	}
	s->written += sizeof(r);
	return bpf_seq_write(s->seq, &r, sizeof(r)) ? 1 : 0;
}

/* Looks at one descriptor. */
static long scan_fd(u32 i, struct scan *s)
{
	u64 file = 0, key;
	u32 fd = s->fd++;

	if (fd >= s->end || s->written > OUTPUT_LIMIT)
		return 1;
	bpf_probe_read_kernel(&file, sizeof(file), (const void *)(s->fds + (u64)fd * 8));
	if (!file)
		return 0;
	s->open = 1;
	key = file_key(file);
	if (!is_wanted(s->number, key) || !is_wanted(s->number, key >> 32))
		return 0;
	s->failed = write_hold(s, key, fd);
	return s->failed;
}

SEC("iter/task")
int fd_scan(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *leader;
	struct more_record more = {.tag = TAG(RECORD_MORE)};
	const struct fdtable *fdt = NULL;
	struct files_struct *files;
	const struct wanted *w;
	struct question q = {};
	struct scan s = {};
	u32 only = 0;

	if (!task)
		return 0;
	read_question(&q);
	if (!(q.flags & ASK_WANTED) || (q.parts && (u32)task->tgid % q.parts != q.part))
		return 0;
	files = task->files;
	leader = task->group_leader;
	if (!files || !leader || (task->pid != task->tgid && leader->files == files))
		return 0;
	if (q.flags & ASK_RESUME) {
		w = (const void *)((u64)q.number << 24);
		if (bpf_probe_read_user(&only, sizeof(only), &w->task) || only != (u32)task->pid)
			return 0;
		bpf_probe_read_user(&s.fd, sizeof(s.fd), &w->fd);
	}
	s.seq = ctx->meta->seq;
	s.task = task;
	s.number = q.number;
	s.pid = pid_of(task);
	s.written = s.failed = s.open = nought;
	if (probe(&fdt, (const struct fdtable **)&files->fdt) || !fdt ||
	    probe(&s.end, (u32 *)&fdt->max_fds) || probe(&s.fds, (u64 *)&fdt->fd))
		return 0;
	bpf_loop(MAX_STEPS, scan_fd, &s, 0);
	if (s.failed)
		return 1;
	if (s.open && task == leader && !(q.flags & ASK_RESUME)) {
		struct task_record r = {.tag = TAG(RECORD_TASK), .pid = s.pid};

		if (bpf_seq_write(s.seq, &r, sizeof(r)))
			return 1;
	}
	if (s.written <= OUTPUT_LIMIT)
		return 0;
	more.element = task->pid;
	more.done = s.fd - 1;
	return bpf_seq_write(s.seq, &more, sizeof(more)) ? 1 : 0;
}
