/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* While a program at a tracepoint is in the middle of a run, the kernel skips it for everybody else on that CPU
 * (prog->active): for an interrupt, and, from Linux 7.2 on, at system calls for whoever runs while it is
 * preempted. So each is there three times: the next copy does what the ones before it were skipped for. */
#ifndef LLMTAP_COPIES_H
#define LLMTAP_COPIES_H

#ifdef LLMTAP_COMPATIBLE

static __always_inline int calls_may_be_skipped(void)
{
	return 0;
}

#define COPIES(section, name, type, call, wanted)                                                  \
	SEC(section)                                                                               \
	int name(type *ctx)                                                                        \
	{                                                                                          \
		return call;                                                                       \
	}

#define TYPED_COPIES(section, name, call, wanted, ...)                                             \
	SEC(section)                                                                               \
	int BPF_PROG(name, __VA_ARGS__)                                                            \
	{                                                                                          \
		return call;                                                                       \
	}

#else

/* Whether those at system calls have copies; set by the loader. */
const volatile __u8 calls_have_copies = 0;

static __always_inline int calls_may_be_skipped(void)
{
	return calls_have_copies;
}

#define LLMTAP_MAX_COPIED 64

/* Which of the first two copies is in the middle of a run on this CPU. */
struct in_flight {
	__u8 first[LLMTAP_MAX_COPIED];
	__u8 second[LLMTAP_MAX_COPIED];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct in_flight);
} in_flight_by_cpu SEC(".maps");

static __always_inline struct in_flight *in_flight(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&in_flight_by_cpu, &zero);
}

#define RUN_FIRST(number, call, wanted)                                                            \
	({                                                                                         \
		struct in_flight *flight_ = (wanted) ? in_flight() : 0;                            \
		int result_;                                                                       \
		if (flight_)                                                                       \
			*(volatile __u8 *)&flight_->first[number] = 1;                             \
		result_ = call;                                                                    \
		if (flight_)                                                                       \
			*(volatile __u8 *)&flight_->first[number] = 0;                             \
		result_;                                                                           \
	})

#define RUN_SECOND(number, call)                                                                   \
	({                                                                                         \
		struct in_flight *flight_ = in_flight();                                           \
		int result_ = 0;                                                                   \
		if (flight_ && *(volatile __u8 *)&flight_->first[number]) {                        \
			*(volatile __u8 *)&flight_->second[number] = 1;                            \
			result_ = call;                                                            \
			*(volatile __u8 *)&flight_->second[number] = 0;                            \
		}                                                                                  \
		result_;                                                                           \
	})

#define RUN_THIRD(number, call)                                                                    \
	({                                                                                         \
		struct in_flight *flight_ = in_flight();                                           \
		flight_ && *(volatile __u8 *)&flight_->first[number] &&                            \
				*(volatile __u8 *)&flight_->second[number] ?                       \
			call :                                                                     \
			0;                                                                         \
	})

#define NUMBER_OF(name)                                                                            \
	enum { name##_number = __COUNTER__ };                                                      \
	_Static_assert(name##_number < LLMTAP_MAX_COPIED, "raise LLMTAP_MAX_COPIED")

#define COPIES(section, name, type, call, wanted)                                                  \
	NUMBER_OF(name);                                                                           \
	SEC(section)                                                                               \
	int name(type *ctx)                                                                        \
	{                                                                                          \
		return RUN_FIRST(name##_number, call, wanted);                                     \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int name##_copy2(type *ctx)                                                                \
	{                                                                                          \
		return RUN_SECOND(name##_number, call);                                            \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int name##_copy3(type *ctx)                                                                \
	{                                                                                          \
		return RUN_THIRD(name##_number, call);                                             \
	}

#define TYPED_COPIES(section, name, call, wanted, ...)                                             \
	NUMBER_OF(name);                                                                           \
	SEC(section)                                                                               \
	int BPF_PROG(name, __VA_ARGS__)                                                            \
	{                                                                                          \
		return RUN_FIRST(name##_number, call, wanted);                                     \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int BPF_PROG(name##_copy2, __VA_ARGS__)                                                    \
	{                                                                                          \
		return RUN_SECOND(name##_number, call);                                            \
	}                                                                                          \
	SEC("?" section)                                                                           \
	int BPF_PROG(name##_copy3, __VA_ARGS__)                                                    \
	{                                                                                          \
		return RUN_THIRD(name##_number, call);                                             \
	}

#endif
#endif
