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
	if (*(volatile __u32 *)&refuse_new_connections)
		return 0;
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
	conn->before[LLMTAP_READ] = read;
	conn->before[LLMTAP_WRITE] = written;
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

/* Records of no bytes for those that were lost and that no record stands for: what a reader then still
 * finds to have none was left out. They end where the next record of the direction begins. */
static __noinline int say_lost(struct conn *conn, int direction, __u64 end)
{
	struct llmtap_data_event *event;
	__u64 bytes;

	direction &= 1;
	if (conn->lost[direction] > end)
		conn->lost[direction] = end;
	/* A record stands for less than 4 GiB. */
	for (int i = 0; i < 4; i++) {
		bytes = conn->lost[direction];
		if (!bytes)
			return 1;
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (!event)
			return 0;
		__builtin_memset(event, 0, sizeof(*event));
		fill_hdr(&event->hdr, LLMTAP_EVENT_DATA, sizeof(*event), bpf_get_current_pid_tgid(),
			 conn->id);
		event->hdr.flags = conn->left_out & (1 << direction) ? LLMTAP_FLAG_LEFT_OUT : 0;
		event->offset = end - bytes;
		if (bytes > 0xffffffff)
			bytes = 0xffffffff;
		event->original_bytes = bytes;
		event->sequence = conn->sequence[direction] ? conn->sequence[direction] - 1 : 0;
		event->direction = direction;
		event->source = conn->source;
		event->loss = conn->lost_reason[direction];
		bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
		conn->lost[direction] -= bytes;
		conn->left_out &= ~(1 << direction);
	}
	return 1;
}

/* An end that is said once per reason. Only CLOSED and EXIT are the connection's last word. */
static __always_inline int say_end(struct conn *conn, __u32 reason)
{
	struct llmtap_conn_end_event *event;

	if (!conn->announced || (conn->ended & (1 << (reason & 7))))
		return 0;
	say_lost(conn, LLMTAP_READ, conn->offset[LLMTAP_READ]);
	say_lost(conn, LLMTAP_WRITE, conn->offset[LLMTAP_WRITE]);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_lost(LLMTAP_LOST_RING_FULL, 0);
		return 0;
	}
	fill_hdr(&event->hdr, LLMTAP_EVENT_CONN_END, sizeof(*event), bpf_get_current_pid_tgid(),
		 conn->id);
	event->hdr.tgid = conn->tgid;
	event->hdr.flags = (conn->left_out ? LLMTAP_FLAG_LEFT_OUT : 0) |
			   (conn->unfollowed ? LLMTAP_FLAG_NOT_SEEN : 0);
	event->read_offset = conn->offset[LLMTAP_READ];
	event->write_offset = conn->offset[LLMTAP_WRITE];
	event->reason = reason;
	/* There was no room to say it before. */
	event->loss[LLMTAP_READ] = conn->lost[LLMTAP_READ] ? conn->lost_reason[LLMTAP_READ] : LLMTAP_LOST_NONE;
	event->loss[LLMTAP_WRITE] = conn->lost[LLMTAP_WRITE] ? conn->lost_reason[LLMTAP_WRITE] : LLMTAP_LOST_NONE;
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
 * preadv2, a 32-bit program. `moved` bytes are not yet in our offset. */
static __always_inline __s32 conn_ahead(const struct conn *conn, int direction, __u64 moved)
{
	return tcp_position(conn->sk, direction) - conn->base[direction] -
	       (__u32)(conn->offset[direction] + moved);
}

/* At a turn. A call still in progress in another thread has moved TCP's position and not ours: nothing to
 * be said before it returns. */
static __always_inline __u64 conn_unseen(struct conn *conn, int direction, __u64 moved, __u32 own_calls)
{
	__s32 ahead;

	direction &= 1;
	if (conn->source != LLMTAP_SOURCE_SOCKET || !conn->http || conn->final != FINAL_NO ||
	    conn->busy[direction] > own_calls || !tcp_position_is_of_calls(conn->sk))
		return 0;
	ahead = conn_ahead(conn, direction, moved);
	/* Another thread's bytes were in TCP's books when the entry was made and not in ours. */
	if (ahead < 0)
		conn->base[direction] += ahead;
	return ahead > 0 ? ahead : 0;
}

/* At the end, when no call is in progress: exact to the byte by the positions, which wrap, and in full by
 * bytes_received and bytes_acked, of which the last step may be missing. */
static __always_inline void conn_settle_direction(struct conn *conn, int direction, __u32 reason, __u64 fin)
{
	__s32 ahead = conn_ahead(conn, direction, fin);
	__s64 about = tcp_bytes(conn->sk, direction) - conn->before[direction] - conn->offset[direction] - fin;
	__s64 bytes = ahead + ((about - ahead + (1LL << 31)) & ~0xffffffffLL);

	if (bytes <= 0)
		return;
	count_lost(reason, bytes);
	conn->offset[direction] += bytes;
	conn->lost[direction] += bytes;
	conn->lost_reason[direction] = reason;
}

static __always_inline __u64 ciphertext_uncounted(const struct conn *conn, int direction, __u64 moved)
{
	__s32 ahead = conn_ahead(conn, direction, moved);

	return ahead > 0 && tcp_position_is_of_calls(conn->sk) ? ahead : 0;
}

/* The calls of nobody will move this socket's bytes any more. */
static __always_inline void conn_settle(struct conn *conn, int fin_sent)
{
	__u32 reason = current_is_compat() ? LLMTAP_LOST_COMPAT : LLMTAP_LOST_UNSEEN;

	/* Of a protocol that is none of ours only the first bytes were looked at, of TLS the records are
	 * below the stream. */
	if (conn->source == LLMTAP_SOURCE_SOCKET && conn->final == FINAL_NO && conn->sk &&
	    tcp_position_is_of_calls(conn->sk)) {
		conn_settle_direction(conn, LLMTAP_READ, reason, 0);
		conn_settle_direction(conn, LLMTAP_WRITE, reason, fin_sent);
	}
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
