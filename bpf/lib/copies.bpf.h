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

static __always_inline int have_copies(void)
{
	return 0;
}

#define COPIES(section, name, type, same, call)                                                    \
	SEC(section)                                                                               \
	int name(type *ctx)                                                                        \
	{                                                                                          \
		const int again __attribute__((unused)) = 0;                                       \
		return call;                                                                       \
	}

#define TYPED_COPIES(section, name, same, call, ...)                                               \
	SEC(section)                                                                               \
	int BPF_PROG(name, __VA_ARGS__)                                                            \
	{                                                                                          \
		const int again __attribute__((unused)) = 0;                                       \
		return call;                                                                       \
	}

#else

/* Set by the loader. */
const volatile __u8 copies_loaded = 0;

static __always_inline int have_copies(void)
{
	return copies_loaded;
}

#define LLMTAP_MAX_COPIED 64

/* By program: what its copies on this CPU are running for, by a number of its own; 0: nothing. */
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
		volatile __u64 *note_ = have_copies() ? copy_note(number) : 0;                     \
		if (note_)                                                                         \
			*note_ = same;                                                             \
		result_;                                                                           \
	})

#define RUN_SECOND(number, same, call)                                                             \
	({                                                                                         \
		const int again __attribute__((unused)) = 1;                                       \
		volatile __u64 *note_ = copy_note(number);                                         \
		int result_ = 0;                                                                   \
		if (note_ && *note_ != (same)) {                                                   \
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
		if (note_ && *note_ == (same))                                                     \
			*note_ = 0;                                                                \
		else                                                                               \
			result_ = call;                                                            \
		result_;                                                                           \
	})

#define NUMBER_OF(name)                                                                            \
	enum { name##_number = __COUNTER__ };                                                      \
	_Static_assert(name##_number < LLMTAP_MAX_COPIED, "raise LLMTAP_MAX_COPIED")

/* `same`: a number, not 0, that the copies of one event share and no other event has meanwhile. */
#define COPIES(section, name, type, same, call)                                                    \
	NUMBER_OF(name);                                                                           \
	SEC(section)                                                                               \
	int name(type *ctx)                                                                        \
	{                                                                                          \
		return RUN_FIRST(name##_number, same, call);                                       \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int name##_copy2(type *ctx)                                                                \
	{                                                                                          \
		return RUN_SECOND(name##_number, same, call);                                      \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int name##_copy3(type *ctx)                                                                \
	{                                                                                          \
		return RUN_THIRD(name##_number, same, call);                                       \
	}

#define TYPED_COPIES(section, name, same, call, ...)                                               \
	NUMBER_OF(name);                                                                           \
	SEC(section)                                                                               \
	int BPF_PROG(name, __VA_ARGS__)                                                            \
	{                                                                                          \
		return RUN_FIRST(name##_number, same, call);                                       \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int BPF_PROG(name##_copy2, __VA_ARGS__)                                                    \
	{                                                                                          \
		return RUN_SECOND(name##_number, same, call);                                      \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int BPF_PROG(name##_copy3, __VA_ARGS__)                                                    \
	{                                                                                          \
		return RUN_THIRD(name##_number, same, call);                                       \
	}

#endif

/* Of what a thread does: it does one thing at a time. */
#define SAME_THREAD bpf_get_current_pid_tgid()

#endif
