/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Attach cookies of the uprobes. Read by both compilers; userspace/capture/probe.h has the same names. */
#ifndef LLMTAP_HOOK_KINDS_H
#define LLMTAP_HOOK_KINDS_H

enum llmtap_hook_kind {
	LLMTAP_HOOK_NONE = 0,
	LLMTAP_HOOK_READ = 1,           /* int (ssl, buf, int num): count is the result */
	LLMTAP_HOOK_WRITE = 2,
	LLMTAP_HOOK_READ_COUNT4 = 3,    /* int (ssl, buf, size_t num, size_t *count) */
	LLMTAP_HOOK_WRITE_COUNT4 = 4,
	LLMTAP_HOOK_WRITE_COUNT5 = 5,   /* int (ssl, buf, size_t num, flags, size_t *count) */
	LLMTAP_HOOK_READ_INTERNAL = 6,  /* as COUNT4; result 0 means the end of the stream */
	LLMTAP_HOOK_HANDSHAKE = 7,      /* int (ssl), role by other means */
	LLMTAP_HOOK_CONNECT = 8,
	LLMTAP_HOOK_ACCEPT = 9,
	LLMTAP_HOOK_SET_FD = 10,        /* int (ssl, int fd) */
	LLMTAP_HOOK_FREE = 11,          /* void (ssl) */
	LLMTAP_HOOK_SHUTDOWN = 12,      /* int (ssl) */
	LLMTAP_HOOK_SET_CONNECT = 13,   /* void (ssl) */
	LLMTAP_HOOK_SET_ACCEPT = 14,
	LLMTAP_HOOK_READ_EARLY = 15,    /* as COUNT4; the bytes are those of the call inside */
	LLMTAP_HOOK_WRITE_EARLY = 16,
};

/* The attach cookie: the kind; a number of the file, below LLMTAP_COOKIE_FILES, 0 for a file that is always
 * hooked in every process; whether the link is of one process alone; and the epoch of the link, which changes
 * when calls may have passed without it. Kernels without cookies have the kind alone, as a program each. */
#define LLMTAP_COOKIE_FILES 64
#define LLMTAP_COOKIE_KIND(cookie) ((cookie) & 0xff)
#define LLMTAP_COOKIE_FILE(cookie) (((cookie) >> 8) & (LLMTAP_COOKIE_FILES - 1))
#define LLMTAP_COOKIE_OWN(cookie) (((cookie) >> 16) & 1)
#define LLMTAP_COOKIE_EPOCH(cookie) (((cookie) >> 32) & 0xffff)

#endif
