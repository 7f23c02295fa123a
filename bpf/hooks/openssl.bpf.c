/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The OpenSSL API (OpenSSL, BoringSSL, AWS-LC, LibreSSL): plaintext at the return of the call that
 * moved it. The attach cookie says which function it is (enum llmtap_hook_kind). */

static __always_inline int tls_is_read(__u8 kind)
{
	return kind == LLMTAP_HOOK_READ || kind == LLMTAP_HOOK_READ_COUNT4 ||
	       kind == LLMTAP_HOOK_READ_INTERNAL;
}

static __always_inline int tls_is_write(__u8 kind)
{
	return kind == LLMTAP_HOOK_WRITE || kind == LLMTAP_HOOK_WRITE_COUNT4 ||
	       kind == LLMTAP_HOOK_WRITE_COUNT5;
}

static __always_inline int tls_is_handshake(__u8 kind)
{
	return kind == LLMTAP_HOOK_HANDSHAKE || kind == LLMTAP_HOOK_CONNECT ||
	       kind == LLMTAP_HOOK_ACCEPT;
}

static __always_inline int tls_is_early(__u8 kind)
{
	return kind == LLMTAP_HOOK_READ_EARLY || kind == LLMTAP_HOOK_WRITE_EARLY;
}

/* Who began. A program that sets it on an object in use begins another connection with it. */
static __always_inline void tls_set_role(__u64 ssl, __u64 tgid, __u8 role, __u16 epoch)
{
	struct conn *conn = conn_find(ssl, tgid);

	if (conn && conn->moved) {
		conn_end(ssl, tgid, LLMTAP_END_CLOSED);
		conn = 0;
	}
	if (!conn)
		conn = conn_make(ssl, tgid, LLMTAP_SOURCE_OPENSSL);
	if (!conn) {
		count_lost(LLMTAP_LOST_MAP_FULL, 0);
		return;
	}
	if (conn->announced && conn->role == role)
		return;
	conn->tls_object = ssl;
	conn->epoch = epoch;
	conn->role = role;
	conn->first_byte_seen = 1;
	conn_announce(conn);
}

/* OpenSSL 3.2 and later: the first int of an SSL object is its type, bit 0x80 set for QUIC. */
static __always_inline int tls_is_quic(__u64 ssl)
{
	__u32 type = 0;

	/* Before 3.2 it is the protocol version, 0x0300 to 0x0304, or DTLS's 0xfeff and 0xfefd. */
	bpf_probe_read_user(&type, sizeof(type), (const void *)ssl);
	return type < 0x100 && (type & 0x80);
}

static __always_inline void tls_set_fd(__u64 ssl, __u64 tgid, int fd, __u16 epoch)
{
	__u64 inode = 0, sk = tcp_socket_of_fd(fd, &inode);
	struct conn *tls, *socket;

	/* Not connected yet: the handshake's own socket calls will bind it. */
	if (!sk || !is_connected(sk))
		return;
	tls = conn_make(ssl, tgid, LLMTAP_SOURCE_OPENSSL);
	socket = conn_of_socket(sk, inode, fd, LLMTAP_WRITE, 0);
	if (!tls || !socket) {
		count_lost(LLMTAP_LOST_MAP_FULL, 0);
		return;
	}
	tls->tls_object = ssl;
	tls->epoch = epoch;
	conn_bind(tls, socket, 1);
}

/* Nothing of this call would become a record: it need not return to us. Of how many bytes a read moves
 * nothing is known then; the offset shows a gap all the same. */
static __always_inline int tls_is_muted(struct conn *conn, const struct tls_call *call)
{
	__u8 direction = tls_is_read(call->kind) ? LLMTAP_READ : LLMTAP_WRITE;
	__u64 bytes;

	if (!(tls_is_read(call->kind) || tls_is_write(call->kind)) || !conn->socket_conn_id || !conn->moved)
		return 0;
	if (conn->final == FINAL_OTHER)
		return 1;
	if (is_reply_to_repeat(conn, direction))
		conn->direction = direction;
	else if (conn->direction != direction || verdict_now(conn) != LLMTAP_VERDICT_MUTED)
		return 0;
	bytes = direction == LLMTAP_WRITE && call->bytes ? call->bytes : 1;
	__sync_fetch_and_add(&conn->offset[direction], bytes);
	conn->left_out |= 1 << direction;
	count_passed(bytes);
	count_left_out(bytes);
	return 1;
}

/* Remembers the call. Returns 1 if its return is of no interest. A call of the same object at the same stack
 * pointer is a tail call of the wrapper (SSL_write_ex jumps into SSL_write_ex2); one whose buffer lies in an
 * outer call's is its callee (SSL_read_ex calls SSL_read in LibreSSL). Both count once. */
static __always_inline int tls_save(struct thread *thread, const struct tls_call *call, int session, int both)
{
	int slot = -1;
	__u8 inner = 0, early = 0;

#pragma unroll
	for (int i = 0; i < LLMTAP_TLS_NESTING; i++) {
		struct tls_call *other = &thread->tls[i];

		if (other->sp == call->sp) {
			int same = other->ssl == call->ssl && other->buffer == call->buffer;

			/* The same call, told by the other link. */
			if (same && both && other->own != call->own)
				return 1;
			if (same && other->own == call->own && other->kind != call->kind) {
				/* Without a return of its own it returns once, for both. */
				if (!session)
					other->tail_calls++;
				return 1;
			}
			slot = i; /* left behind by a jump out of the call, or by a link that went */
		} else if (!other->sp) {
			if (slot < 0)
				slot = i;
		} else if (other->ssl == call->ssl &&
			   ((tls_is_read(other->kind) && tls_is_read(call->kind)) ||
			    (tls_is_write(other->kind) && tls_is_write(call->kind))) &&
			   call->buffer >= other->buffer &&
			   call->buffer + call->bytes <= other->buffer + other->bytes &&
			   call->sp < other->sp) {
			inner = 1;
		}
		early |= other->sp > call->sp && other->ssl == call->ssl && tls_is_early(other->kind);
	}
	if (session && inner)
		return 1;
	if (slot < 0) {
		count_lost(LLMTAP_LOST_MAP_FULL, 0);
		/* All are left-overs or the nesting is absurd: begin again. */
		__builtin_memset(thread->tls, 0, sizeof(thread->tls));
		thread->tls_depth = 0;
		slot = 0;
	}
	slot &= LLMTAP_TLS_NESTING - 1;
	if (!thread->tls[slot].sp)
		thread->tls_depth++;
	thread->tls[slot] = *call;
	thread->tls[slot].inner = inner;
	thread->tls[slot].early = early;
	thread->tls_top = slot;
	return 0;
}

/* The connection, if it was followed since it was made. Where the link was taken away in between, calls may
 * have passed: what is known of it, its offsets too, is of a connection that ended unseen. */
static __always_inline struct conn *tls_conn(__u64 ssl, __u64 tgid, __u64 cookie)
{
	struct conn *conn = conn_find(ssl, tgid);

	if (!conn || !LLMTAP_COOKIE_FILE(cookie) || conn->epoch == LLMTAP_COOKIE_EPOCH(cookie))
		return conn;
	conn->unfollowed = 1;
	conn_end(ssl, tgid, LLMTAP_END_CLOSED);
	return 0;
}

/* Returns 1 if a session need not see the return. */
static __always_inline int tls_entry(struct pt_regs *ctx, __u64 cookie, int session)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u64 tgid = pid_tgid >> 32;
	struct process_flags *process = flags_of_process(tgid);
	__u16 epoch = LLMTAP_COOKIE_EPOCH(cookie);
	__u8 kind = LLMTAP_COOKIE_KIND(cookie);
	struct tls_call call = {.sp = PT_REGS_SP(ctx),
				.ssl = PT_REGS_PARM1(ctx),
				.buffer = PT_REGS_PARM2(ctx),
				.kind = kind,
				.own = LLMTAP_COOKIE_OWN(cookie)};
	__u64 fourth = PT_REGS_PARM4(ctx), fifth = PT_REGS_PARM5(ctx);
	struct thread *thread;
	struct conn *conn;

	barrier_var(fourth);
	barrier_var(fifth);
	if (tgid == own_tgid || link_is_idle(cookie, process) ||
	    (process && process->flags & (LLMTAP_PROCESS_EXCLUDED | LLMTAP_PROCESS_SWITCHES)))
		return 1;
	if (!call.own && !(process && process->flags & LLMTAP_PROCESS_EVIDENT))
		count_file_hit(cookie);
	conn = tls_conn(call.ssl, tgid, cookie);
	if (kind == LLMTAP_HOOK_FREE) {
		if (conn)
			conn_end(call.ssl, tgid, LLMTAP_END_CLOSED);
		return 1;
	}
	if (kind == LLMTAP_HOOK_SHUTDOWN) {
		if (conn)
			conn_say_end(conn, LLMTAP_END_SHUTDOWN_WRITE);
		return 1;
	}
	/* An object that is known is none of QUIC: no entry is made for these. */
	if (!conn && tls_is_quic(call.ssl))
		return 1;
	if (kind == LLMTAP_HOOK_SET_FD) {
		tls_set_fd(call.ssl, tgid, PT_REGS_PARM2(ctx), epoch);
		return 1;
	}
	if (kind == LLMTAP_HOOK_SET_CONNECT || kind == LLMTAP_HOOK_SET_ACCEPT) {
		tls_set_role(call.ssl, tgid,
			     kind == LLMTAP_HOOK_SET_CONNECT ? LLMTAP_ROLE_CLIENT : LLMTAP_ROLE_SERVER, epoch);
		return 1;
	}
	if (kind == LLMTAP_HOOK_READ || kind == LLMTAP_HOOK_WRITE) {
		/* int: a negative number is an error path of the library. */
		__s64 bytes = (__s32)PT_REGS_PARM3(ctx);

		call.bytes = bytes > 0 ? bytes : 0;
	} else if (tls_is_handshake(kind)) {
		call.buffer = 0;
	} else {
		call.bytes = PT_REGS_PARM3(ctx);
		/* Both read before the choice: the verifier refuses a computed context offset. */
		call.count_pointer = kind == LLMTAP_HOOK_WRITE_COUNT5 ? fifth : fourth;
	}
	/* Before anything that only a return needs. Where both links count, what is saved of the call tells the
	 * second that the first has it. */
	if (session && conn && !both_links_count(cookie, process) && tls_is_muted(conn, &call))
		return 1;
	thread = thread_make();
	if (!thread) {
		count_lost(LLMTAP_LOST_MAP_FULL, 0);
		return 1;
	}
	if (!on_own_stack(thread, call.sp)) {
		process_switches(tgid);
		return 1;
	}
	call.entry_time_ns = bpf_ktime_get_ns();
	/* Before the call, so that a socket call inside finds it; announced, so that userspace can
	 * drop it when its process ends without SSL_free. */
	if (!conn) {
		conn = conn_make(call.ssl, tgid, LLMTAP_SOURCE_OPENSSL);
		if (!conn) {
			count_lost(LLMTAP_LOST_MAP_FULL, 0);
			return 1;
		}
		conn->tls_object = call.ssl;
		conn->epoch = epoch;
	}
	if (tls_is_handshake(kind) && !conn->moved) {
		__u8 role = kind == LLMTAP_HOOK_CONNECT	 ? LLMTAP_ROLE_CLIENT
			    : kind == LLMTAP_HOOK_ACCEPT ? LLMTAP_ROLE_SERVER
							 : conn->role;

		conn->announced &= conn->first_byte_seen && role == conn->role;
		conn->first_byte_seen = 1;
		conn->role = role;
	}
	if (!conn->announced)
		conn_announce(conn);
	call.bound = conn->announced && conn->socket_conn_id;
	return tls_save(thread, &call, session, both_links_count(cookie, process));
}

static __always_inline int tls_enter_of_kind(struct pt_regs *ctx, __u64 cookie)
{
	tls_entry(ctx, cookie, 0);
	return 0;
}

UPROBE_BY_KIND(tls_enter)

/* The call that returns here, if this link saw its entry and it is to be counted. */
static __always_inline int tls_take(struct thread *thread, __u64 sp, __u8 own, struct tls_call *call)
{
#pragma unroll
	for (int i = 0; i < LLMTAP_TLS_NESTING; i++) {
		struct tls_call *saved = &thread->tls[i];

		if (saved->sp != sp || saved->own != own)
			continue;
		if (saved->tail_calls) {
			saved->tail_calls--;
			return 0;
		}
		*call = *saved;
		saved->sp = 0;
		if (thread->tls_depth)
			thread->tls_depth--;
		return !call->inner;
	}
	return -1;
}

/* Nothing says which socket: the one whose ciphertext this thread read last. */
static __always_inline void bind_by_last_read(struct thread *thread, struct conn *tls)
{
	struct conn *socket;

	if (tls->socket_conn_id || !thread->last_tls_read)
		return;
	socket = conn_find(thread->last_tls_read, 0);
	if (socket && socket->final == FINAL_TLS && socket->tgid == tls->tgid)
		conn_bind(tls, socket, 0);
}

static __always_inline int tls_leave(struct pt_regs *ctx, __u64 cookie)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct process_flags *process = flags_of_process(pid_tgid >> 32);
	/* `ret` pops the return address that was at the stack pointer at entry. */
	__u64 sp = PT_REGS_SP(ctx) - 8;
	__s64 ret = (__s32)PT_REGS_RC(ctx);
	struct tls_call call = {};
	struct moved moved = {};
	struct thread *thread;
	struct conn *conn;
	int taken;

	if (pid_tgid >> 32 == own_tgid || (process && process->flags & LLMTAP_PROCESS_EXCLUDED))
		return 0;
	thread = thread_find();
	if (!thread)
		return 0;
	taken = tls_take(thread, sp, LLMTAP_COOKIE_OWN(cookie), &call);
	if (taken < 0) {
		/* Entered before we were attached, or dropped for want of room; or the other link's. */
		if (ret > 0 && !LLMTAP_COOKIE_OWN(cookie) && !link_is_idle(cookie, process) &&
		    !both_links_count(cookie, process))
			count_lost(LLMTAP_LOST_NO_ARGS, 0);
		return 0;
	}
	if (!taken)
		return 0;
	conn = conn_find(call.ssl, pid_tgid >> 32);
	if (!conn)
		return 0;
	if (!tls_is_read(call.kind))
		thread->pending_ssl = conn->socket_conn_id ? 0 : call.ssl;
	if (tls_is_handshake(call.kind) || tls_is_early(call.kind))
		return 0;
	if (ret <= 0) {
		/* The `_ex` forms turn "would block" into 0 as well. */
		if (!ret && call.bytes &&
		    (call.kind == LLMTAP_HOOK_READ || call.kind == LLMTAP_HOOK_READ_INTERNAL))
			conn_say_end(conn, LLMTAP_END_EOF);
		return 0;
	}
	moved.bytes = ret;
	if (call.count_pointer) {
		__u64 count = 0;

		if (bpf_probe_read_user(&count, sizeof(count), (const void *)call.count_pointer)) {
			count_lost(LLMTAP_LOST_FAULT, 0);
			return 0;
		}
		moved.bytes = count;
	}
	/* Impossible for this function: the probe sits elsewhere, or the object is not what we think. */
	if (!moved.bytes || moved.bytes > call.bytes)
		return 0;
	moved.pointer = call.buffer;
	moved.early_data = call.early;
	moved.entry_time_ns = call.entry_time_ns;
	moved.direction = tls_is_read(call.kind) ? LLMTAP_READ : LLMTAP_WRITE;
	if (moved.direction == LLMTAP_READ)
		bind_by_last_read(thread, conn);
	stream_bytes(conn, &moved);
	return 0;
}

SEC("uretprobe.multi")
int tls_return(struct pt_regs *ctx)
{
	return tls_leave(ctx, return_cookie(ctx));
}

#ifndef LLMTAP_COMPATIBLE
/* 6.13: entry and return in one program; where the entry returns 1 the return address stays as it is.
 * The loader takes this or the two above. */
SEC("?uprobe.multi")
int tls_session(struct pt_regs *ctx)
{
	if (bpf_ksym_exists(bpf_session_is_return___of) ? bpf_session_is_return___of(ctx)
							: bpf_session_is_return())
		return tls_leave(ctx, bpf_get_attach_cookie(ctx));
	return tls_entry(ctx, bpf_get_attach_cookie(ctx), 1);
}
#endif
