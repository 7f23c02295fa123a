/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a file descriptor of the current task to its TCP socket. */
#ifndef LLMTAP_SOCKET_H
#define LLMTAP_SOCKET_H

static __always_inline int is_tcp(__u64 sk)
{
	__u16 family = kernel_read(sock, sk, __sk_common.skc_family);

	return kernel_read(sock, sk, sk_protocol) == IPPROTO_TCP &&
	       (family == AF_INET || family == AF_INET6);
}

static __always_inline int is_connected(__u64 sk)
{
	return kernel_read(sock, sk, __sk_common.skc_dport) != 0;
}

/* The struct sock * of a connected or connecting TCP socket as a number, or 0. */
static __always_inline __u64 tcp_socket_of_fd(int fd, __u64 *inode_number)
{
	__u64 files, fdt, slot, file, inode, socket, sk;

	if (kernel_reads == KERNEL_READS_NONE || fd < 0)
		return 0;
	files = (__u64)task_read(files);
	if (!files)
		return 0;
	fdt = (__u64)kernel_read(files_struct, files, fdt);
	if (!fdt || (__u32)fd >= kernel_read(fdtable, fdt, max_fds))
		return 0;
	/* fdt->fd[fd]: the array element read as the first member of a struct. */
	slot = (__u64)kernel_read(fdtable, fdt, fd) + 8 * (__u64)fd;
	file = (__u64)kernel_read(list_head, slot, next);
	inode = (__u64)kernel_read(file, file, f_inode);
	if ((kernel_read(inode, inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = (__u64)kernel_read(file, file, private_data);
	if (kernel_read(socket, socket, type) != SOCK_STREAM)
		return 0;
	sk = (__u64)kernel_read(socket, socket, sk);
	if (!is_tcp(sk))
		return 0;
	*inode_number = kernel_read(inode, inode, i_ino);
	return sk;
}

/* TCP's own position in a direction. Of its books only these two words are moved by nothing but calls
 * on the socket; the byte counts move in several steps, in softirq, beside us. */
static __always_inline __u32 tcp_position(__u64 sk, int direction)
{
	__u32 position;

	if (direction == LLMTAP_WRITE)
		return kernel_read(tcp_sock, sk, write_seq);
	position = kernel_read(tcp_sock, sk, copied_seq);
	/* A read that reaches the FIN steps over it, often in the call that returns the last bytes.
	 * tcp_fin() sets SOCK_DONE. */
	if (kernel_read(sock, sk, __sk_common.skc_flags) & (1UL << SOCK_DONE) &&
	    position == kernel_read(tcp_sock, sk, rcv_nxt))
		position--;
	return position;
}

/* Positions are those of the program's bytes: no kTLS below, no sockmap that reads ahead. */
static __always_inline int tcp_position_is_of_calls(__u64 sk)
{
	return !kernel_read(sock, sk, sk_user_data) &&
	       !kernel_read(inet_connection_sock, sk, icsk_ulp_ops);
}

/* Bytes that programs have read from / written to the socket in all, while nothing arrives. After an
 * active open the SYN counts as one written byte. */
static __noinline __u64 tcp_bytes(__u64 sk, int direction)
{
	__u64 counted = 0;
	__u32 peer, own = 0;

	/* The other CPU's softirq advances the first two together: read until they agree. */
#pragma unroll
	for (int i = 0; i < 3; i++) {
		if (direction == LLMTAP_READ) {
			peer = kernel_read(tcp_sock, sk, rcv_nxt);
			counted = kernel_read(tcp_sock, sk, bytes_received);
			own = peer - kernel_read(tcp_sock, sk, copied_seq);
			barrier();
			if (kernel_read(tcp_sock, sk, rcv_nxt) == peer)
				break;
		} else {
			peer = kernel_read(tcp_sock, sk, snd_una);
			counted = kernel_read(tcp_sock, sk, bytes_acked);
			own = kernel_read(tcp_sock, sk, write_seq) - peer;
			barrier();
			if (kernel_read(tcp_sock, sk, snd_una) == peer)
				break;
		}
	}
	return direction == LLMTAP_READ ? counted - own : counted + own;
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
	__u64 sk = conn->sk, net;
	__u16 family;

	if (conn->has_addresses || !sk || !is_connected(sk))
		return;
	family = kernel_read(sock, sk, __sk_common.skc_family);
	if (family == AF_INET) {
		mapped_address(conn->local_address, kernel_read(sock, sk, __sk_common.skc_rcv_saddr));
		mapped_address(conn->remote_address, kernel_read(sock, sk, __sk_common.skc_daddr));
	} else if (family == AF_INET6) {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			conn->local_address[i] =
				kernel_read(sock, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i]);
			conn->remote_address[i] =
				kernel_read(sock, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[i]);
		}
	} else {
		return;
	}
	conn->local_port = kernel_read(sock, sk, __sk_common.skc_num);
	conn->remote_port = bpf_ntohs(kernel_read(sock, sk, __sk_common.skc_dport));
	net = (__u64)kernel_read(sock, sk, __sk_common.skc_net.net);
	conn->netns = kernel_read(net, net, ns.inum);
	conn->has_addresses = 1;
}

#endif
