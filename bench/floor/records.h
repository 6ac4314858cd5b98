// SPDX-License-Identifier: Apache-2.0
/*
 * The facts of ../../collect/internal/bpfiter/bpf/record.h that floor.c needs.
 * That header is written for BPF and has names of the C library, so records.c
 * alone includes it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The version of the records, which ends the names of the pins. */
extern const unsigned record_version;

/* A record that says where to go on; see struct more_record. */
struct more {
	uint32_t element;
	uint64_t done;
	uint32_t from; /* the next descriptor */
};

/* What a reader without any other work sees in a record. */
enum kind { FOREIGN, OTHER, SOCKET, MORE };

/*
 * Looks at the first record of size bytes. Its length goes to length, and what
 * it says, if it is of kind MORE, to more.
 */
enum kind look(const void *record, size_t size, size_t *length, struct more *more);
