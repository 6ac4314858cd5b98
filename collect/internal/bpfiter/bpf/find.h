// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Finding a process by its number, as the kernel does: in the tree of numbers of
 * a pid namespace. Nothing that is read is proven, and what is found is looked at
 * like any other task.
 */
#pragma once

#include "look.h"

static always_inline u64 peek(const void *at)
{
	u64 word = 0;

	probe(&word, (const u64 *)at);
	return word;
}

#define PEEK(type, address, field) peek(&((const type *)(address))->field)

/* Levels of the tree: numbers have 22 bits, and a node takes 6 of them, or 4. */
#define LEVELS 6

/* An entry that is a node, and not a pointer of the tree's user. */
#define IS_NODE(entry)	(((entry) & 3) == 2 && (entry) > 4096)
#define AS_NODE(entry)	((const struct xa_node *)((entry) - 2))

/* The struct pid of that number in the namespace, 0: none. */
static always_inline u64 find_number(u64 ns, u32 number)
{
	const struct xa_node *node = NULL;
	u32 slots = FIELD_SIZE(node->slots) / 8;
	u64 entry = PEEK(struct pid_namespace, ns, idr.idr_rt.xa_head);

	for (u32 i = 0; i < LEVELS; i++) {
		u64 place;
		u8 shift = 0;

		if (!IS_NODE(entry))
			break;
		node = AS_NODE(entry);
		probe(&shift, &node->shift);
		place = number >> (shift & 31);
		if (!i && place >= slots)
			return 0;
		entry = peek((const void *)node + field_offset(struct xa_node, slots) +
			     (place & (slots - 1)) * 8);
	}
	return entry & 3 ? 0 : entry;
}

/* The pid namespace of the reader. */
static always_inline u64 reader_ns(void)
{
	struct pid *mine = load(bpf_get_current_task_btf(), thread_pid);
	u32 level = mine ? load(mine, level) : 0;

	return peek((const void *)mine + field_offset(struct pid, numbers) +
		    (u64)level * TYPE_SIZE(struct upid) + field_offset(struct upid, ns));
}

/* The leader of the process with that number in the reader's namespace, 0: none. */
static noinline u64 find_process(u32 number)
{
	u64 pid = find_number(reader_ns(), number), link;

	if (!pid)
		return 0;
	/* A list's head is a pointer, a link two. */
	link = peek((const void *)pid + field_offset(struct pid, tasks) + PIDTYPE_TGID * 8);
	return link ? link - field_offset(struct task_struct, pid_links) - PIDTYPE_TGID * 16 : 0;
}

struct thread_search {
	u64 node, head, files;
	u32 left;
};

static long next_thread(u32 i, struct thread_search *s)
{
	u64 task, files;

	if (!s->node || s->node == s->head) {
		s->node = 0;
		return 1;
	}
	task = s->node - field_offset(struct task_struct, thread_node);
	files = PEEK(struct task_struct, task, files);
	if (files && files != s->files && !s->left--)
		return 1;
	s->node = PEEK(struct list_head, s->node, next);
	return 0;
}

/* More than a process has. */
#define MAX_THREADS (1 << 22)

/*
 * The index-th thread of the process that has a table of its own, 0: there are
 * not as many.
 */
static noinline u64 find_thread(u64 leader, u32 index)
{
	u64 signal = PEEK(struct task_struct, leader, signal);
	struct thread_search s = {.left = hide(index)};

	if (!signal)
		return 0;
	s.head = signal + field_offset(struct signal_struct, thread_head);
	s.node = PEEK(struct list_head, s.head, next);
	s.files = PEEK(struct task_struct, leader, files);
	bpf_loop(MAX_THREADS, next_thread, &s, 0);
	return s.node ? s.node - field_offset(struct task_struct, thread_node) : 0;
}
