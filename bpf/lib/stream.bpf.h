/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes that a call moved: position, turn, class, verdict, and what of them is copied. */
#ifndef LLMTAP_STREAM_H
#define LLMTAP_STREAM_H

static __always_inline __u64 verdict_word(const struct conn *conn)
{
	__u32 slot = conn->id % LLMTAP_VERDICT_SLOTS;
	__u64 *word = bpf_map_lookup_elem(&verdicts, &slot);

	if (!word || (*word >> 36) != ((conn->id / LLMTAP_VERDICT_SLOTS) & 0xfffffff))
		return LLMTAP_VERDICT_UNDECIDED;
	return *word;
}

#include "lib/repeat.bpf.h"

/* A verdict other than WANTED counts, but for HTTP/2, for the turn that userspace had seen when it gave it: the
 * latest record it knew must belong to the current turn. */
static __always_inline __u8 verdict_now(const struct conn *conn)
{
	__u64 word = verdict_word(conn);
	__u8 verdict = word & 7;
	__u32 behind;

	/* HTTP/2 turns all the time, and of its frames all or none are of use: userspace takes a
	 * verdict back when it wants to look again. */
	if (verdict <= LLMTAP_VERDICT_WANTED || conn->http == LLMTAP_CLASS_HTTP2)
		return verdict;
	if (((word >> 4) & 1) != conn->direction)
		return LLMTAP_VERDICT_UNDECIDED;
	behind = ((__u32)(word >> 8) - conn->turn_sequence) & 0xfffffff;
	return behind < 0x8000000 ? verdict : LLMTAP_VERDICT_UNDECIDED;
}

/* Adds to the first bytes of the turn what of them this call brought. */
static __noinline int gather_head(struct conn *conn, const struct moved *moved)
{
	__u64 from = moved->pointer;
	__u64 have = conn->head_bytes;
	__u64 n = moved->bytes;

	if (have >= LLMTAP_HEAD_BYTES)
		return 0;
	if (moved->iovecs) {
		struct user_iovec iovec;

		/* Writers put empty vectors first at times. */
		for (__u64 i = 0; i < 4; i++) {
			if (i >= moved->iovecs ||
			    bpf_probe_read_user(&iovec, sizeof(iovec),
						(const void *)(moved->pointer + i * sizeof(iovec))))
				return 0;
			if (iovec.len)
				break;
		}
		from = iovec.base;
		if (n > iovec.len)
			n = iovec.len;
	}
	if (n > LLMTAP_HEAD_BYTES - have)
		n = LLMTAP_HEAD_BYTES - have;
	barrier_var(n);
	barrier_var(have);
	if (n == 0 || n > LLMTAP_HEAD_BYTES || have >= LLMTAP_HEAD_BYTES)
		return 0;
	if (bpf_probe_read_user(conn->head + have, n, (const void *)from))
		return 0;
	conn->head_bytes = have + n;
	conn->message_class = classify(conn->head, conn->head_bytes);
	return 0;
}

static __always_inline __u64 less(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static __always_inline __u64 hello_bytes(const struct conn *conn)
{
	/* Content type handshake; bytes 3 and 4 are the record's length. */
	if (conn->head_bytes < 5 || conn->head[0] != 0x16)
		return 0;
	return less(5 + ((__u64)conn->head[3] << 8 | conn->head[4]), LLMTAP_HELLO_BYTES);
}

/* How many of the call's bytes to copy; sets *emit to 0 when not even a record is due. */
static __always_inline __u64 copy_limit(struct conn *conn, const struct moved *moved, __u64 offset,
					__u8 verdict, int *emit)
{
	__u64 end;

	if (conn->final == FINAL_OTHER) {
		*emit = 0;
		return 0;
	}
	if (conn->final == FINAL_TLS) {
		end = conn->hello_end[moved->direction & 1];
		*emit = end > offset;
		return end > offset ? less(end - offset, moved->bytes) : 0;
	}
	switch (verdict) {
	case LLMTAP_VERDICT_WANTED:
		return moved->bytes;
	case LLMTAP_VERDICT_MUTED:
		*emit = 0;
		return 0;
	case LLMTAP_VERDICT_TIMES:
	case LLMTAP_VERDICT_REPEATS:
		return 0;
	case LLMTAP_VERDICT_HEADS:
		return conn->turn_bytes < LLMTAP_HEADS_BYTES
			       ? less(moved->bytes, LLMTAP_HEADS_BYTES - conn->turn_bytes)
			       : 0;
	}
	if (conn->http)
		return moved->bytes;
	if (conn->turn_bytes >= LLMTAP_SAMPLE_BYTES) {
		*emit = 0;
		return 0;
	}
	return less(moved->bytes, LLMTAP_SAMPLE_BYTES - conn->turn_bytes);
}

static __always_inline void learn_class(struct conn *conn)
{
	__u8 class = conn->message_class;

	if (is_http(class) && !conn->http) {
		conn->http = class;
	} else if (class == LLMTAP_CLASS_TLS && conn->source == LLMTAP_SOURCE_SOCKET) {
		/* Also after plain text: STARTTLS, a proxy's CONNECT. */
		conn->final = FINAL_TLS;
	} else if (class == LLMTAP_CLASS_OTHER && !conn->http && !conn->turned &&
		   conn->first_byte_seen) {
		conn->final = FINAL_OTHER;
	}
}

static __always_inline int stream_call(struct conn *conn, const struct moved *moved,
				       struct emission *e)
{
	__u8 direction;
	__u64 offset, limit, unseen = 0;
	__u8 verdict;
	int emit = 1, turn = 0, begins;

	direction = moved->direction & 1;
	/* Ciphertext behind the hello: never a record, and not in the books, where its plaintext is. */
	if (conn->final == FINAL_TLS && conn->hello_known[direction] &&
	    conn->offset[direction] >= conn->hello_end[direction]) {
		__sync_fetch_and_add(&conn->offset[direction], moved->bytes);
		return 0;
	}
	if (is_reply_to_repeat(conn, direction)) {
		conn->direction = direction;
		__sync_fetch_and_add(&conn->offset[direction], moved->bytes);
		conn->left_out |= 1 << direction;
		count_passed(moved->bytes);
		count_left_out(moved->bytes);
		return 0;
	}
	begins = !conn->moved || conn->direction != direction || conn->repeating;
	if (begins) {
		turn = conn->moved && conn->direction != direction;
		conn->turned |= turn;
		/* A repeat is whole: what follows without a reply is another request. */
		conn->pipelines |= conn->repeating && !turn;
		conn->repeating = 0;
		/* A gap in front of this call's bytes. */
		unseen = conn_unseen(conn, direction, moved->bytes, moved->counted);
		conn->moved = 1;
		conn->direction = direction;
		conn->turn_bytes = 0;
		conn->turn_sequence = conn->sequence[direction];
		if (conn->final != FINAL_OTHER) {
			conn->head_bytes = 0;
			conn->message_class = LLMTAP_CLASS_UNKNOWN;
		}
	} else if (conn->request_direction == direction) {
		conn->request_bytes = 0;
	}
	count_passed(moved->bytes);
	if (unseen) {
		/* Our count moves with TCP's. */
		count_lost(LLMTAP_LOST_UNSEEN, unseen);
		__sync_fetch_and_add(&conn->offset[direction], unseen);
		__sync_fetch_and_add(&conn->lost[direction], unseen);
		conn->lost_reason[direction] = LLMTAP_LOST_UNSEEN;
	}
	offset = fetch_add(&conn->offset[direction], moved->bytes);
	e->sequence = fetch_add(&conn->sequence[direction], 1);
	if (!moved->loss && conn->message_class == LLMTAP_CLASS_UNKNOWN && conn->final != FINAL_OTHER) {
		gather_head(conn, moved);
		if (conn->final == FINAL_NO)
			learn_class(conn);
	}
	if (conn->final == FINAL_TLS && !conn->hello_known[direction] &&
	    conn->message_class != LLMTAP_CLASS_UNKNOWN) {
		conn->hello_known[direction] = 1;
		conn->hello_end[direction] = offset - conn->turn_bytes + hello_bytes(conn);
	}
	if (begins && request_repeats(conn, moved, e->sequence)) {
		conn->repeating = 1;
		conn->left_out |= 1 << direction;
		count_left_out(moved->bytes);
		return 0;
	}
	verdict = verdict_now(conn);
	limit = copy_limit(conn, moved, offset, verdict, &emit);
	e->loss = moved->loss;
	if (moved->loss) {
		limit = 0;
		e->named = moved->bytes;
		if (emit)
			count_passed_lost(moved->loss, moved->bytes);
		else
			count_left_out(moved->bytes);
	} else {
		count_left_out(moved->bytes - limit);
		if (limit && conn->turn_bytes + limit > turn_cap_bytes) {
			e->loss = LLMTAP_LOST_TOO_LARGE;
			e->named = limit;
			count_passed_lost(LLMTAP_LOST_TOO_LARGE, limit);
			limit = 0;
		}
	}
	conn->turn_bytes += moved->bytes;
	if (!emit) {
		conn->left_out |= 1 << direction;
		return 0;
	}
	if (!conn->announced)
		conn_announce(conn);
	/* What was lost has its record first, or this is lost with it. */
	if (conn->lost[direction] && !say_lost(conn, direction, offset)) {
		count_passed_lost(LLMTAP_LOST_RING_FULL, limit);
		__sync_fetch_and_add(&conn->lost[direction], limit ? limit : e->named);
		if (limit)
			conn->lost_reason[direction] = LLMTAP_LOST_RING_FULL;
		if (limit < moved->bytes)
			conn->left_out |= 1 << direction;
		return 0;
	}
	e->conn_id = conn->id;
	e->pid_tgid = bpf_get_current_pid_tgid();
	e->time_ns = bpf_ktime_get_ns();
	e->entry_time_ns = moved->entry_time_ns;
	e->offset = offset;
	e->pointer = moved->pointer;
	e->left = moved->bytes;
	e->copy_left = limit;
	e->flags = (turn ? LLMTAP_FLAG_TURN : 0) | (moved->early_data ? LLMTAP_FLAG_EARLY_DATA : 0) |
		   (conn->left_out & (1 << direction) ? LLMTAP_FLAG_LEFT_OUT : 0);
	conn->left_out &= ~(1 << direction);
	e->direction = direction;
	e->source = conn->source;
	/* A frame in the middle looks like nothing. */
	e->message_class = conn->http == LLMTAP_CLASS_HTTP2 ? LLMTAP_CLASS_HTTP2 : conn->message_class;
	/* HTTP/2 turns all the time. */
	e->urgent = verdict == LLMTAP_VERDICT_UNDECIDED ||
		   (turn && conn->http != LLMTAP_CLASS_HTTP2);
	if (moved->iovecs) {
		e->iovecs_left = less(moved->iovecs, LLMTAP_MAX_IOVECS);
		emit_iovecs(e);
	} else {
		emit_flat(e);
	}
	if (e->unsaid) {
		__sync_fetch_and_add(&conn->lost[direction], e->lost ? e->lost : e->named);
		conn->lost_reason[direction] = e->lost ? LLMTAP_LOST_RING_FULL : e->loss;
		/* Whether all of it or the end of it: what the call's records do not show is not theirs. */
		if (limit < moved->bytes || e->flags & LLMTAP_FLAG_LEFT_OUT)
			conn->left_out |= 1 << direction;
	}
	return 0;
}

#ifdef LLMTAP_COMPATIBLE
__noinline int stream_bytes_of_thread(__u64 object, __u64 owner)
{
	struct thread *thread = thread_find();
	struct conn *conn = conn_find(object, owner);

	if (!thread || !conn)
		return 0;
	__builtin_memset(&thread->emission, 0, sizeof(thread->emission));
	return stream_call(conn, &thread->moved, &thread->emission);
}

static __always_inline int stream_bytes(struct conn *conn, const struct moved *moved)
{
	struct thread *thread = thread_find();

	if (!thread)
		return 0;
	thread->moved = *moved;
	return stream_bytes_of_thread(conn_object(conn), conn_owner(conn));
}
#else
__noinline int stream_bytes(struct conn *conn, const struct moved *moved)
{
	struct emission e = {};

	return conn && moved ? stream_call(conn, moved, &e) : 0;
}
#endif

#endif
