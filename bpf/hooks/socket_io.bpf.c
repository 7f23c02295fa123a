/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls that move bytes of TCP sockets. Arguments are saved at entry, bytes copied at return,
 * when the call itself has made their pages resident. */

enum io_form {
	IO_FLAT,      /* pointer, count: a buffer */
	IO_VECTOR,    /* an array of iovecs */
	IO_MSG,       /* a msghdr */
	IO_MMSG,      /* an array of mmsghdrs, result: how many */
	IO_BYPASS,    /* no user memory */
	IO_SPLICE,    /* the same, and either file may be the socket */
	IO_NOTHING,   /* moves no bytes */
};

/* Ciphertext behind the hello, and whose it is is known: neither a record nor a connection can come of its
 * bytes. They are counted at the socket's close, by TCP's own position. */
static __always_inline int is_known_ciphertext(const struct conn *socket, const struct thread *thread,
					       __u8 direction)
{
	if (socket->final != FINAL_TLS || !socket->tls_conn_id || !socket->hello_known[LLMTAP_READ] ||
	    !socket->hello_known[LLMTAP_WRITE] ||
	    socket->offset[LLMTAP_READ] < socket->hello_end[LLMTAP_READ] ||
	    socket->offset[LLMTAP_WRITE] < socket->hello_end[LLMTAP_WRITE])
		return 0;
	/* Another TLS object over the same socket: a proxy's, or one that follows. */
	if (thread->tls_depth && !thread->tls[thread->tls_top & (LLMTAP_TLS_NESTING - 1)].bound)
		return 0;
	return direction == LLMTAP_READ || !thread->pending_ssl;
}

static __always_inline void io_uncount(struct thread *thread)
{
	struct conn *conn;

	if (!thread->io.counted)
		return;
	thread->io.counted = 0;
	conn = conn_find(thread->io.sk, 0);
	if (conn)
		__sync_fetch_and_add(&conn->busy[thread->io.direction & 1], -1);
}

/* What a call left whose return was skipped: the next call does not return for it. */
static __always_inline void io_abandon(void)
{
	struct thread *thread = thread_find();

	if (!thread)
		return;
	thread->io.active = 0;
	io_uncount(thread);
}

static __always_inline int io_enter(int fd, __u8 direction, __u64 pointer, __u64 count, __u32 flags)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread;
	struct conn *conn;
	__u64 sk, inode = 0;

	if (process_excluded(pid_tgid >> 32))
		return 0;
	sk = tcp_socket_of_fd(fd, &inode);
	if (!sk)
		return 0;
	/* Neither peeks nor the error queue nor urgent data are bytes of the stream. */
	if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB)) {
		io_abandon();
		return 0;
	}
	conn = conn_find(sk, 0);
	if (conn && conn->final == FINAL_OTHER)
		return 0;
	thread = thread_make();
	if (!thread) {
		count_lost(LLMTAP_LOST_MAP_FULL, 0);
		return 0;
	}
	/* Of a call whose return was skipped, or of this one if its hook runs twice. */
	io_uncount(thread);
	thread->io.sk = sk;
	thread->io.inode = inode;
	thread->io.pointer = pointer;
	thread->io.count = count;
	thread->io.flags = flags;
	thread->io.fd = fd;
	thread->io.direction = direction;
	thread->io.active = 1;
	thread->io.counted = 0;
	thread->io.ciphertext = conn && is_known_ciphertext(conn, thread, direction);
	if (thread->io.ciphertext)
		return 0;
	thread->io.entry_time_ns = bpf_ktime_get_ns();
	if (conn && conn->http && count) {
		__sync_fetch_and_add(&conn->busy[direction & 1], 1);
		thread->io.counted = 1;
	}
	return 0;
}

/* Ciphertext passed: which TLS object of this thread is it of? Inside a call of the library it is
 * that call's; else a write carries what the last call left, and a read feeds the next one. */
static __noinline int note_ciphertext(struct thread *thread, struct conn *socket,
					    __u8 direction, __u64 pid_tgid, int first)
{
	__u64 owner = pid_tgid >> 32;
	struct conn *tls;

	if (thread->tls_depth) {
		if (thread->tls[thread->tls_top & (LLMTAP_TLS_NESTING - 1)].bound)
			return 0;
		tls = conn_find(thread->tls[thread->tls_top & (LLMTAP_TLS_NESTING - 1)].ssl, owner);
		if (!tls)
			return 0;
		/* The socket's first bytes pass inside this object's call: an implicit handshake. */
		if (first && !tls->moved && !tls->first_byte_seen) {
			tls->first_byte_seen = 1;
			tls->announced = 0;
		}
		conn_bind(tls, socket, 1);
		if (!tls->announced)
			conn_announce(tls);
		return 0;
	}
	if (direction == LLMTAP_READ) {
		thread->last_tls_read = socket->sk;
		return 0;
	}
	if (!thread->pending_ssl)
		return 0;
	tls = conn_find(thread->pending_ssl, owner);
	thread->pending_ssl = 0;
	if (tls)
		conn_bind(tls, socket, 0);
	return 0;
}

static __always_inline int io_moved(struct thread *thread, const struct moved *moved)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct conn *conn = conn_of_socket(thread->io.sk, thread->io.inode, thread->io.fd,
					   moved->direction, moved->bytes);

	if (!conn) {
		count_lost(LLMTAP_LOST_MAP_FULL, moved->bytes);
		return 0;
	}
	stream_bytes(conn, moved);
	if (conn->final == FINAL_TLS)
		note_ciphertext(thread, conn, moved->direction, pid_tgid,
				conn->first_byte_seen &&
					conn->offset[0] + conn->offset[1] == moved->bytes);
	return 0;
}

struct mmsg_walk {
	struct thread *thread;
	__u64 pointer;
	__u64 left;
	__u8 direction;
};

static __noinline int msg_moved(struct thread *thread, __u64 msg, __u64 bytes, __u8 direction)
{
	struct moved moved = {.bytes = bytes,
			      .direction = direction,
			      .counted = thread->io.counted,
			      .entry_time_ns = thread->io.entry_time_ns};

	/* iov, iovlen: the stack of the call chain is full. */
	__u64 iov[2];

	if (bpf_probe_read_user(iov, sizeof(iov),
				(const void *)(msg + __builtin_offsetof(struct user_msghdr, iov)))) {
		moved.loss = LLMTAP_LOST_FAULT;
	} else {
		moved.pointer = iov[0];
		moved.iovecs = iov[1];
		if (!iov[1])
			moved.loss = LLMTAP_LOST_IOVECS;
	}
	if (thread->io.flags & MSG_TRUNC && direction == LLMTAP_READ)
		moved.loss = LLMTAP_LOST_BYPASS;
	return io_moved(thread, &moved);
}

STEP long mmsg_step(__u32 index, struct mmsg_walk *walk)
{
	struct thread *thread = walk->thread;
	__u32 bytes = 0;

	if (!walk->left || !thread)
		return 1;
	if (bpf_probe_read_user(&bytes, sizeof(bytes),
				(const void *)(walk->pointer +
					       __builtin_offsetof(struct user_mmsghdr, len)))) {
		count_lost(LLMTAP_LOST_FAULT, 0);
		return 1;
	}
	if (bytes)
		msg_moved(thread, walk->pointer, bytes, walk->direction);
	walk->pointer += sizeof(struct user_mmsghdr);
	walk->left--;
	return 0;
}

/* The kernel may have skipped the saved call's return and this one's entry: is it the saved call that returns?
 * Its arguments are still in the registers. */
static __always_inline int io_is_current(const struct io_call *io, enum io_form form)
{
#ifdef LLMTAP_COMPATIBLE
	return 1; /* no way to see them */
#else
	struct pt_regs___kernel *regs = (struct pt_regs___kernel *)bpf_task_pt_regs(bpf_get_current_task_btf());

	if (form == IO_SPLICE && io->direction == LLMTAP_WRITE)
		return (__s32)regs->dx == io->fd;
	return (__s32)regs->di == io->fd && (form > IO_MMSG || regs->si == io->pointer);
#endif
}

/* The thread whose noted call returns, or nothing. */
static __always_inline struct thread *io_returns(enum io_form form)
{
	struct thread *thread = thread_find();

	if (!thread || !thread->io.active)
		return 0;
	thread->io.active = 0;
	if (!io_is_current(&thread->io, form)) {
		io_uncount(thread);
		return 0;
	}
	return thread;
}

static __always_inline int io_result(struct thread *thread, __s64 ret, __u8 direction, enum io_form form)
{
	struct conn *conn;

	if (ret > 0 && thread->io.ciphertext) {
		if (direction == LLMTAP_READ)
			thread->last_tls_read = thread->io.sk;
		return 0;
	}
	if (ret <= 0) {
		conn = conn_find(thread->io.sk, 0);
		if (!conn)
			return 0;
		if (direction == LLMTAP_WRITE && (ret == -ECONNRESET || ret == -EPIPE)) {
			/* What the peer said before it went can still be read. */
			conn->write_failed = !conn->fin_sent;
			conn_say_end(conn, LLMTAP_END_SHUTDOWN_WRITE);
		} else if (ret == -ECONNRESET)
			conn_say_end(conn, LLMTAP_END_RESET);
		else if (ret == 0 && direction == LLMTAP_READ && thread->io.count)
			conn_say_end(conn, LLMTAP_END_EOF);
		return 0;
	}
	if (form == IO_MSG)
		return msg_moved(thread, thread->io.pointer, ret, direction);
	if (form == IO_MMSG) {
		struct mmsg_walk walk = {.thread = thread,
					 .pointer = thread->io.pointer,
					 .left = ret,
					 .direction = direction};

		repeat(LLMTAP_MAX_MESSAGES, mmsg_step, &walk);
		return 0;
	}
	struct moved moved = {.pointer = thread->io.pointer,
			      .bytes = ret,
			      .iovecs = form == IO_VECTOR ? thread->io.count : 0,
			      .direction = direction,
			      .counted = thread->io.counted,
			      .entry_time_ns = thread->io.entry_time_ns};

	if (form == IO_BYPASS || (thread->io.flags & MSG_TRUNC && direction == LLMTAP_READ))
		moved.loss = LLMTAP_LOST_BYPASS;
	return io_moved(thread, &moved);
}

static __always_inline int io_done(struct thread *thread, __s64 ret, __u8 direction, enum io_form form)
{
	io_result(thread, ret, direction, form);
	/* Not before our offset has moved with TCP's. */
	io_uncount(thread);
	return 0;
}

static __always_inline int io_exit(__s64 ret, __u8 direction, enum io_form form)
{
	struct thread *thread = io_returns(form);

	return thread ? io_done(thread, ret, direction, form) : 0;
}

/* name, direction, form, which argument is the pointer, the count (-1: always something) and the
 * flags (-1: none) */
#define IO_CALL(name, direction, form, pointer_arg, count_arg, flags_arg)                          \
	SYSCALL(name);                                                                             \
	SYSCALL_ENTER(name)                                                                        \
	{                                                                                          \
		return io_enter(args->arg[0], direction, args->arg[pointer_arg],                   \
				(count_arg) < 0 ? 1 : args->arg[(count_arg) < 0 ? 0 : (count_arg)], \
				(flags_arg) < 0 ? 0 : args->arg[(flags_arg) < 0 ? 0 : (flags_arg)]); \
	}                                                                                          \
	SYSCALL_EXIT(name)                                                                         \
	{                                                                                          \
		return io_exit(ret, direction, form);                                              \
	}

IO_CALL(read, LLMTAP_READ, IO_FLAT, 1, 2, -1)
IO_CALL(readv, LLMTAP_READ, IO_VECTOR, 1, 2, -1)
IO_CALL(recvfrom, LLMTAP_READ, IO_FLAT, 1, 2, 3)
IO_CALL(recvmsg, LLMTAP_READ, IO_MSG, 1, -1, 2)
IO_CALL(recvmmsg, LLMTAP_READ, IO_MMSG, 1, -1, 3)
IO_CALL(write, LLMTAP_WRITE, IO_FLAT, 1, 2, -1)
IO_CALL(writev, LLMTAP_WRITE, IO_VECTOR, 1, 2, -1)
IO_CALL(sendto, LLMTAP_WRITE, IO_FLAT, 1, 2, 3)
IO_CALL(sendmsg, LLMTAP_WRITE, IO_MSG, 1, -1, 2)
IO_CALL(sendmmsg, LLMTAP_WRITE, IO_MMSG, 1, -1, 3)
IO_CALL(sendfile64, LLMTAP_WRITE, IO_BYPASS, 2, 3, -1)

/* splice moves between a pipe and a file: at most one end is a socket. */
SYSCALL(splice);

SYSCALL_ENTER(splice)
{
	struct thread *thread;

	io_abandon();
	io_enter(args->arg[0], LLMTAP_READ, LLMTAP_READ, args->arg[4], 0);
	thread = thread_find();
	if (!thread || !thread->io.active)
		io_enter(args->arg[2], LLMTAP_WRITE, LLMTAP_WRITE, args->arg[4], 0);
	return 0;
}

SYSCALL_EXIT(splice)
{
	struct thread *thread = io_returns(IO_SPLICE);

	if (!thread)
		return 0;
	if (thread->io.pointer == LLMTAP_READ)
		return io_done(thread, ret, LLMTAP_READ, IO_BYPASS);
	return io_done(thread, ret, LLMTAP_WRITE, IO_BYPASS);
}
