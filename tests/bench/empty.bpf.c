// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What hooks cost before they do anything: programs that return at once, for the places where llmtap's
 * stand. The difference between them and llmtap is llmtap's own work. */
#include "lib/kernel_types.bpf.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("uprobe.multi")
int empty_entry(void *ctx)
{
	return 0;
}

SEC("uretprobe.multi")
int empty_return(void *ctx)
{
	return 0;
}

#define EMPTY_TRACEPOINT(edge, call)                                                               \
	SEC("tracepoint/syscalls/sys_" #edge "_" #call) int edge##_##call(void *ctx) { return 0; }
#define EMPTY_PAIR(call) EMPTY_TRACEPOINT(enter, call) EMPTY_TRACEPOINT(exit, call)

EMPTY_PAIR(read)
EMPTY_PAIR(write)
EMPTY_PAIR(readv)
EMPTY_PAIR(writev)
EMPTY_PAIR(recvfrom)
EMPTY_PAIR(sendto)
EMPTY_PAIR(recvmsg)
EMPTY_PAIR(sendmsg)
EMPTY_PAIR(connect)
EMPTY_PAIR(shutdown)
