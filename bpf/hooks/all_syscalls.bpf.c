/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every system call, where no tracefs says which tracepoint belongs to which. Costs all other system
 * calls a little; loaded only where it must be. */
#include <asm/unistd_64.h>

/* Numbers of 32-bit programs mean other calls. */
static __always_inline int is_compat(void)
{
	return task_read(thread_info.status) & TS_COMPAT;
}

#define ENTERED(name)                                                                              \
	case __NR_##name:                                                                          \
		return name##_entered(&args)

static __always_inline int all_sys_enter_body(struct pt_regs___kernel *regs, long nr)
{
	struct sys_args args;

	if (nr > __NR_recvmmsg && nr != __NR_sendmmsg)
		return 0;
	if (is_compat())
		return 0;
	args = (struct sys_args){{regs->di, regs->si, regs->dx, regs->r10, regs->r8, regs->r9}};
	switch (nr) {
	ENTERED(read);
	ENTERED(readv);
	ENTERED(recvfrom);
	ENTERED(recvmsg);
	ENTERED(recvmmsg);
	ENTERED(write);
	ENTERED(writev);
	ENTERED(sendto);
	ENTERED(sendmsg);
	ENTERED(sendmmsg);
	case __NR_sendfile:
		return sendfile64_entered(&args);
	ENTERED(splice);
	ENTERED(connect);
	ENTERED(shutdown);
	}
	return 0;
}

SYSCALL(all_sys);

TYPED_COPIES("tp_btf/sys_enter", all_sys_enter, all_sys, SAME_THREAD, all_sys_enter_body(regs, nr),
		      struct pt_regs___kernel *regs, long nr)

static __always_inline int all_sys_exit_body(struct pt_regs___kernel *regs, long ret)
{
	unsigned long nr = regs->orig_ax;
	__u8 direction = LLMTAP_READ;
	enum io_form form = IO_FLAT;

	if (nr > __NR_recvmmsg && nr != __NR_sendmmsg)
		return 0;
	if (is_compat())
		return 0;
	switch (nr) {
	case __NR_connect:
		return connect_returned(ret);
	case __NR_accept:
	case __NR_accept4:
		return accept4_returned(ret);
	case __NR_shutdown:
		return shutdown_returned(ret);
	case __NR_splice:
		return splice_returned(ret);
	case __NR_read:
	case __NR_recvfrom:
		break;
	case __NR_readv:
		form = IO_VECTOR;
		break;
	case __NR_recvmsg:
		form = IO_MSG;
		break;
	case __NR_recvmmsg:
		form = IO_MMSG;
		break;
	case __NR_write:
	case __NR_sendto:
		direction = LLMTAP_WRITE;
		break;
	case __NR_writev:
		direction = LLMTAP_WRITE;
		form = IO_VECTOR;
		break;
	case __NR_sendmsg:
		direction = LLMTAP_WRITE;
		form = IO_MSG;
		break;
	case __NR_sendmmsg:
		direction = LLMTAP_WRITE;
		form = IO_MMSG;
		break;
	case __NR_sendfile:
		direction = LLMTAP_WRITE;
		form = IO_BYPASS;
		break;
	default:
		return 0;
	}
	return io_exit(ret, direction, form);
}

TYPED_COPIES("tp_btf/sys_exit", all_sys_exit, all_sys, SAME_RETURN, all_sys_exit_body(regs, ret),
		      struct pt_regs___kernel *regs, long ret)
