/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * What function a uprobe sits on: the attach cookie that discovery gives to each place and the BPF
 * programs read. The values are fixed: both sides are compiled apart.
 */
#ifndef LLMTAP_HOOK_KINDS_H
#define LLMTAP_HOOK_KINDS_H

enum llmtap_hook_kind {
	LLMTAP_HOOK_READ = 1,           /* int SSL_read(ssl, buf, int num) */
	LLMTAP_HOOK_WRITE = 2,          /* int SSL_write(ssl, buf, int num) */
	LLMTAP_HOOK_READ_EX = 3,        /* int SSL_read_ex(ssl, buf, num, size_t *count) */
	LLMTAP_HOOK_WRITE_EX = 4,       /* int SSL_write_ex(ssl, buf, num, size_t *count) */
	LLMTAP_HOOK_WRITE_EX2 = 5,      /* int SSL_write_ex2(ssl, buf, num, flags, size_t *count) */
	LLMTAP_HOOK_READ_INTERNAL = 6,  /* int ssl_read_internal(ssl, buf, num, size_t *count): > 0 is success */
	LLMTAP_HOOK_WRITE_INTERNAL4 = 7, /* ssl_write_internal up to 3.2: count pointer is argument 4 */
	LLMTAP_HOOK_WRITE_INTERNAL5 = 8, /* ssl_write_internal from 3.3: flags is 4, count pointer 5 */
	LLMTAP_HOOK_DO_HANDSHAKE = 9,
	LLMTAP_HOOK_CONNECT = 10,
	LLMTAP_HOOK_ACCEPT = 11,
	LLMTAP_HOOK_SET_FD = 12,        /* int SSL_set_fd(ssl, int fd) */
	LLMTAP_HOOK_FREE = 13,
	LLMTAP_HOOK_SHUTDOWN = 14,
	LLMTAP_HOOK_SET_CONNECT_STATE = 15,
	LLMTAP_HOOK_SET_ACCEPT_STATE = 16,
};

#endif
