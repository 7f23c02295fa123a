/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A request that is, byte for byte, the one before it on its connection, which userspace found by its head
 * alone to be no LLM call: neither it nor its reply is copied again. Health checks and scrapes are such. */
#ifndef LLMTAP_REPEAT_H
#define LLMTAP_REPEAT_H

/* Chosen by the loader: nobody can make a request that hashes as another. */
const volatile __u64 hash_seed = 1;
/* How long userspace is not asked again: what it knows of the program may change. */
#define LLMTAP_REPEATS_NS 1000000000ULL

static __always_inline int is_reply_to_repeat(const struct conn *conn, __u8 direction)
{
	return conn->repeating && direction != conn->request_direction;
}

#ifdef LLMTAP_COMPATIBLE
static __always_inline int request_repeats(struct conn *conn, const struct moved *moved, __u32 sequence)
{
	return 0;
}
#else
/* 0: not readable. */
__noinline __u64 hash_of_request(struct thread *thread, __u64 from, __u64 bytes)
{
	__u64 hash = hash_seed, n = bytes, word, left;

	if (!thread || n == 0 || n >= LLMTAP_REPEAT_BYTES)
		return 0;
	/* Said so that the verifier of 6.12 follows: the compiler forgets what it knows, and masks. */
	barrier_var(n);
	n &= LLMTAP_REPEAT_BYTES - 1;
	if (bpf_probe_read_user(thread->request, n, (const void *)from))
		return 0;
	for (__u32 i = 0; i < LLMTAP_REPEAT_BYTES / 8; i++) {
		if (i * 8 >= n)
			break;
		word = thread->request[i];
		left = n - i * 8;
		if (left < 8)
			word &= (1ULL << left * 8) - 1;
		hash = (hash ^ word) * (hash_seed | 1);
		hash ^= hash >> 29;
	}
	return hash;
}

/* `moved` begins a turn and its class is known; `sequence` is its record's. */
static __always_inline int request_repeats(struct conn *conn, const struct moved *moved, __u32 sequence)
{
	__u64 hash = 0, word;
	struct thread *thread;

	if (conn->request_bytes && conn->request_direction != moved->direction)
		return 0;
	thread = thread_find();
	if (thread && conn->message_class == LLMTAP_CLASS_HTTP1_REQUEST && !moved->iovecs && !moved->loss &&
	    !conn->pipelines)
		hash = hash_of_request(thread, moved->pointer, moved->bytes);
	if (!hash) {
		conn->request_bytes = 0;
		return 0;
	}
	if (conn->request_bytes != moved->bytes || conn->request_hash != hash ||
	    moved->entry_time_ns - conn->request_time_ns > LLMTAP_REPEATS_NS) {
		conn->request_bytes = moved->bytes;
		conn->request_hash = hash;
		conn->request_time_ns = moved->entry_time_ns;
		conn->request_sequence = sequence;
		conn->request_direction = moved->direction;
		return 0;
	}
	/* Of one that was the same as this. */
	word = verdict_word(conn);
	return (word & 7) == LLMTAP_VERDICT_REPEATS && ((word >> 4) & 1) == moved->direction &&
	       (((__u32)(word >> 8) - conn->request_sequence) & 0xfffffff) <
		       ((sequence - conn->request_sequence) & 0xfffffff);
}
#endif

#endif
