// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Sessions as they open and close, in all network namespaces, with the process
 * that opened each. Nothing here decides anything about them: programs at
 * tracepoints cannot, and those at the root cgroup let everything through.
 */
#include "flush.h"
#include "packet.h"

/* The kernel gives GPL-only helpers to a known few names of licences only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
