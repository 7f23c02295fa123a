/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef LLMTAP_MAPS_H
#define LLMTAP_MAPS_H

#define LLMTAP_MAX_CONNECTIONS 131072
#define LLMTAP_MAX_THREADS 65536
#define LLMTAP_TLS_NESTING 4
#define LLMTAP_HEAD_BYTES 24
#define LLMTAP_VERDICT_SLOTS 65536
#define LLMTAP_SAMPLE_BYTES 512
#define LLMTAP_HEADS_BYTES 16384
#define LLMTAP_REPEAT_BYTES 512
#define LLMTAP_HELLO_BYTES 4096
#define LLMTAP_MAX_IOVECS 1024 /* UIO_MAXIOV */
#define LLMTAP_MAX_MESSAGES 65536

/* Set by the loader before the programs are verified. */
const volatile __u32 own_tgid = 0;
const volatile __u64 first_conn_id = 1;
const volatile __u64 wakeup_bytes = 512 * 1024;
/* Beyond it the bytes of one turn are a counted gap. */
const volatile __u64 turn_cap_bytes = 256ULL << 20;

/* 0: size classes even where exact records would work. */
const volatile __u32 exact_records = 1;

/* Set by userspace: what is not known yet is not looked at. */
__u32 refuse_new_connections = 0;

/* What the reader of the ring is doing; it writes ASLEEP before a long wait and SOON before a short one. */
enum reader_state {
	READER_SOON = 0,   /* comes by itself within a millisecond or two */
	READER_ASLEEP = 1, /* waits long: has to be woken for what is urgent */
	READER_WANTED = 2, /* something urgent is in the ring; woken if it was asleep */
};
__u32 reader_state = READER_SOON;
/* How often the reader was woken for something urgent. */
__u64 urgent_wakeups = 0;

__u64 conns_made = 0;
__u64 conns_ended = 0;
/* Nonzero at tgid % LLMTAP_FLAG_SLOTS: process_flags may have an entry. */
#define LLMTAP_FLAG_SLOTS 4096
__u8 processes_flagged[LLMTAP_FLAG_SLOTS] = {};
/* How often LLMTAP_PROCESS_SWITCHES was set here: userspace reads the map when it moves. */
__u32 switchers_seen = 0;

/* All events, in one order. Written by every hook, read by the core thread. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20); /* the loader sets its own */
} events SEC(".maps");

#ifdef LLMTAP_COMPATIBLE
#define LLMTAP_MAX_CPUS 1024
/* How many connections each CPU has numbered. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} conns_made_by_cpu SEC(".maps");
#endif

struct lost_count {
	__u64 events;
	__u64 bytes;
};

/* enum llmtap_loss -> what was lost on this CPU. Never reset. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LLMTAP_LOST_MAX);
	__type(key, __u32);
	__type(value, struct lost_count);
} lost SEC(".maps");

/* Of the bytes of all streams on this CPU. Never reset. passed = captured + left_out + what `lost` has. */
struct byte_book {
	__u64 passed;         /* what hooked calls moved, and what was found to have moved beside them */
	__u64 captured;
	__u64 left_out;       /* by verdict or class */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct byte_book);
} byte_books SEC(".maps");

#define LLMTAP_PROCESS_EXCLUDED 0x1
/* Runs several stacks on one thread, or is known to: a return probe would break it. */
#define LLMTAP_PROCESS_SWITCHES 0x2
/* Made an LLM call, or is about to: its TLS calls are not counted in file_hits. */
#define LLMTAP_PROCESS_EVIDENT 0x4

struct process_flags {
	__u64 flags;       /* LLMTAP_PROCESS_… */
	__u64 own_links;   /* bit LLMTAP_COOKIE_FILE: the link there that is this process's alone counts, */
	__u64 both_links;  /* both do: one of them is about to come or to go; */
			   /* neither: the one that all share. */
};

/* tgid -> what is known of the process. Written by userspace, deleted when the process exits. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct process_flags);
} process_flags SEC(".maps");

/* By file: calls of processes without LLMTAP_PROCESS_EVIDENT that met its shared link. About: not atomic. */
struct file_hits {
	__u64 hits[LLMTAP_COOKIE_FILES];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct file_hits);
} file_hits SEC(".maps");

/* Verdicts, at index conn_id % slots: one word, so that userspace writes it with one store.
 *   bits 63..36  conn_id / slots, its low 28 bits
 *   bits 35..8   sequence of the last record that userspace had seen, its low 28 bits
 *   bit  4       direction of that record
 *   bits 2..0    enum llmtap_verdict
 * Two connections in one slot: the older verdict is forgotten and that connection is undecided
 * again, which costs time and loses nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LLMTAP_VERDICT_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} verdicts SEC(".maps");

struct conn_key {
	__u64 object; /* struct sock * or SSL * */
	__u64 owner;  /* tgid of an SSL *; 0 for a socket */
};

enum conn_final {
	FINAL_NO = 0,
	FINAL_OTHER = 1, /* first bytes seen and they are no protocol of ours */
	FINAL_TLS = 2,   /* ciphertext: nothing after the hello records is copied */
};

struct conn {
	__u64 id;
	__u64 open_time_ns;
	__u64 sk;             /* key of the socket's connection, as a number */
	__u64 inode;
	__u64 tls_object;
	__u64 socket_conn_id; /* of a TLS connection */
	__u64 tls_conn_id;    /* of a socket: the TLS connection above it */
	__u64 process_start_ns;
	__u64 offset[2];
	__u64 hello_end[2];   /* TLS on a socket: copy up to this offset */
	__u64 turn_bytes;
	__u64 before[2];      /* tcp_bytes() minus offset, when the entry was made */
	__u64 lost[2];        /* bytes lost since the direction's last record, for which none stands yet */
	__u64 request_hash;   /* lib/repeat.bpf.h: of the latest, and since when it is the same */
	__u64 request_time_ns;
	__u32 request_bytes;  /* 0: none to compare with */
	__u32 request_sequence;
	__u32 base[2];        /* tcp_position() minus offset, when the entry was made */
	__u32 busy[2];        /* calls in progress, counted while `http` */
	__u32 sequence[2];
	__u32 turn_sequence;  /* of the turn's first call */
	__u32 tgid;
	__u32 netns;
	__s32 fd;
	__u32 local_address[4];
	__u32 remote_address[4];
	__u16 local_port;
	__u16 remote_port;
	__u16 epoch;          /* of a TLS connection: LLMTAP_COOKIE_EPOCH of the link that follows it */
	__u8 role;
	__u8 source;
	__u8 has_addresses;
	__u8 first_byte_seen;
	__u8 announced;
	__u8 moved;           /* some byte passed */
	__u8 turned;          /* the direction changed once */
	__u8 direction;
	__u8 message_class;   /* of the turn's first bytes */
	__u8 http;            /* some message was HTTP: enum llmtap_class */
	__u8 final;           /* enum conn_final */
	__u8 head_bytes;
	__u8 ended;           /* bit per enum llmtap_end_reason already said */
	__u8 hello_known[2];
	__u8 fin_sent;
	__u8 write_failed;
	__u8 compat;          /* opened by a 32-bit program */
	__u8 lost_reason[2];  /* enum llmtap_loss of `lost` */
	__u8 left_out;        /* bit per direction: some bytes since its last record have none because nobody wants them */
	__u8 request_direction;
	__u8 repeating;       /* the exchange in progress is one of those */
	__u8 pipelines;       /* requests before the reply to the last: no turn tells them apart */
	__u8 unfollowed;      /* calls may have passed while no link was there: what comes is another connection */
	__u8 head[2 * LLMTAP_HEAD_BYTES]; /* first bytes of the turn; twice, for the verifier's bound */
};

/* Open connections. Made by the first hook that sees one; a socket's is deleted when the kernel
 * closes the socket, a TLS object's at SSL_free, or by userspace when its process exits or execs, or when its
 * socket was closed and nobody saw it freed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LLMTAP_MAX_CONNECTIONS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct conn_key);
	__type(value, struct conn);
} conn_by_key SEC(".maps");

static const struct conn no_conn = {};

/* When the current process started, in the unit of /proc/PID/stat (10 ms ticks of the boot clock), so that
 * userspace finds the same process by what it reads there. */
static __always_inline __u64 process_start_ns(void)
{
	__u64 start;

	if (task_is_typed)
		start = bpf_get_current_task_btf()->group_leader->start_boottime;
	else
		start = kernel_read(task_struct, task_read(group_leader), start_boottime);
	return start - start % 10000000;
}

/* A nested program on this CPU may count between load and store. */
static __always_inline void count_passed(__u64 bytes)
{
	__u32 zero = 0;
	struct byte_book *book = bpf_map_lookup_elem(&byte_books, &zero);

	if (book && bytes) /* an atomic addition of 0 becomes an `or`, which needs 5.12 */
		__sync_fetch_and_add(&book->passed, bytes);
}

static __always_inline void count_captured(__u64 bytes)
{
	__u32 zero = 0;
	struct byte_book *book = bpf_map_lookup_elem(&byte_books, &zero);

	if (book && bytes)
		__sync_fetch_and_add(&book->captured, bytes);
}

static __always_inline void count_left_out(__u64 bytes)
{
	__u32 zero = 0;
	struct byte_book *book = bpf_map_lookup_elem(&byte_books, &zero);

	if (book && bytes)
		__sync_fetch_and_add(&book->left_out, bytes);
}

/* Bytes that count_passed() has counted. */
static __always_inline void count_passed_lost(__u32 reason, __u64 bytes)
{
	struct lost_count *count = bpf_map_lookup_elem(&lost, &reason);

	if (count) {
		__sync_fetch_and_add(&count->events, 1);
		if (bytes)
			__sync_fetch_and_add(&count->bytes, bytes);
	}
}

/* Bytes that never came to stream_bytes(). */
static __always_inline void count_lost(__u32 reason, __u64 bytes)
{
	/* No entry, because none is given. */
	if (reason == LLMTAP_LOST_MAP_FULL && *(volatile __u32 *)&refuse_new_connections)
		reason = LLMTAP_LOST_SHED;
	count_passed(bytes);
	count_passed_lost(reason, bytes);
}

static __always_inline int process_may_be_flagged(__u32 tgid)
{
	return processes_flagged[tgid & (LLMTAP_FLAG_SLOTS - 1)];
}

/* NULL: nothing. */
static __always_inline struct process_flags *flags_of_process(__u32 tgid)
{
	return process_may_be_flagged(tgid) ? bpf_map_lookup_elem(&process_flags, &tgid) : 0;
}

static __always_inline int process_excluded(__u32 tgid)
{
	struct process_flags *process;

	if (tgid == own_tgid)
		return 1;
	process = flags_of_process(tgid);
	return process && (process->flags & LLMTAP_PROCESS_EXCLUDED);
}

/* Two links may be at a place of a process; their programs run one after the other. */
static __always_inline int both_links_count(__u64 cookie, const struct process_flags *process)
{
	return process && (process->both_links >> LLMTAP_COOKIE_FILE(cookie) & 1);
}

/* The one that is not asked for leaves the call to the other. */
static __always_inline int link_is_idle(__u64 cookie, const struct process_flags *process)
{
	__u64 own = process ? process->own_links >> LLMTAP_COOKIE_FILE(cookie) & 1 : 0;

	return LLMTAP_COOKIE_FILE(cookie) && own != LLMTAP_COOKIE_OWN(cookie) &&
	       !both_links_count(cookie, process);
}

static __always_inline void count_file_hit(__u64 cookie)
{
	__u64 file = LLMTAP_COOKIE_FILE(cookie);
	__u32 zero = 0;
	struct file_hits *count;

	if (!file)
		return;
	count = bpf_map_lookup_elem(&file_hits, &zero);
	if (count)
		count->hits[file & (LLMTAP_COOKIE_FILES - 1)]++;
}

/* 32-bit programs: their system calls fire no per-call tracepoint. */
static __always_inline int current_is_compat(void)
{
#ifdef LLMTAP_COMPATIBLE
	return task_read(thread_info.status) & TS_COMPAT;
#else
	struct pt_regs *regs;

	/* 5.15. Not by its address space: the last files are closed after that is gone. */
	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return *(__u16 *)&regs->cs == USER32_CS;
#endif
}

static __always_inline __u64 new_conn_id(void)
{
#ifdef LLMTAP_COMPATIBLE
	/* Each CPU has its own numbers; these kernels run the programs without preemption. */
	__u32 zero = 0;
	__u64 *made = bpf_map_lookup_elem(&conns_made_by_cpu, &zero);

	__sync_fetch_and_add(&conns_made, 1);
	if (!made)
		return 0;
	return first_conn_id + (*made)++ * LLMTAP_MAX_CPUS + bpf_get_smp_processor_id();
#else
	return first_conn_id + __sync_fetch_and_add(&conns_made, 1);
#endif
}

#endif
