/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Does a thread run on the stack it was born with? A return probe replaces a return address and keeps
 * the original in a list of the thread, in the order of the calls: a program that switches to another
 * stack inside the call and calls from there returns in another order, and dies of it. */
#ifndef LLMTAP_STACK_H
#define LLMTAP_STACK_H

#ifdef LLMTAP_COMPATIBLE
static __always_inline int on_own_stack(struct thread *thread, __u64 sp)
{
	return 1; /* no way to find a mapping */
}
#else
struct stack_search {
	__u64 sp;
	__u64 low;
	__u64 high;
};

static long stack_area(struct task_struct *task, struct vm_area_struct *vma, struct stack_search *search)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct mm_struct *mm = current->mm;
	__u64 low = vma->vm_start, high = vma->vm_end;
	__u64 thread_area = current->thread.fsbase;

	/* The first thread's is where the kernel put the arguments. All others' end at the thread
	 * library's own block, which it puts on top of the stack that it allocates. */
	if (current->pid == current->tgid) {
		if (!mm || mm->start_stack < low || mm->start_stack >= high)
			return 0;
	} else {
		if (thread_area <= search->sp || thread_area < low || thread_area > high)
			return 0;
		high = thread_area;
	}
	search->low = low;
	search->high = high;
	return 0;
}

static __always_inline int on_own_stack(struct thread *thread, __u64 sp)
{
	struct stack_search search = {.sp = sp};

	if (sp >= thread->stack_low && sp < thread->stack_high)
		return 1;
	/* 5.17. Busy: its memory map is being changed; the next call asks again. */
	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_find_vma) ||
	    bpf_find_vma((struct task_struct *)bpf_get_current_task_btf(), sp, stack_area, &search, 0))
		return 1;
	if (!search.high)
		return 0;
	thread->stack_low = search.low;
	thread->stack_high = search.high;
	return 1;
}

#endif

static __always_inline void process_switches(__u32 tgid)
{
	struct process_flags *process = bpf_map_lookup_elem(&process_flags, &tgid);
	struct process_flags first = {.flags = LLMTAP_PROCESS_SWITCHES};

	if (process)
		process->flags |= LLMTAP_PROCESS_SWITCHES;
	else
		bpf_map_update_elem(&process_flags, &tgid, &first, BPF_NOEXIST);
	processes_flagged[tgid & (LLMTAP_FLAG_SLOTS - 1)] = 1;
	__sync_fetch_and_add(&switchers_seen, 1);
}

#endif
