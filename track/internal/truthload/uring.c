// SPDX-License-Identifier: Apache-2.0
//
// Accepting by io_uring, one at a time, without a library.

#include "truthload.h"
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

// The one ring of a process.
static struct {
	unsigned *submitted, *submit_mask, *array;
	unsigned *completed, *completed_to, *complete_mask;
	struct io_uring_sqe *requests;
	struct io_uring_cqe *results;
} queue;

static void *map(int ring, size_t size, off_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, offset);

	if (at == MAP_FAILED)
		die("map ring");
	return at;
}

int uring_accept_open(void)
{
	struct io_uring_params p;
	char *submit, *complete;
	int ring;

	memset(&p, 0, sizeof(p));
	ring = syscall(SYS_io_uring_setup, 4, &p);
	if (ring < 0)
		die("open io_uring");
	submit = map(ring, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	complete = map(ring, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	queue.requests = map(ring, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	queue.submitted = (void *)(submit + p.sq_off.tail);
	queue.submit_mask = (void *)(submit + p.sq_off.ring_mask);
	queue.array = (void *)(submit + p.sq_off.array);
	queue.completed = (void *)(complete + p.cq_off.head);
	queue.completed_to = (void *)(complete + p.cq_off.tail);
	queue.complete_mask = (void *)(complete + p.cq_off.ring_mask);
	queue.results = (void *)(complete + p.cq_off.cqes);
	return ring;
}

int uring_accept(int ring, int listener)
{
	unsigned at = *queue.submitted & *queue.submit_mask, head = *queue.completed;
	int result;

	memset(&queue.requests[at], 0, sizeof(queue.requests[at]));
	queue.requests[at].opcode = IORING_OP_ACCEPT;
	queue.requests[at].fd = listener;
	queue.array[at] = at;
	__atomic_store_n(queue.submitted, *queue.submitted + 1, __ATOMIC_RELEASE);
	do {
		if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0 && errno != EINTR)
			die("wait for io_uring");
	} while (__atomic_load_n(queue.completed_to, __ATOMIC_ACQUIRE) == head);
	result = queue.results[head & *queue.complete_mask].res;
	__atomic_store_n(queue.completed, head + 1, __ATOMIC_RELEASE);
	if (result < 0) {
		errno = -result;
		die("accept by io_uring");
	}
	return result;
}
