/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

static __always_inline int emit_process(__u16 type, __u64 start_ns)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct llmtap_process_event *event;

	if (process_excluded(pid_tgid >> 32))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_lost(LLMTAP_LOST_RING_FULL, 0);
		return 0;
	}
	fill_hdr(&event->hdr, type, sizeof(*event), pid_tgid, 0);
	event->process_start_ns = start_ns;
	event->device = 0;
	event->inode = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, wakeup(0, sizeof(*event)));
	return 0;
}

/* execve() keeps the thread id and drops the address space, and with it all calls in progress. */
static __always_inline int process_exec_body(int old_pid)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	/* A thread other than the leader takes over the leader's id. */
	thread_forget(old_pid);
	if (process_may_be_flagged(pid_tgid >> 32)) {
		__u32 tgid = pid_tgid >> 32;
		struct process_flags *process = bpf_map_lookup_elem(&process_flags, &tgid);

		/* The rest was of the old program. */
		if (process) {
			process->flags &= LLMTAP_PROCESS_EXCLUDED;
			process->own_links = 0;
			process->both_links = 0;
		}
	}
	return emit_process(LLMTAP_EVENT_EXEC, process_start_ns());
}

NOTE_OF(process_exec);

TYPED_COPIES("tp_btf/sched_process_exec", process_exec, process_exec, SAME_THREAD, process_exec_body(old_pid),
		      struct task_struct *task, int old_pid, struct linux_binprm *bprm)

static __always_inline int process_exit_body(struct task_struct *task)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 tgid = pid_tgid >> 32;

	thread_forget(pid_tgid);
	/* do_exit() has counted this thread off already. */
	if (task->signal->live.counter)
		return 0;
	emit_process(LLMTAP_EVENT_EXIT, process_start_ns());
	if (process_may_be_flagged(tgid))
		bpf_map_delete_elem(&process_flags, &tgid);
	return 0;
}

NOTE_OF(process_exit);

TYPED_COPIES("tp_btf/sched_process_exit", process_exit, process_exit, SAME_THREAD, process_exit_body(task),
		      struct task_struct *task)
