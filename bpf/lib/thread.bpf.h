/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a thread is doing: the calls that it is in. */
#ifndef LLMTAP_THREAD_H
#define LLMTAP_THREAD_H

/* One call of a TLS library that a thread is in. */
struct tls_call {
	__u64 sp; /* stack pointer at entry, 0: free. Pairs entry and return whatever happens between */
	__u64 ssl;
	__u64 buffer;
	__u64 bytes;
	__u64 count_pointer;
	__u64 entry_time_ns;
	__u8 kind;
	__u8 inner;           /* wrapped by a call that is counted */
	__u8 tail_calls;      /* further entries at the same stack pointer */
	__u8 early;           /* inside SSL_write_early_data or SSL_read_early_data */
	__u8 bound;           /* its socket is known and said */
	__u8 own;             /* LLMTAP_COOKIE_OWN of the link whose entry this is */
	__u8 pad[2];
};

/* What one returned call moved. */
struct moved {
	__u64 pointer;       /* buffer, or array of `iovecs` iovecs */
	__u64 bytes;
	__u64 iovecs;
	__u64 entry_time_ns;
	__u8 direction;
	__u8 loss;           /* nonzero: the bytes cannot be copied, and why */
	__u8 early_data;
	__u8 counted;        /* this call itself is in `busy` */
	__u8 pad[4];
};

/* One call's worth of a direction's stream, as it is being emitted. Scalars only: it is the context
 * of bpf_loop. */
struct emission {
	__u64 conn_id;
	__u64 pid_tgid;
	__u64 time_ns;
	__u64 entry_time_ns;
	__u64 offset;
	__u64 pointer;       /* user memory of the next byte, or the iovec array */
	__u64 left;          /* bytes of the call not yet stood for by a record */
	__u64 copy_left;     /* of them, to be copied */
	__u64 iovec_skip;
	__u32 sequence;
	__u16 flags;
	__u8 direction;
	__u8 source;
	__u8 loss;           /* why the rest after copy_left is not copied */
	__u8 message_class;
	__u8 urgent;
	__u8 unsaid;         /* a record of this call found no room in the ring: the rest goes with it */
	__u32 named;         /* bytes of the call's last record that are counted as lost for `loss` */
	__u32 iovecs_left;
	__u32 lost;          /* bytes of this call that would have been copied, and found no room */
};

/* The system call a thread is in. */
struct io_call {
	__u64 sk;
	__u64 inode;
	__u64 pointer;
	__u64 count;
	__u64 entry_time_ns;
	__u32 flags;
	__s32 fd;
	__u8 active;
	__u8 direction;
	__u8 counted;         /* in `busy` of the connection */
	__u8 ciphertext;      /* of a TLS connection that is known: only a failure is of interest */
	__u8 pad[4];
};

struct thread {
	struct io_call io;
	struct tls_call tls[LLMTAP_TLS_NESTING];
	__u32 tls_depth;
	__u32 tls_top;        /* index of the latest entry */
	__u64 last_tls_read;  /* sk of the last socket with ciphertext read here */
	__u64 pending_ssl;    /* TLS object whose ciphertext is to be written next */
	__u64 stack_low;      /* of the stack that the kernel or the thread library gave it */
	__u64 stack_high;
#ifndef LLMTAP_COMPATIBLE
	__u64 request[LLMTAP_REPEAT_BYTES / 8];
#else
	/* Global functions take numbers only: what they work on is the thread's. */
	struct moved moved;
	struct emission emission;
#endif
};

#ifdef LLMTAP_COMPATIBLE
/* pid_tgid -> what the thread is doing. Made at a thread's first hooked call, deleted when it exits.
 * Not LRU: eviction would drop calls without a word. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LLMTAP_MAX_THREADS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct thread);
} thread_by_id SEC(".maps");

static const struct thread no_thread = {};
#else
/* What the thread is doing. Made at its first hooked call, gone with it. Found without a look-up by key:
 * a thread that never made such a call has none, which is what most returns need to know. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} thread_by_id SEC(".maps");
#endif

#ifdef LLMTAP_COMPATIBLE
static __always_inline struct thread *thread_find(void)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&thread_by_id, &pid_tgid);
}

static __always_inline struct thread *thread_make(void)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&thread_by_id, &pid_tgid);

	if (thread)
		return thread;
	bpf_map_update_elem(&thread_by_id, &pid_tgid, &no_thread, BPF_NOEXIST);
	return bpf_map_lookup_elem(&thread_by_id, &pid_tgid);
}

/* The current thread's, and the one that it had before execve() gave it the leader's id. */
static __always_inline void thread_forget(__u32 old_tid)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&thread_by_id, &pid_tgid);
	if (old_tid == (__u32)pid_tgid)
		return;
	pid_tgid = (pid_tgid >> 32 << 32) | old_tid;
	bpf_map_delete_elem(&thread_by_id, &pid_tgid);
}
#else
/* The same for threads that the kernel refuses a storage: it may, while their CPU is in the middle of another
 * thread's (bpf_task_storage_busy, kernel/bpf/bpf_task_storage.c). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct thread);
} spare_threads SEC(".maps");
__u64 spare_threads_used = 0;

static const struct thread no_thread = {};

static __always_inline struct thread *thread_find(void)
{
	struct thread *thread = bpf_task_storage_get(&thread_by_id, bpf_get_current_task_btf(), 0, 0);
	__u64 pid_tgid;

	if (thread || !*(volatile __u64 *)&spare_threads_used)
		return thread;
	pid_tgid = bpf_get_current_pid_tgid();
	return bpf_map_lookup_elem(&spare_threads, &pid_tgid);
}

static __always_inline struct thread *thread_make(void)
{
	struct thread *thread = thread_find();
	__u64 pid_tgid;

	if (thread)
		return thread;
	thread = bpf_task_storage_get(&thread_by_id, bpf_get_current_task_btf(), 0,
				      BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		return thread;
	pid_tgid = bpf_get_current_pid_tgid();
	if (!bpf_map_update_elem(&spare_threads, &pid_tgid, &no_thread, BPF_NOEXIST))
		__sync_fetch_and_add(&spare_threads_used, 1);
	return bpf_map_lookup_elem(&spare_threads, &pid_tgid);
}

static __always_inline void thread_forget(__u32 old_tid)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	bpf_task_storage_delete(&thread_by_id, bpf_get_current_task_btf());
	if (!*(volatile __u64 *)&spare_threads_used)
		return;
	if (!bpf_map_delete_elem(&spare_threads, &pid_tgid))
		__sync_fetch_and_add(&spare_threads_used, -1);
	pid_tgid = (pid_tgid >> 32 << 32) | old_tid;
	if (!bpf_map_delete_elem(&spare_threads, &pid_tgid))
		__sync_fetch_and_add(&spare_threads_used, -1);
}
#endif

#endif
