// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The facts of a process. */
#pragma once

#include "question.h"

/* The process id in the pid namespace of that level, 0 where it has none. */
static noinline u32 inner_pid(struct task_struct *task, u32 level)
{
	struct signal_struct *signal = load(task, signal);
	struct pid *pid = NULL;
	s32 nr = 0;

	/* Read as a number: a pointer that the verifier knows takes no variable offset. */
	if (signal && !probe(&pid, &signal->pids[PIDTYPE_TGID]) && pid && level < 64)
		bpf_probe_read_kernel(&nr, sizeof(nr),
				      (void *)pid->numbers + level * TYPE_SIZE(struct upid) +
					      field_offset(struct upid, nr));
	return nr;
}

/*
 * The process id as the reader's pid namespace has it. The iterator shows
 * tasks of the reader's namespace only, so the level is enough to find it.
 */
static always_inline u32 pid_of(struct task_struct *task)
{
	struct pid *mine = load(bpf_get_current_task_btf(), thread_pid);
	u32 level = mine ? load(mine, level) : 0;

	return hide(level ? inner_pid(task, level) : (u32)load(task, tgid));
}
