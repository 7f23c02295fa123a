/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What differs between the two builds of the programs. LLMTAP_COMPATIBLE is for kernels without
 * bpf_loop (before 5.17): they may also lack attach cookies (5.15), pointers as arguments of global
 * functions (5.12) and atomics that return a value (5.12).
 */
#ifndef LLMTAP_VARIANT_H
#define LLMTAP_VARIANT_H

#ifdef LLMTAP_COMPATIBLE

#define EMIT_SCOPE static __noinline

/* Two threads that use one direction of one connection at the same instant can get one number. */
#define fetch_add(pointer, n)                                                                      \
	({                                                                                         \
		typeof(*(pointer)) before_ = *(volatile typeof(*(pointer)) *)(pointer);            \
		__sync_fetch_and_add(pointer, n);                                                  \
		before_;                                                                           \
	})

/* step(i, state) until it returns nonzero; what is left after the last step is the caller's to count. */
#define repeat(most, step, state)                                                                  \
	do {                                                                                       \
		for (__u32 i_ = 0; i_ < LLMTAP_COMPATIBLE_STEPS; i_++)                             \
			if (step(i_, state))                                                       \
				break;                                                             \
	} while (0)
#define LLMTAP_COMPATIBLE_STEPS 24

#define STEP static __noinline

/* An entry program with an attach cookie that says which function it is: one program per kind. */
#define UPROBE_OF_KIND(name, kind)                                                                 \
	SEC("uprobe.multi")                                                                        \
	int name##_##kind(struct pt_regs *ctx)                                                     \
	{                                                                                          \
		return name##_of_kind(ctx, kind);                                                  \
	}
/* Nor has a return one. */
#define return_cookie(ctx) 0

#define UPROBE_BY_KIND(name)                                                                       \
	UPROBE_OF_KIND(name, 1)                                                                    \
	UPROBE_OF_KIND(name, 2)                                                                    \
	UPROBE_OF_KIND(name, 3)                                                                    \
	UPROBE_OF_KIND(name, 4)                                                                    \
	UPROBE_OF_KIND(name, 5)                                                                    \
	UPROBE_OF_KIND(name, 6)                                                                    \
	UPROBE_OF_KIND(name, 7)                                                                    \
	UPROBE_OF_KIND(name, 8)                                                                    \
	UPROBE_OF_KIND(name, 9)                                                                    \
	UPROBE_OF_KIND(name, 10)                                                                   \
	UPROBE_OF_KIND(name, 11)                                                                   \
	UPROBE_OF_KIND(name, 12)                                                                   \
	UPROBE_OF_KIND(name, 13)                                                                   \
	UPROBE_OF_KIND(name, 14)                                                                   \
	UPROBE_OF_KIND(name, 15)                                                                   \
	UPROBE_OF_KIND(name, 16)

#else

#define EMIT_SCOPE __noinline

#define fetch_add(pointer, n) __sync_fetch_and_add(pointer, n)
#define repeat(most, step, state) bpf_loop(most, step, state, 0)
#define return_cookie(ctx) bpf_get_attach_cookie(ctx)
#define STEP static

#define UPROBE_BY_KIND(name)                                                                       \
	SEC("uprobe.multi")                                                                        \
	int name(struct pt_regs *ctx)                                                              \
	{                                                                                          \
		return name##_of_kind(ctx, bpf_get_attach_cookie(ctx));                            \
	}

#endif
#endif
