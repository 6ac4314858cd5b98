// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The processes named by records. Each is emitted in full
 * before the first record that names it, by a program in its
 * context, so a process gone the next moment still has its
 * name. Later records hold only its number and its start.
 */
#pragma once

#include "ring.h"

#define NO_MM ~0ULL /* of no process */

/* A process as it was emitted. After a change it is emitted again. */
struct known {
	u64 start;
	u64 mm;
	u64 cred;
	u64 cgroups;
	u64 comm[2];
	u32 pid; /* in the reader's pid namespace */
	u32 exited;
	u32 lost; /* it could not be emitted, which is counted once */
	u32 pad;
};

struct {
	uint(type, BPF_MAP_TYPE_LRU_HASH);
	uint(max_entries, 16384);
	type(key, u32);
	type(value, struct known);
} known SEC(".maps");

/* By their credentials, which are each process's own: a fork copies them. */
struct {
	uint(type, BPF_MAP_TYPE_LRU_HASH);
	uint(max_entries, 16384);
	type(key, u64);
	type(value, u32);
} by_cred SEC(".maps");

/* The reader's pid namespace, and its depth. */
struct reader {
	u64 ns;
	u32 level;
};

struct reader reader;

/* A process as records name it. */
struct who {
	u64 start;
	u32 tgid;
	u32 pid;
};

/*
 * Tasks here are mostly addresses. Work done once for a process is better
 * done by load; the look-up of each connect and accept (name_running) is not.
 */

/* The number of a process at that level of pid namespaces, and its namespace there. */
static always_inline u32 pid_at(struct task_struct *task, u32 level, u64 *ns)
{
	struct signal_struct *signal = load(task, signal);
	struct pid *pid = NULL;
	u32 depth = 0;
	s32 nr = 0;
	void *at;

	*ns = 0;
	if (!signal || probe(&pid, &signal->pids[PIDTYPE_TGID]) || !pid)
		return 0;
	if (probe(&depth, &pid->level) || level > depth || level > 32)
		return 0;
	at = (void *)pid->numbers + level * TYPE_SIZE(struct upid);
	bpf_probe_read_kernel(&nr, sizeof(nr), at + field_offset(struct upid, nr));
	bpf_probe_read_kernel(ns, sizeof(*ns), at + field_offset(struct upid, ns));
	return nr;
}

/* The number known to the reader, 0 for none. */
static noinline u32 pid_of(struct task_struct *task)
{
	u64 ns = 0;
	u32 nr;

	if (!reader.level)
		return load(task, tgid);
	nr = pid_at(task, reader.level, &ns);
	return ns == reader.ns ? nr : 0;
}

/* Reads so much of the memory of the running process, as far as there is room. */
static always_inline u64 read_args(struct process_record *r, u64 start, u64 size)
{
	barrier_var(size); /* what the compiler knows of it is news to the verifier */
	if (size > ARGS_SIZE)
		size = ARGS_SIZE;
	return bpf_probe_read_user(r->args, size, (void *)start) ? 0 : size;
}

/* The command line; its first page if others are absent. */
static always_inline void put_args(struct process_record *r, struct mm_struct *mm)
{
	u64 start = load(mm, arg_start), size = load(mm, arg_end) - start;
	u64 page = 4096 - (start & 4095);

	r->args_size = read_args(r, start, size);
	if (!r->args_size && size)
		r->args_size = read_args(r, start, size < page ? size : page);
}

#define MAX_STEPS 64 /* up a path: names and mounts */
#define NAME_SIZE 256

struct walk {
	struct process_record *r;
	struct dentry *dentry;
	struct vfsmount *mnt;
	u64 at;
};

/* Steps from a mount's root to its mount point. Nonzero at the end. */
static always_inline long leave_mount(struct walk *w)
{
	struct mount *m = (void *)w->mnt - field_offset(struct mount, mnt), *parent = NULL;

	if (probe(&parent, &m->mnt_parent))
		return 1;
	if (parent == m || !parent) {
		w->r->path_size = w->at;
		return 1;
	}
	w->mnt = (void *)parent + field_offset(struct mount, mnt);
	return probe(&w->dentry, &m->mnt_mountpoint) ? 1 : 0;
}

static long step_up(u32 i, struct walk *w)
{
	struct dentry *up = NULL, *root = NULL;
	const void *name = NULL;
	u64 at = w->at;
	long n;

	if (probe(&root, &w->mnt->mnt_root))
		return 1;
	if (w->dentry == root)
		return leave_mount(w);
	if (probe(&up, &w->dentry->d_parent) || probe(&name, &w->dentry->d_name.name))
		return 1;
	if (up == w->dentry) { /* a file system that is mounted nowhere: memfd */
		w->r->path_size = at;
		return 1;
	}
	if (at > PATH_SIZE - NAME_SIZE)
		return 1;
	n = bpf_probe_read_kernel_str(w->r->path + at, NAME_SIZE, name);
	if (n <= 0)
		return 1;
	w->at = at + n;
	w->dentry = up;
	return 0;
}

/*
 * Writes the names of a path from the last to the first. A path that does not
 * fit is none.
 */
static always_inline void put_path(struct process_record *r, struct file *file)
{
	struct walk w = {.r = r};

	if (!probe(&w.dentry, &file->f_path.dentry) && !probe(&w.mnt, &file->f_path.mnt))
		bpf_loop(MAX_STEPS, step_up, &w, 0);
}

/* Emits a process. Only the running process's memory can be read. */
static always_inline int emit_process(struct task_struct *task, const struct known *k, u32 what,
				      u32 tgid)
{
	struct process_record *r = reserve(sizeof(*r), !k->lost);
	struct cgroup *cgroup;
	struct task_struct *parent;
	struct kernfs_node *kn;
	struct file *exe;

	if (!r)
		return 0;
	r->kind = RECORD_PROCESS;
	r->what = what;
	r->args_size = 0;
	r->path_size = 0;
	r->time = bpf_ktime_get_boot_ns();
	r->start = k->start;
	cgroup = load((struct css_set *)k->cgroups, dfl_cgrp);
	kn = load(cgroup, kn);
	r->cgroup = load(kn, id);
	r->tgid = tgid;
	r->pid = k->pid;
	parent = load(task, real_parent);
	r->parent = parent ? pid_of(parent) : 0;
	r->uid = load((struct cred *)k->cred, euid.val);
	*(u64 *)&r->comm[0] = k->comm[0];
	*(u64 *)&r->comm[8] = k->comm[1];
	if (text && k->mm) {
		if ((u64)task == bpf_get_current_task())
			put_args(r, (void *)k->mm);
		exe = load((struct mm_struct *)k->mm, exe_file);
		if (exe)
			put_path(r, exe);
	}
	submit(r);
	return 1;
}

/* The present state of a process, but for its number. */
static always_inline void look_at(struct task_struct *task, struct known *k)
{
	struct task_struct *leader = load(task, group_leader);

	k->start = load(leader, start_boottime);
	k->mm = (u64)load(task, mm);
	k->cred = (u64)load(leader, cred);
	k->cgroups = (u64)load(leader, cgroups);
	probe(&k->comm, &leader->comm);
}

static always_inline bool is_known(const struct known *old, const struct known *now)
{
	return old->start == now->start && old->cred == now->cred &&
	       old->cgroups == now->cgroups && (old->mm == now->mm || (!now->mm && !old->lost)) &&
	       old->comm[0] == now->comm[0] && old->comm[1] == now->comm[1];
}

/*
 * Emits an unknown or changed process. The verifier goes through
 * a global function, such as this one, once for a program, and
 * not for each path to it; it takes no kernel objects.
 */
noinline u32 introduce(u64 address, u32 what)
{
	struct task_struct *task = (void *)address;
	u32 tgid = load(task, tgid);
	struct known k = {}, *old;

	look_at(task, &k);
	old = what == WHAT_SEEN ? bpf_map_lookup_elem(&known, &tgid) : NULL;
	if (old && is_known(old, &k))
		return old->pid;
	k.pid = pid_of(task);
	k.lost = old && old->start == k.start && old->lost;
	if (!emit_process(task, &k, what, tgid)) {
		k.lost = 1;
		k.mm = NO_MM; /* the next record that names it tries again */
		bpf_map_update_elem(&known, &tgid, &k, 0);
		return k.pid;
	}
	k.lost = 0;
	bpf_map_update_elem(&known, &tgid, &k, 0);
	bpf_map_update_elem(&by_cred, &k.cred, &tgid, 0);
	return k.pid;
}

/* Names the running process, after emitting it. */
noinline u32 name_running(struct who *w)
{
	struct task_struct *task = bpf_get_current_task_btf(), *leader = task->group_leader;
	u32 tgid = task->tgid;
	struct known *k;
	u64 mm, cred, cgroups;

	if (!w || !leader || task->flags & PF_KTHREAD)
		return 0;
	mm = (u64)task->mm;
	cred = (u64)leader->cred;
	cgroups = (u64)leader->cgroups;
	w->tgid = tgid;
	w->start = leader->start_boottime;
	k = bpf_map_lookup_elem(&known, &tgid);
	if (k && k->start == w->start && k->cred == cred && k->cgroups == cgroups &&
	    (k->mm == mm || (!mm && !k->lost)) &&
	    k->comm[0] == *(u64 *)&leader->comm[0] && k->comm[1] == *(u64 *)&leader->comm[8])
		w->pid = k->pid;
	else
		w->pid = introduce(bpf_get_current_task(), WHAT_SEEN);
	return 1;
}

/* Names another process in the same way. */
static always_inline u32 name_other(struct task_struct *task, struct who *w)
{
	if (load(task, flags) & PF_KTHREAD)
		return 0;
	w->tgid = load(task, tgid);
	w->start = load(load(task, group_leader), start_boottime);
	w->pid = introduce((u64)task, WHAT_SEEN);
	return 1;
}

enum maker {
	MAKER_RUNS = 1 << 0,	/* it may be the process that runs, or its parent */
	MAKER_IN_HAND = 1 << 1, /* the process that runs has the socket in hand */
};

/*
 * The process that made the file of a socket, by the credentials
 * in the file: only this process has them. If no such process is
 * known, it is the running one, if that has the socket in hand.
 */
noinline u32 maker_of(const u64 *of, struct who *w, u32 how)
{
	struct task_struct *task = (void *)bpf_get_current_task(), *parent;
	struct known *k;
	u32 *tgid;
	u64 cred;

	if (!of || !w)
		return 0;
	cred = *of;
	if (how & MAKER_RUNS && (u64)load(task, cred) == cred)
		return name_running(w);
	tgid = bpf_map_lookup_elem(&by_cred, &cred);
	k = tgid ? bpf_map_lookup_elem(&known, tgid) : NULL;
	if (k && k->cred == cred) {
		w->tgid = *tgid;
		w->start = k->start;
		w->pid = k->pid;
		return 1;
	}
	if (!(how & MAKER_RUNS))
		return 0;
	parent = load(task, real_parent);
	if (parent && (u64)load(parent, cred) == cred)
		return name_other(parent, w);
	return how & MAKER_IN_HAND ? name_running(w) : 0;
}

SEC("tp_btf/sched_process_exec")
int process_exec(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct task_struct *leader = task->group_leader;
	u32 tgid = task->tgid;
	struct known *k = bpf_map_lookup_elem(&known, &tgid);

	if (k && leader && k->start == leader->start_boottime)
		introduce(bpf_get_current_task(), WHAT_EXEC);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int process_exit(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct task_struct *leader = task->group_leader;
	struct signal_struct *signal = task->signal;
	u32 tgid = task->tgid;
	struct exit_record *r;
	struct known *k;

	if (!leader || !signal || signal->live.counter)
		return 0;
	k = bpf_map_lookup_elem(&known, &tgid);
	if (!k || k->start != leader->start_boottime || __sync_fetch_and_add(&k->exited, 1))
		return 0;
	r = reserve(sizeof(*r), 1);
	if (!r)
		return 0;
	*(u64 *)r = RECORD_EXIT;
	r->kind = RECORD_EXIT;
	r->time = bpf_ktime_get_boot_ns();
	r->start = k->start;
	r->tgid = tgid;
	r->pid = k->pid;
	submit(r);
	return 0;
}

/* Run once by the reader, in its own context. */
SEC("syscall")
int find_reader(void *ctx)
{
	struct task_struct *me = bpf_get_current_task_btf();
	struct pid *pid = me->thread_pid;
	u64 ns = 0;

	if (!pid)
		return 1;
	pid_at(me, pid->level, &ns);
	reader.ns = ns;
	reader.level = pid->level;
	return 0;
}
