// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What hooks cost before they do anything: programs that return at once, attached by empty_probe.cpp
 * where llmtap's stand. The difference between them and llmtap is llmtap's own work. */
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

SEC("tracepoint")
int empty_tracepoint(void *ctx)
{
	return 0;
}

/* A program of this type is loaded for one target: as many as llmtap may have. */
#define EMPTY_BTF(n)                                                                               \
	SEC("?tp_btf") int empty_btf_##n(void *ctx) { return 0; }
EMPTY_BTF(0)
EMPTY_BTF(1)
EMPTY_BTF(2)
EMPTY_BTF(3)
EMPTY_BTF(4)
EMPTY_BTF(5)
EMPTY_BTF(6)
EMPTY_BTF(7)
