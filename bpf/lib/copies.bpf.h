/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From Linux 7.2 on programs at tracepoints are preempted, and while a thread is preempted in the middle of a
 * run the kernel skips that program for everybody else on its CPU (prog->active). So there each is attached
 * three times: a copy that has run notes for what, the next one does what it does not find noted.
 *
 * It may be done twice: the note is the CPU's, and a thread that is preempted between two copies can find
 * another's in its place. So nothing may change when it is; where that needs care, `call` looks at `again`. */
#ifndef LLMTAP_COPIES_H
#define LLMTAP_COPIES_H

#ifdef LLMTAP_COMPATIBLE

#define NOTE_OF(event) _Static_assert(1, "no copies, no notes")

#define COPIES(section, name, type, event, same, call)                                             \
	SEC(section)                                                                               \
	int name(type *ctx)                                                                        \
	{                                                                                          \
		const int again __attribute__((unused)) = 0;                                       \
		return call;                                                                       \
	}

#define TYPED_COPIES(section, name, event, same, call, ...)                                        \
	SEC(section)                                                                               \
	int BPF_PROG(name, __VA_ARGS__)                                                            \
	{                                                                                          \
		const int again __attribute__((unused)) = 0;                                       \
		return call;                                                                       \
	}

#else

/* Set by the loader. */
const volatile __u8 copies_loaded = 0;
/* For tests: nothing is found noted. */
const volatile __u8 every_copy_runs = 0;

#define LLMTAP_MAX_COPIED 64

/* By event: what its copies on this CPU ran for last; 0: nothing. A copy that is to clear it may be skipped too:
 * a call and its return share one, so that a note is overwritten before its like comes again. */
struct copy_notes {
	__u64 done[LLMTAP_MAX_COPIED];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct copy_notes);
} copy_notes_by_cpu SEC(".maps");

static __always_inline volatile __u64 *copy_note(__u32 number)
{
	__u32 zero = 0;
	struct copy_notes *notes = bpf_map_lookup_elem(&copy_notes_by_cpu, &zero);

	return notes ? &notes->done[number] : 0;
}

#define RUN_FIRST(number, same, call)                                                              \
	({                                                                                         \
		const int again __attribute__((unused)) = 0;                                       \
		int result_ = call;                                                                \
		volatile __u64 *note_ = copies_loaded ? copy_note(number) : 0;                     \
		if (note_)                                                                         \
			*note_ = same;                                                             \
		result_;                                                                           \
	})

#define RUN_SECOND(number, same, call)                                                             \
	({                                                                                         \
		const int again __attribute__((unused)) = 1;                                       \
		volatile __u64 *note_ = copy_note(number);                                         \
		int result_ = 0;                                                                   \
		if (note_ && (every_copy_runs || *note_ != (same))) {                              \
			result_ = call;                                                            \
			*note_ = same;                                                             \
		}                                                                                  \
		result_;                                                                           \
	})

/* The last one: its like may come again, and is not what was noted. */
#define RUN_THIRD(number, same, call)                                                              \
	({                                                                                         \
		const int again __attribute__((unused)) = 1;                                       \
		volatile __u64 *note_ = copy_note(number);                                         \
		int result_ = 0;                                                                   \
		if (note_ && !every_copy_runs && *note_ == (same))                                 \
			*note_ = 0;                                                                \
		else                                                                               \
			result_ = call;                                                            \
		result_;                                                                           \
	})

#define NOTE_OF(event)                                                                             \
	enum { event##_note = __COUNTER__ };                                                       \
	_Static_assert(event##_note < LLMTAP_MAX_COPIED, "raise LLMTAP_MAX_COPIED")

/* `same`: a number, not 0, that the copies of one run of `event` share and no other run has meanwhile. */
#define COPIES(section, name, type, event, same, call)                                             \
	SEC(section)                                                                               \
	int name(type *ctx)                                                                        \
	{                                                                                          \
		return RUN_FIRST(event##_note, same, call);                                        \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int name##_copy2(type *ctx)                                                                \
	{                                                                                          \
		return RUN_SECOND(event##_note, same, call);                                       \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int name##_copy3(type *ctx)                                                                \
	{                                                                                          \
		return RUN_THIRD(event##_note, same, call);                                        \
	}

#define TYPED_COPIES(section, name, event, same, call, ...)                                        \
	SEC(section)                                                                               \
	int BPF_PROG(name, __VA_ARGS__)                                                            \
	{                                                                                          \
		return RUN_FIRST(event##_note, same, call);                                        \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int BPF_PROG(name##_copy2, __VA_ARGS__)                                                    \
	{                                                                                          \
		return RUN_SECOND(event##_note, same, call);                                       \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int BPF_PROG(name##_copy3, __VA_ARGS__)                                                    \
	{                                                                                          \
		return RUN_THIRD(event##_note, same, call);                                        \
	}

#endif

/* Of what a thread does: it does one thing at a time, and to leave the CPU, or to be preempted, is to be
 * switched away from. */
#define SAME_THREAD                                                                                \
	((__u64)(bpf_get_current_task_btf()->nvcsw + bpf_get_current_task_btf()->nivcsw) << 32 |   \
	 (__u32)bpf_get_current_pid_tgid())
#define SAME_RETURN (SAME_THREAD | 1U << 31)

#endif
