/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one way out of the kernel: records of exactly as many bytes as there are, counted when there
 * is no room. */
#ifndef LLMTAP_EVENT_H
#define LLMTAP_EVENT_H

/* After `bytes` more were reserved. Sparingly, because a wake-up costs the program an interrupt: for
 * what cannot wait, once until the reader waits long again, and when the queue grows past another 1/32 of
 * the ring (a power of two). Loads and stores race with the reader's; it looks again a millisecond later
 * each time it goes to sleep. */
static __always_inline __u64 wakeup(int urgent, __u64 bytes)
{
	volatile __u32 *reader = &reader_state;
	__u64 queued;
	__u32 state;

	if (urgent) {
		state = *reader;
		if (state != READER_WANTED)
			*reader = READER_WANTED;
		if (state == READER_ASLEEP) {
			__sync_fetch_and_add(&urgent_wakeups, 1);
			return BPF_RB_FORCE_WAKEUP;
		}
	}
	queued = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	if (queued > bytes && (queued ^ (queued - bytes)) >= wakeup_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void fill_hdr(struct llmtap_event_hdr *hdr, __u16 type, __u32 size,
				     __u64 pid_tgid, __u64 conn_id)
{
	hdr->time_ns = bpf_ktime_get_ns();
	hdr->size = size;
	hdr->type = type;
	hdr->flags = 0;
	hdr->tgid = pid_tgid >> 32;
	hdr->tid = (__u32)pid_tgid;
	hdr->conn_id = conn_id;
}

#define RECORD_PAYLOAD ((__u64)LLMTAP_MAX_RECORD_PAYLOAD)

static __always_inline void fill_data(struct llmtap_data_event *event, const struct emission *e,
				      __u64 captured, __u64 original, __u8 loss)
{
	event->hdr.time_ns = e->time_ns;
	event->hdr.size = sizeof(*event) + captured;
	event->hdr.type = LLMTAP_EVENT_DATA;
	event->hdr.flags = e->flags | (e->left > original ? LLMTAP_FLAG_MORE : 0);
	event->hdr.tgid = e->pid_tgid >> 32;
	event->hdr.tid = (__u32)e->pid_tgid;
	event->hdr.conn_id = e->conn_id;
	event->offset = e->offset;
	event->entry_time_ns = e->entry_time_ns;
	event->original_bytes = original;
	event->captured_bytes = captured;
	event->sequence = e->sequence;
	event->direction = e->direction;
	event->source = e->source;
	event->loss = captured < original ? loss : LLMTAP_LOST_NONE;
	event->message_class = e->message_class;
}

/* No room for a record of so many bytes to be copied; it may stand for others, or for those alone. */
static __always_inline void say_nothing(struct emission *e, __u64 captured)
{
	e->unsaid = 1;
	e->lost += captured;
}

/* Size classes, for kernels without bpf_probe_read_user_dynptr (before 6.16). The record is as large
 * as its class, hdr.size says what of it counts. */
#define EMIT_CLASS(bytes)                                                                          \
	EMIT_SCOPE int emit_class_##bytes(struct emission *e, __u64 from, __u64 captured,          \
					  __u64 original)                                          \
	{                                                                                          \
		struct llmtap_data_event *event =                                                  \
			bpf_ringbuf_reserve(&events, sizeof(*event) + (bytes), 0);                 \
		__u64 n = captured;                                                                \
                                                                                                   \
		if (!event || !e) {                                                                \
			if (event)                                                                 \
				bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);                      \
			count_passed_lost(LLMTAP_LOST_RING_FULL, captured);                        \
			if (e)                                                                     \
				say_nothing(e, captured);                                          \
			return 0;                                                                  \
		}                                                                                  \
		if (n > (bytes))                                                                   \
			n = (bytes);                                                               \
		barrier_var(n);                                                                    \
		if (n > (bytes))                                                                   \
			n = (bytes);                                                               \
		fill_data(event, e, n, original, e->loss);                                         \
		if (n && bpf_probe_read_user(event + 1, n, (const void *)from)) {                  \
			count_passed_lost(LLMTAP_LOST_FAULT, n);                                   \
			fill_data(event, e, 0, original, LLMTAP_LOST_FAULT);                       \
		} else {                                                                           \
			count_captured(n);                                                         \
		}                                                                                  \
		bpf_ringbuf_submit(event, wakeup(e->urgent, sizeof(*event) + (bytes)));            \
		return 0;                                                                          \
	}
EMIT_CLASS(256)
EMIT_CLASS(1024)
EMIT_CLASS(4096)
EMIT_CLASS(16384)
EMIT_CLASS(65536)
EMIT_CLASS(262144)

static __always_inline void emit_by_class(struct emission *e, __u64 from, __u64 n, __u64 original)
{
	if (n <= 256)
		emit_class_256(e, from, n, original);
	else if (n <= 1024)
		emit_class_1024(e, from, n, original);
	else if (n <= 4096)
		emit_class_4096(e, from, n, original);
	else if (n <= 16384)
		emit_class_16384(e, from, n, original);
	else if (n <= 65536)
		emit_class_65536(e, from, n, original);
	else
		emit_class_262144(e, from, n, original);
}

/* One record: `original` bytes of the stream, the first `captured` of them from user memory. */
static __always_inline int emit_one(struct emission *e, __u64 from, __u64 captured, __u64 original)
{
	struct llmtap_data_event *event;
	struct bpf_dynptr record;
	__u64 n = captured;

	if (n > RECORD_PAYLOAD)
		n = RECORD_PAYLOAD;
	barrier_var(n);
	if (n > RECORD_PAYLOAD)
		n = RECORD_PAYLOAD;
	if (e->unsaid) {
		/* No record stands between bytes that none stands for. */
		count_passed_lost(LLMTAP_LOST_RING_FULL, n);
		e->lost += n;
	} else if (!exact_records || !bpf_ksym_exists(bpf_probe_read_user_dynptr)) {
		emit_by_class(e, from, n, original);
	} else {
		if (bpf_ringbuf_reserve_dynptr(&events, sizeof(*event) + n, 0, &record)) {
			bpf_ringbuf_discard_dynptr(&record, 0);
			count_passed_lost(LLMTAP_LOST_RING_FULL, n);
			say_nothing(e, n);
			goto advance;
		}
		event = bpf_dynptr_data(&record, 0, sizeof(*event));
		if (!event) {
			bpf_ringbuf_discard_dynptr(&record, BPF_RB_NO_WAKEUP);
			goto advance;
		}
		if (n && bpf_probe_read_user_dynptr(&record, sizeof(*event), n, (const void *)from)) {
			count_passed_lost(LLMTAP_LOST_FAULT, n);
			fill_data(event, e, 0, original, LLMTAP_LOST_FAULT);
		} else {
			fill_data(event, e, n, original, e->loss);
			count_captured(n);
		}
		bpf_ringbuf_submit_dynptr(&record, wakeup(e->urgent, sizeof(*event) + n));
	}
advance:
	e->offset += original;
	e->left -= original;
	e->copy_left -= n < e->copy_left ? n : e->copy_left;
	/* Said once, by the first record. */
	if (!e->unsaid)
		e->flags &= ~(LLMTAP_FLAG_TURN | LLMTAP_FLAG_LEFT_OUT);
	return 0;
}

#ifdef LLMTAP_COMPATIBLE
__noinline int emit_record_of_thread(__u64 from, __u64 captured, __u64 original)
{
	struct thread *thread = thread_find();

	return thread ? emit_one(&thread->emission, from, captured, original) : 0;
}
#define emit_record(e, from, captured, original) emit_record_of_thread(from, captured, original)
#else
__noinline int emit_record(struct emission *e, __u64 from, __u64 captured, __u64 original)
{
	return e ? emit_one(e, from, captured, original) : 0;
}
#endif

STEP long emit_piece(__u32 index, struct emission *e)
{
	__u64 captured = e->copy_left;
	__u64 original = e->left;

	if (captured > RECORD_PAYLOAD) {
		captured = RECORD_PAYLOAD;
		original = RECORD_PAYLOAD;
	}
	emit_record(e, e->pointer, captured, original);
	e->pointer += captured;
	return !e->left;
}

/* What the steps did not reach: one record without bytes. */
static __always_inline void emit_rest(struct emission *e)
{
	if (!e->left)
		return;
	if (e->copy_left && !e->loss) {
		e->loss = LLMTAP_LOST_TOO_LARGE;
		e->named = e->copy_left;
		count_passed_lost(LLMTAP_LOST_TOO_LARGE, e->copy_left);
	}
	emit_record(e, 0, 0, e->left);
}

/* Contiguous memory at e->pointer. */
static __always_inline void emit_flat(struct emission *e)
{
	if (e->copy_left <= RECORD_PAYLOAD) {
		emit_record(e, e->pointer, e->copy_left, e->left);
		return;
	}
	repeat(8192, emit_piece, e);
	emit_rest(e);
}

#ifndef LLMTAP_COMPATIBLE
/* Of as many bytes as fit a record, from as many iovecs as they lie in. Whatever goes wrong ends the
 * call: the record stands for all that is left of it. */
__noinline int emit_gathered(struct emission *e)
{
	struct llmtap_data_event *event;
	struct user_iovec iovec;
	struct bpf_dynptr record;
	__u64 piece, n, done = 0;
	__u8 loss = LLMTAP_LOST_IOVECS;
	int i;

	/* Global functions are verified even where no call reaches them (before 6.8). */
	if (!e || !exact_records || !bpf_ksym_exists(bpf_probe_read_user_dynptr))
		return 0;
	piece = e->copy_left;
	if (piece > RECORD_PAYLOAD)
		piece = RECORD_PAYLOAD;
	barrier_var(piece);
	if (piece > RECORD_PAYLOAD)
		piece = RECORD_PAYLOAD;
	if (bpf_ringbuf_reserve_dynptr(&events, sizeof(*event) + piece, 0, &record)) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		count_passed_lost(LLMTAP_LOST_RING_FULL, e->copy_left);
		say_nothing(e, e->copy_left);
		e->copy_left = 0;
		e->left = 0;
		return 0;
	}
	event = bpf_dynptr_data(&record, 0, sizeof(*event));
	if (!event) {
		bpf_ringbuf_discard_dynptr(&record, BPF_RB_NO_WAKEUP);
		return 0;
	}
	bpf_for(i, 0, LLMTAP_MAX_IOVECS) {
		if (done >= piece || !e->iovecs_left)
			break;
		if (bpf_probe_read_user(&iovec, sizeof(iovec), (const void *)e->pointer)) {
			loss = LLMTAP_LOST_FAULT;
			break;
		}
		n = iovec.len > e->iovec_skip ? iovec.len - e->iovec_skip : 0;
		if (n > piece - done) {
			n = piece - done;
		}
		if (n && bpf_probe_read_user_dynptr(&record, sizeof(*event) + done, n,
						    (const void *)(iovec.base + e->iovec_skip))) {
			loss = LLMTAP_LOST_FAULT;
			break;
		}
		done += n;
		e->iovec_skip += n;
		if (e->iovec_skip >= iovec.len) {
			e->pointer += sizeof(iovec);
			e->iovec_skip = 0;
			e->iovecs_left--;
		}
	}
	if (done < piece) {
		count_passed_lost(loss, e->copy_left - done);
		e->copy_left = done;
	} else {
		loss = e->loss;
	}
	n = done == e->copy_left ? e->left : done;
	fill_data(event, e, done, n, loss);
	count_captured(done);
	bpf_ringbuf_submit_dynptr(&record, wakeup(e->urgent, sizeof(*event) + piece));
	e->offset += n;
	e->left -= n;
	e->copy_left -= done;
	e->flags &= ~(LLMTAP_FLAG_TURN | LLMTAP_FLAG_LEFT_OUT);
	return 0;
}

static long emit_gathered_piece(__u32 index, struct emission *e)
{
	emit_gathered(e);
	return !e->left;
}

#endif

/* Size classes: part of an iovec, at most RECORD_PAYLOAD bytes a record; the same iovec is visited again until it
 * is done, so that no loop nests. */
STEP long emit_iovec(__u32 index, struct emission *e)
{
	struct user_iovec iovec;
	__u64 captured;

	if (!e->copy_left || !e->left)
		return 1;
	if (!e->iovecs_left) {
		e->loss = LLMTAP_LOST_IOVECS;
		e->named = e->copy_left;
		count_passed_lost(LLMTAP_LOST_IOVECS, e->copy_left);
		return 1;
	}
	if (bpf_probe_read_user(&iovec, sizeof(iovec), (const void *)e->pointer)) {
		e->loss = LLMTAP_LOST_FAULT;
		e->named = e->copy_left;
		count_passed_lost(LLMTAP_LOST_FAULT, e->copy_left);
		return 1;
	}
	if (iovec.len <= e->iovec_skip) {
		e->pointer += sizeof(iovec);
		e->iovec_skip = 0;
		e->iovecs_left--;
		return 0;
	}
	captured = iovec.len - e->iovec_skip;
	if (captured > e->copy_left)
		captured = e->copy_left;
	if (captured > RECORD_PAYLOAD)
		captured = RECORD_PAYLOAD;
	/* The last record stands for what a verdict cut off as well. */
	emit_record(e, iovec.base + e->iovec_skip, captured,
		    captured == e->copy_left ? e->left : captured);
	e->iovec_skip += captured;
	return 0;
}

/* An array of iovecs at e->pointer. */
static __always_inline void emit_iovecs(struct emission *e)
{
	if (!e->copy_left) {
		emit_record(e, 0, 0, e->left);
		return;
	}
#ifndef LLMTAP_COMPATIBLE
	if (exact_records && bpf_ksym_exists(bpf_probe_read_user_dynptr)) {
		if (e->copy_left <= RECORD_PAYLOAD)
			emit_gathered(e);
		else
			repeat(8192, emit_gathered_piece, e);
		return;
	}
#endif
	repeat(8192 + LLMTAP_MAX_IOVECS, emit_iovec, e);
	emit_rest(e);
}

#endif
