/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The life of a connection's entry: made, announced, bound to its socket, ended. */
#ifndef LLMTAP_CONN_H
#define LLMTAP_CONN_H

static __always_inline struct conn *conn_find(__u64 object, __u64 owner)
{
	struct conn_key key = {.object = object, .owner = owner};

	return bpf_map_lookup_elem(&conn_by_key, &key);
}

static __always_inline struct conn *conn_make(__u64 object, __u64 owner, __u8 source)
{
	struct conn_key key = {.object = object, .owner = owner};
	struct conn *conn = bpf_map_lookup_elem(&conn_by_key, &key);

	if (conn)
		return conn;
	if (bpf_map_update_elem(&conn_by_key, &key, &no_conn, BPF_NOEXIST) == -7 /* E2BIG */)
		return 0;
	conn = bpf_map_lookup_elem(&conn_by_key, &key);
	if (!conn)
		return 0;
	conn->source = source;
	conn->tgid = bpf_get_current_pid_tgid() >> 32;
	conn->process_start_ns = process_start_ns();
	conn->fd = -1;
	conn->id = new_conn_id();
	return conn;
}

/* Not inlined, as others below: a chain of calls has 512 bytes of stack in all, and this one's share is
 * free again when the bytes are emitted.
 *
 * The entry of a TCP socket. `moved` bytes of `direction` have just passed and are not yet in the
 * offsets: nothing before them means that the connection's first byte was seen. */
#define OF_NEW_CONNECTION (~0ULL)
static __noinline struct conn *conn_of_socket(__u64 sk, __u64 inode, int fd, int direction,
						   __u64 moved)
{
	struct conn *conn = conn_find(sk, 0);
	int is_new = moved == OF_NEW_CONNECTION;
	__u64 read, written;

	if (conn && conn->sk)
		return conn;
	conn = conn_make(sk, 0, LLMTAP_SOURCE_SOCKET);
	if (!conn)
		return 0;
	conn->sk = sk;
	conn->inode = inode;
	conn->fd = fd;
	if (is_new)
		moved = 0;
	conn->base[LLMTAP_READ] = tcp_position(sk, LLMTAP_READ) -
				  (direction == LLMTAP_READ ? (__u32)moved : 0);
	conn->base[LLMTAP_WRITE] = tcp_position(sk, LLMTAP_WRITE) -
				   (direction == LLMTAP_WRITE ? (__u32)moved : 0);
	read = tcp_bytes(sk, LLMTAP_READ) - (direction == LLMTAP_READ ? moved : 0);
	written = tcp_bytes(sk, LLMTAP_WRITE) - (direction == LLMTAP_WRITE ? moved : 0);
	/* 1: the SYN of an active open */
	conn->first_byte_seen = is_new || (read == 0 && written <= 1);
	return conn;
}

static __always_inline int announce(struct conn *conn)
{
	struct llmtap_conn_event *event;

	fill_addresses(conn);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		/* Said again with the next record. */
		conn->announced = 0;
		count_lost(LLMTAP_LOST_RING_FULL, 0);
		return 0;
	}
	fill_hdr(&event->hdr, LLMTAP_EVENT_CONN, sizeof(*event), bpf_get_current_pid_tgid(),
		 conn->id);
	event->hdr.tgid = conn->tgid;
	event->open_time_ns = conn->open_time_ns;
	event->tls_object = conn->tls_object;
	event->socket_conn_id = conn->socket_conn_id;
	event->sock = conn->inode;
	event->process_start_ns = conn->process_start_ns;
	event->netns = conn->netns;
	event->fd = conn->fd;
	__builtin_memcpy(event->local_address, conn->local_address, 16);
	__builtin_memcpy(event->remote_address, conn->remote_address, 16);
	event->local_port = conn->local_port;
	event->remote_port = conn->remote_port;
	event->role = conn->role;
	event->source = conn->source;
	event->has_addresses = conn->has_addresses;
	event->first_byte_seen = conn->first_byte_seen;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	conn->announced = 1;
	return 0;
}

/* An end that is said once per reason. Only CLOSED and EXIT are the connection's last word. */
static __always_inline int say_end(struct conn *conn, __u32 reason)
{
	struct llmtap_conn_end_event *event;

	if (!conn->announced || (conn->ended & (1 << (reason & 7))))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_lost(LLMTAP_LOST_RING_FULL, 0);
		return 0;
	}
	fill_hdr(&event->hdr, LLMTAP_EVENT_CONN_END, sizeof(*event), bpf_get_current_pid_tgid(),
		 conn->id);
	event->hdr.tgid = conn->tgid;
	event->read_offset = conn->offset[LLMTAP_READ];
	event->write_offset = conn->offset[LLMTAP_WRITE];
	event->reason = reason;
	event->pad = 0;
	bpf_ringbuf_submit(event, wakeup(1, sizeof(*event)));
	conn->ended |= 1 << (reason & 7);
	return 0;
}

#ifdef LLMTAP_COMPATIBLE
static __always_inline __u64 conn_object(const struct conn *conn)
{
	return conn->tls_object ? conn->tls_object : conn->sk;
}

static __always_inline __u64 conn_owner(const struct conn *conn)
{
	return conn->tls_object ? conn->tgid : 0;
}

__noinline int conn_announce_keyed(__u64 object, __u64 owner)
{
	struct conn *conn = conn_find(object, owner);

	return conn ? announce(conn) : 0;
}

__noinline int conn_say_end_keyed(__u64 object, __u64 owner, __u32 reason)
{
	struct conn *conn = conn_find(object, owner);

	return conn ? say_end(conn, reason) : 0;
}

static __always_inline int conn_announce(struct conn *conn)
{
	return conn_announce_keyed(conn_object(conn), conn_owner(conn));
}

static __always_inline int conn_say_end(struct conn *conn, __u32 reason)
{
	return conn_say_end_keyed(conn_object(conn), conn_owner(conn), reason);
}
#else
/* Global functions are verified once, not once per path to them; their pointers may be NULL for all
 * the verifier knows. */
__noinline int conn_announce(struct conn *conn)
{
	return conn ? announce(conn) : 0;
}

__noinline int conn_say_end(struct conn *conn, __u32 reason)
{
	return conn ? say_end(conn, reason) : 0;
}
#endif

/* TCP's own position of the direction runs ahead of ours when bytes passed beside the hooks: io_uring,
 * preadv2, a 32-bit program. `moved` bytes are not yet in our offset. A call still in progress in
 * another thread has moved TCP's position and not ours: nothing to be said before it returns. */
static __always_inline __u64 conn_unseen(struct conn *conn, int direction, __u64 moved, __u32 own_calls)
{
	__s32 ahead;

	direction &= 1;
	if (conn->source != LLMTAP_SOURCE_SOCKET || !conn->http || conn->final != FINAL_NO ||
	    conn->busy[direction] > own_calls || !tcp_position_is_of_calls(conn->sk))
		return 0;
	ahead = tcp_position(conn->sk, direction) - conn->base[direction] -
		(__u32)(conn->offset[direction] + moved);
	/* Another thread's bytes were in TCP's books when the entry was made and not in ours. */
	if (ahead < 0)
		conn->base[direction] += ahead;
	return ahead > 0 ? ahead : 0;
}

static __always_inline __u64 ciphertext_uncounted(const struct conn *conn, int direction, __u64 moved)
{
	__s32 ahead = tcp_position(conn->sk, direction) - conn->base[direction] -
		      (__u32)(conn->offset[direction] + moved);

	return ahead > 0 && tcp_position_is_of_calls(conn->sk) ? ahead : 0;
}

/* The calls of nobody will move this socket's bytes any more. */
static __always_inline void conn_settle(struct conn *conn, int fin_sent)
{
	__u32 reason = current_is_compat() ? LLMTAP_LOST_COMPAT : LLMTAP_LOST_UNSEEN;
	__u64 read = conn_unseen(conn, LLMTAP_READ, 0, 0);
	__u64 written = conn_unseen(conn, LLMTAP_WRITE, fin_sent, 0);

	if (read + written)
		count_lost(reason, read + written);
	conn->offset[LLMTAP_READ] += read;
	conn->offset[LLMTAP_WRITE] += written;
	/* Known ciphertext is not counted call by call. */
	if (conn->final == FINAL_TLS && conn->sk) {
		conn->offset[LLMTAP_READ] += ciphertext_uncounted(conn, LLMTAP_READ, 0);
		conn->offset[LLMTAP_WRITE] += ciphertext_uncounted(conn, LLMTAP_WRITE, fin_sent);
	}
	/* The peer was gone when the program wrote, and nothing came from it after that. */
	if (conn->write_failed && !(conn->ended & (1 << LLMTAP_END_EOF)))
		conn_say_end(conn, LLMTAP_END_RESET);
}

static __always_inline void conn_end(__u64 object, __u64 owner, __u32 reason)
{
	struct conn_key key = {.object = object, .owner = owner};
	struct conn *conn = bpf_map_lookup_elem(&conn_by_key, &key);
	struct conn *socket;

	if (!conn)
		return;
	if (owner && conn->sk) {
		socket = conn_find(conn->sk, 0);
		if (socket && socket->tls_conn_id == conn->id)
			socket->tls_conn_id = 0;
		/* The peer was gone when the library wrote; the socket is closed later. */
		if (socket && socket->write_failed && !(socket->ended & (1 << LLMTAP_END_EOF)))
			conn_say_end(conn, LLMTAP_END_RESET);
	}
	conn_say_end(conn, reason);
	if (!bpf_map_delete_elem(&conn_by_key, &key))
		__sync_fetch_and_add(&conns_ended, 1);
}

/* `tls` runs over `socket`. A guess by adjacency never takes a socket that another TLS object has. */
static __always_inline void conn_bind(struct conn *tls, struct conn *socket, int certain)
{
	if (tls->socket_conn_id || (socket->tls_conn_id && !certain))
		return;
	fill_addresses(socket);
	socket->tls_conn_id = tls->id;
	tls->socket_conn_id = socket->id;
	tls->sk = socket->sk;
	tls->inode = socket->inode;
	tls->fd = socket->fd;
	if (!tls->role)
		tls->role = socket->role;
	if (!tls->open_time_ns)
		tls->open_time_ns = socket->open_time_ns;
	if (socket->has_addresses && !tls->has_addresses) {
		__builtin_memcpy(tls->local_address, socket->local_address, 16);
		__builtin_memcpy(tls->remote_address, socket->remote_address, 16);
		tls->local_port = socket->local_port;
		tls->remote_port = socket->remote_port;
		tls->netns = socket->netns;
		tls->has_addresses = 1;
	}
	if (tls->announced)
		conn_announce(tls);
}

#endif
