/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who opened a connection and when it is over. */

SYSCALL(connect);

SYSCALL_ENTER(connect)
{
	/* Count 0: moves nothing. */
	return io_enter(args->arg[0], LLMTAP_WRITE, 0, 0, 0);
}

SYSCALL_EXIT(connect)
{
	struct thread *thread = io_returns(IO_NOTHING);
	struct conn *conn;
	__u8 state;
	__u64 sk;

	if (!thread)
		return 0;
	if (ret && ret != -EINPROGRESS)
		return 0;
	sk = thread->io.sk;
	state = kernel_read(sock, sk, __sk_common.skc_state);
	conn = conn_find(sk, 0);
	/* A socket may be connected again: after a refusal, or after AF_UNSPEC. */
	if (conn && (!conn->moved || state == TCP_SYN_SENT || conn->final == FINAL_OTHER ||
		     tcp_position(sk, LLMTAP_WRITE) - conn->base[LLMTAP_WRITE] !=
			     (__u32)conn->offset[LLMTAP_WRITE]))
		conn_end(sk, 0, LLMTAP_END_CLOSED);
	conn = conn_of_socket(sk, thread->io.inode, thread->io.fd, LLMTAP_WRITE, OF_NEW_CONNECTION);
	if (!conn) {
		count_lost(LLMTAP_LOST_MAP_FULL, 0);
		return 0;
	}
	/* TCP_FASTOPEN_CONNECT: the SYN, which takes a position, goes with the first bytes. */
	if (state == TCP_CLOSE && !conn->moved)
		conn->base[LLMTAP_WRITE]++;
	conn->role = LLMTAP_ROLE_CLIENT;
	if (!conn->open_time_ns)
		conn->open_time_ns = thread->io.entry_time_ns;
	return 0;
}

static __always_inline int accepted(__s64 fd)
{
	__u64 inode = 0, sk;
	struct conn *conn;

	if (fd < 0 || process_excluded(bpf_get_current_pid_tgid() >> 32))
		return 0;
	sk = tcp_socket_of_fd(fd, &inode);
	if (!sk)
		return 0;
	conn = conn_of_socket(sk, inode, fd, LLMTAP_READ, OF_NEW_CONNECTION);
	if (!conn) {
		count_lost(LLMTAP_LOST_MAP_FULL, 0);
		return 0;
	}
	conn->role = LLMTAP_ROLE_SERVER;
	if (!conn->open_time_ns)
		conn->open_time_ns = bpf_ktime_get_ns();
	return 0;
}

SYSCALL(accept);

SYSCALL_EXIT(accept)
{
	return accepted(ret);
}

SYSCALL(accept4);

SYSCALL_EXIT(accept4)
{
	return accepted(ret);
}

SYSCALL(shutdown);

SYSCALL_ENTER(shutdown)
{
	/* SHUT_WR, SHUT_RDWR */
	if (args->arg[1] == 1 || args->arg[1] == 2)
		return io_enter(args->arg[0], LLMTAP_WRITE, 0, 0, 0);
	io_abandon();
	return 0;
}

SYSCALL_EXIT(shutdown)
{
	struct thread *thread = io_returns(IO_NOTHING);
	struct conn *conn;

	if (!thread)
		return 0;
	conn = conn_find(thread->io.sk, 0);
	if (conn && !ret) {
		conn->fin_sent = 1;
		conn_say_end(conn, LLMTAP_END_SHUTDOWN_WRITE);
	}
	return 0;
}

static __always_inline __u32 close_reason(void)
{
	return task_read(flags) & PF_EXITING ? LLMTAP_END_EXIT : LLMTAP_END_CLOSED;
}

static __always_inline int fin_went_in(int state)
{
	return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_TIME_WAIT ||
	       state == TCP_CLOSING || state == TCP_LAST_ACK;
}

/* A 32-bit program connects, in its own call: remembered, because its SYN will be in TCP's books. */
static __always_inline void compat_opens(__u64 sk)
{
	struct conn *conn;

	if (!current_is_compat())
		return;
	conn = conn_make(sk, 0, LLMTAP_SOURCE_SOCKET);
	if (conn)
		conn->compat = 1;
}

/* What passed through a socket of a 32-bit program, none of whose calls is seen. */
static __always_inline void compat_closes(__u64 sk, const struct conn *conn)
{
	__u64 bytes;

	if (!(conn || current_is_compat()) || !is_connected(sk))
		return;
	bytes = kernel_read(tcp_sock, sk, bytes_received) -
		(__u32)(kernel_read(tcp_sock, sk, rcv_nxt) - tcp_position(sk, LLMTAP_READ));
	bytes += tcp_bytes(sk, LLMTAP_WRITE);
	/* The SYN, and what 64-bit programs did with it. */
	if (conn && bytes)
		bytes -= 1 + conn->offset[0] + conn->offset[1];
	if (bytes && bytes < (1ULL << 48))
		count_lost(LLMTAP_LOST_COMPAT, bytes);
}

/* The last file of the socket is being closed: tcp_close() shuts both sides under the socket's lock
 * before it changes the state. Other calls that hold the lock when a packet completes the shutdown of
 * both sides are hooked, or finish a FIN exchange. */
static __always_inline int is_being_closed(const struct sock *sk, int old_state, int new_state)
{
	struct socket *socket = sk->sk_socket;
	struct thread *thread;

	if (!socket)
		return 0;
	/* Some kernels take it away first. */
	if (!socket->sk)
		return 1;
	if (sk->sk_shutdown != 3 || !sk->sk_lock.owned ||
	    (new_state == TCP_CLOSE && fin_went_in(old_state)))
		return 0;
	thread = thread_find();
	return !thread || !thread->io.active;
}

static __always_inline int sock_set_state_body(const struct sock *sk, int old_state, int new_state, int again)
{
	struct conn *conn;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new_state == TCP_SYN_SENT) {
		compat_opens((__u64)sk);
		return 0;
	}
	if (!is_being_closed(sk, old_state, new_state))
		return 0;
	conn = conn_find((__u64)sk, 0);
	/* Without an entry nothing tells whether it was counted: left to the first. */
	if (conn ? conn->compat : !again)
		compat_closes((__u64)sk, conn);
	if (!conn)
		return 0;
	if (!conn->compat)
		conn_settle(conn, conn->fin_sent || fin_went_in(old_state));
	conn_end((__u64)sk, 0, close_reason());
	return 0;
}

NOTE_OF(sock_closed);

TYPED_COPIES("tp_btf/inet_sock_set_state", sock_set_state, sock_closed, (__u64)sk,
		      sock_set_state_body(sk, old_state, new_state, again), const struct sock *sk, int old_state,
		      int new_state)

/* Whatever the way: after this the kernel reuses the address. */
static __always_inline int sock_destroy_body(struct sock *sk)
{
	struct conn *conn = conn_find((__u64)sk, 0);

	/* Closed after a reset: without a change of state. */
	if (conn && !conn->compat)
		conn_settle(conn, conn->fin_sent);
	conn_end((__u64)sk, 0, LLMTAP_END_CLOSED);
	return 0;
}

TYPED_COPIES("tp_btf/tcp_destroy_sock", sock_destroy, sock_closed, (__u64)sk + 1,
		      sock_destroy_body(sk), struct sock *sk)
