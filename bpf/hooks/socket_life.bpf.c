/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who opened a connection and when it is over. */

SYSCALL_ENTER(connect)
{
	return io_enter(args->arg[0], 0, 1, 0);
}

SYSCALL_EXIT(connect)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&thread_by_id, &pid_tgid);
	struct conn *conn;

	if (!thread || !thread->io.active)
		return 0;
	thread->io.active = 0;
	if (ret && ret != -EINPROGRESS)
		return 0;
	conn = conn_of_socket(thread->io.sk, thread->io.inode, thread->io.fd, LLMTAP_WRITE, 0);
	if (!conn) {
		count_lost(LLMTAP_LOST_MAP_FULL, 0);
		return 0;
	}
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
	conn = conn_of_socket(sk, inode, fd, LLMTAP_READ, 0);
	if (!conn) {
		count_lost(LLMTAP_LOST_MAP_FULL, 0);
		return 0;
	}
	conn->role = LLMTAP_ROLE_SERVER;
	conn->open_time_ns = bpf_ktime_get_ns();
	return 0;
}

SYSCALL_EXIT(accept)
{
	return accepted(ret);
}

SYSCALL_EXIT(accept4)
{
	return accepted(ret);
}

SYSCALL_ENTER(shutdown)
{
	/* SHUT_WR, SHUT_RDWR */
	return args->arg[1] == 1 || args->arg[1] == 2 ? io_enter(args->arg[0], 0, 1, 0) : 0;
}

SYSCALL_EXIT(shutdown)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&thread_by_id, &pid_tgid);
	struct conn *conn;

	if (!thread || !thread->io.active)
		return 0;
	thread->io.active = 0;
	conn = conn_find(thread->io.sk, 0);
	if (conn && !ret)
		conn_say_end(conn, LLMTAP_END_SHUTDOWN_WRITE);
	return 0;
}

static __always_inline __u32 close_reason(void)
{
	return task_read(flags) & PF_EXITING ? LLMTAP_END_EXIT : LLMTAP_END_CLOSED;
}

/* The last file of the socket is being closed: inet_release() has taken socket->sk away before it
 * calls tcp_close(). A state change with the socket still held is not the end of reading. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(sock_set_state, const struct sock *sk, int old_state, int new_state)
{
	struct socket *socket;

	if (sk->sk_protocol != IPPROTO_TCP || !conn_find((__u64)sk, 0))
		return 0;
	socket = sk->sk_socket;
	if (socket && !socket->sk)
		conn_end((__u64)sk, 0, close_reason());
	return 0;
}

/* Whatever the way: after this the kernel reuses the address. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(sock_destroy, struct sock *sk)
{
	conn_end((__u64)sk, 0, LLMTAP_END_CLOSED);
	return 0;
}
