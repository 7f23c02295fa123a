/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a file descriptor of the current task to its TCP socket, by loads that the verifier checks:
 * no bpf_probe_read_kernel, which lockdown refuses. */
#ifndef LLMTAP_SOCKET_H
#define LLMTAP_SOCKET_H

static __always_inline int is_tcp(const struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return sk->sk_protocol == IPPROTO_TCP && (family == AF_INET || family == AF_INET6);
}

/* The struct sock * of a connected or connecting TCP socket as a number, or 0. */
static __always_inline __u64 tcp_socket_of_fd(int fd, __u64 *inode_number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct files_struct *files = task->files;
	struct fdtable *fdt;
	struct list_head *slot;
	struct file *file;
	struct inode *inode;
	struct socket *socket;
	struct sock *sk;

	if (!files || fd < 0)
		return 0;
	fdt = files->fdt;
	if (!fdt || (__u32)fd >= fdt->max_fds)
		return 0;
	/* fdt->fd[fd]: the array element read as the first member of a struct. */
	slot = cast_to(list_head, (__u64)fdt->fd + 8 * (__u64)fd);
	file = cast_to(file, slot->next);
	inode = cast_to(inode, file->f_inode);
	if ((inode->i_mode & S_IFMT) != S_IFSOCK)
		return 0;
	socket = cast_to(socket, file->private_data);
	if (socket->type != SOCK_STREAM)
		return 0;
	sk = cast_to(sock, socket->sk);
	if (!is_tcp(sk))
		return 0;
	*inode_number = inode->i_ino;
	return (__u64)socket->sk;
}

/* TCP's own position in a direction. Of its books only these two words are moved by nothing but calls
 * on the socket; the byte counts move in several steps, in softirq, beside us. */
static __always_inline __u32 tcp_position(__u64 sk, int direction)
{
	struct tcp_sock *tp = cast_to(tcp_sock, sk);
	struct sock *sock = cast_to(sock, sk);
	__u32 position;

	if (direction == LLMTAP_WRITE)
		return tp->write_seq;
	position = tp->copied_seq;
	/* A read that reaches the FIN steps over it, often in the call that returns the last bytes.
	 * tcp_fin() sets SOCK_DONE. */
	if (sock->__sk_common.skc_flags & (1UL << SOCK_DONE) && position == tp->rcv_nxt)
		position--;
	return position;
}

/* Positions are those of the program's bytes: no kTLS below, no sockmap that reads ahead. */
static __always_inline int tcp_position_is_of_calls(__u64 sk)
{
	return !((struct sock *)cast_to(sock, sk))->sk_user_data &&
	       !((struct inet_connection_sock *)cast_to(inet_connection_sock, sk))->icsk_ulp_ops;
}

/* Bytes that programs have read from / written to the socket in all, while nothing arrives. After an
 * active open the SYN counts as one written byte. */
static __always_inline __u64 tcp_bytes(__u64 sk, int direction)
{
	struct tcp_sock *tp = cast_to(tcp_sock, sk);

	if (direction == LLMTAP_READ)
		return tp->bytes_received - (__u32)(tp->rcv_nxt - tp->copied_seq);
	return tp->bytes_acked + (__u32)(tp->write_seq - tp->snd_una);
}

static __always_inline void mapped_address(__u32 *to, __u32 ipv4)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = ipv4;
}

static __always_inline void fill_addresses(struct conn *conn)
{
	struct sock *sk = cast_to(sock, conn->sk);
	__u16 family = sk->__sk_common.skc_family;

	if (conn->has_addresses || !conn->sk || !sk->__sk_common.skc_dport)
		return;
	if (family == AF_INET) {
		mapped_address(conn->local_address, sk->__sk_common.skc_rcv_saddr);
		mapped_address(conn->remote_address, sk->__sk_common.skc_daddr);
	} else if (family == AF_INET6) {
		for (int i = 0; i < 4; i++) {
			conn->local_address[i] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			conn->remote_address[i] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[i];
		}
	} else {
		return;
	}
	conn->local_port = sk->__sk_common.skc_num;
	conn->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	conn->netns = sk->__sk_common.skc_net.net->ns.inum;
	conn->has_addresses = 1;
}

#endif
