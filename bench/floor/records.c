// SPDX-License-Identifier: Apache-2.0
/* It has functions for BPF programs alone. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "../../collect/internal/bpfiter/bpf/record.h"

#include "records.h"

const unsigned record_version = RECORD_VERSION;

static const size_t sizes[256] = {
	[RECORD_SOCKET] = sizeof(struct socket_record), [RECORD_TCP] = sizeof(struct tcp_record),
	[RECORD_ID] = sizeof(struct id_record),		[RECORD_TASK] = sizeof(struct task_record),
	[RECORD_DEVICE] = sizeof(struct device_record), [RECORD_NETNS] = sizeof(struct netns_record),
	[RECORD_MORE] = sizeof(struct more_record),	[RECORD_WAY] = sizeof(struct way_record),
	[RECORD_HEADER] = sizeof(struct header_record), [RECORD_INSIDE] = sizeof(struct inside_record),
};

enum kind look(const void *record, size_t size, size_t *length, struct more *more)
{
	u32 tag = size < sizeof tag ? 0 : *(const u32 *)record;
	const struct more_record *m = record;

	*length = sizes[tag & 0xff];
	if (tag >> 8 != TAG(0) >> 8 || !*length || *length > size)
		return FOREIGN;
	switch (tag & 0xff) {
	case RECORD_SOCKET:
		return SOCKET;
	case RECORD_MORE:
		*more = (struct more){m->element, m->done, m->from & ~MORE_OF_THREAD};
		return MORE;
	}
	return OTHER;
}
