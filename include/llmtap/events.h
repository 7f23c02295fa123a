/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * What crosses from the kernel to userspace, and what an event file holds. C, read by both compilers.
 * Byte order and alignment are the machine's (little endian in event files); every record starts at
 * a multiple of 8 bytes and its size field counts everything that follows it up to the next record,
 * less the padding to 8.
 *
 * Times are CLOCK_MONOTONIC nanoseconds. `tgid` and `tid` are those of the initial pid namespace.
 */
#ifndef LLMTAP_EVENTS_H
#define LLMTAP_EVENTS_H

#ifdef __bpf__
/* __u8 ... __u64 come from bpf/lib/kernel_types.bpf.h */
#else
#include <linux/types.h>
#endif

#ifdef __cplusplus
#define LLMTAP_ASSERT_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type)
#else
#define LLMTAP_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#endif

#define LLMTAP_EVENTS_VERSION 1

/* A ring record never exceeds this many payload bytes; a larger call becomes several records that
 * share one sequence number. */
#define LLMTAP_MAX_RECORD_PAYLOAD (256 * 1024)

enum llmtap_event_type {
	LLMTAP_EVENT_DATA = 1,          /* bytes of a connection; kernel */
	LLMTAP_EVENT_CONN = 2,          /* what is known of a connection, again when more is; kernel */
	LLMTAP_EVENT_CONN_END = 3,      /* closed, freed or its process ended; kernel */
	LLMTAP_EVENT_EXEC = 4,          /* process image replaced; kernel */
	LLMTAP_EVENT_EXIT = 5,          /* last thread of a process gone; kernel */
	LLMTAP_EVENT_PROCESS = 6,       /* what /proc says of a process; userspace */
	LLMTAP_EVENT_CLOCK = 7,         /* the three clocks read together, at least every 100 ms; userspace */
	LLMTAP_EVENT_LOST = 8,          /* kernel loss counters, cumulative, when they moved; userspace */
	LLMTAP_EVENT_MMAP_EXEC = 9,     /* a process mapped a file executable; kernel, for discovery */
};

enum llmtap_direction {
	LLMTAP_READ = 0,                /* the process received these bytes */
	LLMTAP_WRITE = 1,               /* the process sent these bytes */
};

enum llmtap_source {
	LLMTAP_SOURCE_SOCKET = 0,       /* socket system calls: plain text, or TLS records as such */
	LLMTAP_SOURCE_OPENSSL = 1,      /* OpenSSL-API library, plaintext */
	LLMTAP_SOURCE_MAX = 16,
};

enum llmtap_role {
	LLMTAP_ROLE_UNKNOWN = 0,
	LLMTAP_ROLE_SERVER = 1,         /* the process accepted the connection: inbound */
	LLMTAP_ROLE_CLIENT = 2,         /* the process connected: outbound */
};

/* What the first 24 bytes of a message look like. */
enum llmtap_class {
	LLMTAP_CLASS_UNKNOWN = 0,
	LLMTAP_CLASS_HTTP1_REQUEST = 1,
	LLMTAP_CLASS_HTTP1_RESPONSE = 2,
	LLMTAP_CLASS_HTTP2 = 3,         /* connection preface, or a plausible SETTINGS frame */
	LLMTAP_CLASS_TLS = 4,           /* a TLS handshake record: ClientHello or ServerHello */
	LLMTAP_CLASS_OTHER = 5,         /* none of these */
};

/* Userspace's answer for a connection; value of map `verdict` inside the connection's entry. A
 * verdict other than WANTED never outlives a turn (a change of direction). */
enum llmtap_verdict {
	LLMTAP_VERDICT_UNDECIDED = 0,   /* classify, copy what looks like a message */
	LLMTAP_VERDICT_WANTED = 1,      /* copy everything */
	LLMTAP_VERDICT_HEADS = 2,       /* first 16 KiB of each turn, then lengths */
	LLMTAP_VERDICT_TIMES = 3,       /* length and time of each call, no bytes */
	LLMTAP_VERDICT_MUTED = 4,       /* nothing; only the offsets advance */
	LLMTAP_VERDICT_REPEATS = 5,     /* as TIMES; the same request again, and its reply: nothing */
};

/* Why bytes that a program moved did not reach a record. Index of the per-CPU counters. */
enum llmtap_loss {
	LLMTAP_LOST_NONE = 0,
	LLMTAP_LOST_RING_FULL = 1,      /* no room in the ring */
	LLMTAP_LOST_FAULT = 2,          /* the user page was not resident */
	LLMTAP_LOST_TOO_LARGE = 3,      /* beyond the cap of one call or turn */
	LLMTAP_LOST_IOVECS = 4,         /* iovecs beyond the cap */
	LLMTAP_LOST_NO_ARGS = 5,        /* returned from a call whose entry was not seen */
	LLMTAP_LOST_MAP_FULL = 6,       /* a map had no room for the call or the connection */
	LLMTAP_LOST_BYPASS = 7,         /* sendfile, splice: moved beside the hooks, length known */
	LLMTAP_LOST_UNSEEN = 8,         /* tcp_sock's own counters say more passed than was hooked */
	LLMTAP_LOST_COMPAT = 9,         /* 32-bit system calls */
	LLMTAP_LOST_REDACTED = 10,      /* left out of a redacted recording; userspace */
	LLMTAP_LOST_SHED = 11,          /* of a connection that is not read, to cost less */
	LLMTAP_LOST_MAX = 16,
};

struct llmtap_event_hdr {
	__u64 time_ns;
	__u32 size;                     /* bytes of the whole record, this header included */
	__u16 type;                     /* enum llmtap_event_type */
	__u16 flags;                    /* LLMTAP_FLAG_… */
	__u32 tgid;
	__u32 tid;
	__u64 conn_id;                  /* unique while the probe runs; 0: none */
};
LLMTAP_ASSERT_SIZE(struct llmtap_event_hdr, 32);

#define LLMTAP_FLAG_MORE 0x1            /* DATA: further records of the same call follow */
#define LLMTAP_FLAG_TURN 0x2            /* DATA: first record after a change of direction */
#define LLMTAP_FLAG_EARLY_DATA 0x4      /* DATA: TLS early data */
#define LLMTAP_FLAG_NOT_SEEN 0x8        /* CONN_END, EXIT: the kernel's own was lost; userspace found it gone */
#define LLMTAP_FLAG_LEFT_OUT 0x10        /* DATA, CONN_END: bytes in front of it that have no record were not wanted */

/* captured_bytes of payload follow. time_ns is when the call returned. */
struct llmtap_data_event {
	struct llmtap_event_hdr hdr;
	__u64 offset;                   /* of this record's first byte in the direction's stream */
	__u64 entry_time_ns;            /* when the call was entered; 0: not known */
	__u32 original_bytes;           /* of the stream that this record stands for */
	__u32 captured_bytes;           /* a prefix of them; less when cut, 0 for TIMES and BYPASS */
	__u32 sequence;                 /* number of the call in its direction */
	__u8 direction;                 /* enum llmtap_direction */
	__u8 source;                    /* enum llmtap_source */
	__u8 loss;                      /* enum llmtap_loss: why captured < original */
	__u8 message_class;             /* enum llmtap_class, of the message's first bytes */
};
LLMTAP_ASSERT_SIZE(struct llmtap_data_event, 64);

/* Sent at the first sight of a connection and again when a field became known. Addresses are IPv6 or
 * IPv4-mapped; ports in host order. */
struct llmtap_conn_event {
	struct llmtap_event_hdr hdr;    /* tgid: the process that used it */
	__u64 open_time_ns;             /* connect or accept; 0: before the probe started */
	__u64 tls_object;               /* SSL *; 0 for a socket */
	__u64 socket_conn_id;           /* of a TLS connection: its socket's connection, 0 not known */
	__u64 sock;                     /* identity of the kernel's socket on this boot; 0 not known */
	__u64 process_start_ns;         /* boot time when the process started */
	__u32 netns;                    /* inode number of the network namespace; 0 not known */
	__s32 fd;                       /* -1 not known */
	__u8 local_address[16];
	__u8 remote_address[16];
	__u16 local_port;
	__u16 remote_port;
	__u8 role;                      /* enum llmtap_role */
	__u8 source;                    /* enum llmtap_source */
	__u8 has_addresses;             /* the four fields above are known */
	__u8 first_byte_seen;           /* offset 0 is the connection's first byte */
};
LLMTAP_ASSERT_SIZE(struct llmtap_conn_event, 120);

enum llmtap_end_reason {
	LLMTAP_END_CLOSED = 0,          /* close, SSL_free, shutdown of both sides */
	LLMTAP_END_SHUTDOWN_WRITE = 1,  /* the process will write no more */
	LLMTAP_END_EOF = 2,             /* a read returned 0: the peer will write no more */
	LLMTAP_END_RESET = 3,           /* ECONNRESET, EPIPE */
	LLMTAP_END_EXIT = 4,            /* the process ended */
};

struct llmtap_conn_end_event {
	struct llmtap_event_hdr hdr;
	__u64 read_offset;              /* bytes the process read in all, hooked or not */
	__u64 write_offset;
	__u32 reason;                   /* enum llmtap_end_reason */
	__u8 loss[2];                   /* by direction: why the last bytes have no record (enum llmtap_loss) */
	__u16 pad;
};
LLMTAP_ASSERT_SIZE(struct llmtap_conn_end_event, 56);

/* EXEC, EXIT, MMAP_EXEC. */
struct llmtap_process_event {
	struct llmtap_event_hdr hdr;
	__u64 process_start_ns;
	__u64 device;                   /* MMAP_EXEC: of the mapped file, else 0 */
	__u64 inode;
	char comm[16];                  /* not always NUL-terminated */
};
LLMTAP_ASSERT_SIZE(struct llmtap_process_event, 72);

/* PROCESS: after it, `text_bytes` of "key\0value\0" pairs: exe, comm, workload, container_id,
 * cgroup, unit, script. Unknown keys are skipped. */
struct llmtap_process_facts_event {
	struct llmtap_event_hdr hdr;
	__u64 process_start_ns;
	__u32 text_bytes;
	__u32 pad;
};
LLMTAP_ASSERT_SIZE(struct llmtap_process_facts_event, 48);

struct llmtap_clock_event {
	struct llmtap_event_hdr hdr;    /* time_ns: monotonic */
	__u64 boottime_ns;
	__u64 realtime_ns;              /* Unix time */
};
LLMTAP_ASSERT_SIZE(struct llmtap_clock_event, 48);

struct llmtap_lost_event {
	struct llmtap_event_hdr hdr;
	__u64 events[LLMTAP_LOST_MAX];  /* cumulative since the probe started, by enum llmtap_loss */
	__u64 bytes[LLMTAP_LOST_MAX];
};
LLMTAP_ASSERT_SIZE(struct llmtap_lost_event, 32 + 2 * 8 * LLMTAP_LOST_MAX);

/* An event file: this, then records, each padded to 8 bytes. */
#define LLMTAP_FILE_MAGIC "LLMTAPEV"
struct llmtap_file_header {
	char magic[8];
	__u32 version;                  /* LLMTAP_EVENTS_VERSION */
	__u32 flags;                    /* LLMTAP_FILE_… */
	__u64 realtime_ns;              /* when the recording began, */
	__u64 monotonic_ns;             /* on both clocks */
};
#define LLMTAP_FILE_REDACTED 0x1        /* credentials and content overwritten with filler */
LLMTAP_ASSERT_SIZE(struct llmtap_file_header, 32);

#endif
