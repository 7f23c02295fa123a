/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A system call reaches its hook through a tracepoint of its own, or, where no tracefs gives the
 * tracepoint's id, through one program for all system calls (hooks/all_syscalls.bpf.c). */
#ifndef LLMTAP_SYSCALL_H
#define LLMTAP_SYSCALL_H

struct sys_enter_ctx {
	__u64 common;
	__s64 nr;
	__u64 args[6];
};

struct sys_exit_ctx {
	__u64 common;
	__s64 nr;
	__s64 ret;
};

struct sys_args {
	__u64 arg[6];
};

/* Before both. */
#define SYSCALL(name) NOTE_OF(name)

#define SYSCALL_ENTER(name)                                                                        \
	static __always_inline int name##_entered(const struct sys_args *args);                    \
	static __always_inline int name##_entering(const struct sys_enter_ctx *ctx)                \
	{                                                                                          \
		struct sys_args args = {{ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3],   \
					 ctx->args[4], ctx->args[5]}};                             \
		return name##_entered(&args);                                                      \
	}                                                                                          \
	COPIES("tracepoint/syscalls/sys_enter_" #name, name##_enter,                               \
			struct sys_enter_ctx, name, SAME_THREAD, name##_entering(ctx))                   \
	static __always_inline int name##_entered(const struct sys_args *args)

#define SYSCALL_EXIT(name)                                                                         \
	static __always_inline int name##_returned(__s64 ret);                                     \
	COPIES("tracepoint/syscalls/sys_exit_" #name, name##_exit, struct sys_exit_ctx,            \
			name, SAME_RETURN, name##_returned(ctx->ret))                                    \
	static __always_inline int name##_returned(__s64 ret)

#endif
