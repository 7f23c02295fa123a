/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a return of no interest is asked before any look-up in a map: a table indexed by a hash, without
 * collision lists. */
#ifndef LLMTAP_FILTERS_H
#define LLMTAP_FILTERS_H

#define LLMTAP_FILTER_BITS 14

#ifdef LLMTAP_COMPATIBLE
/* No atomic exchange before 5.12: the map is asked at each return. */
static __always_inline int call_may_be_noted(__u32 tid)
{
	return 1;
}
static __always_inline void call_begins(__u32 tid) {}
static __always_inline void call_ends(__u32 tid) {}
#else
#define LLMTAP_SEVERAL_THREADS 0xffffffffU

/* The thread whose system call in progress was noted at entry; LLMTAP_SEVERAL_THREADS, for good, where
 * two had one place. */
__u32 calls_noted[1 << LLMTAP_FILTER_BITS] = {};

/* Neighbours, often threads of one program, get cache lines of their own. */
static __always_inline __u32 *call_slot(__u32 tid)
{
	return &calls_noted[(__u32)(tid * 2654435761U) >> (32 - LLMTAP_FILTER_BITS)];
}

static __always_inline int call_may_be_noted(__u32 tid)
{
	__u32 noted = *(volatile __u32 *)call_slot(tid);

	return noted == tid || noted == LLMTAP_SEVERAL_THREADS;
}

static __always_inline void call_begins(__u32 tid)
{
	__u32 *slot = call_slot(tid);
	__u32 other;

	if (call_may_be_noted(tid))
		return;
	other = __sync_val_compare_and_swap(slot, 0, tid);
	if (other && other != tid)
		*(volatile __u32 *)slot = LLMTAP_SEVERAL_THREADS;
}

static __always_inline void call_ends(__u32 tid)
{
	/* Not a plain store: another thread may be taking the place over. */
	__sync_val_compare_and_swap(call_slot(tid), tid, 0);
}
#endif

#endif
