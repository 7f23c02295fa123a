/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef LLMTAP_CLASSIFY_H
#define LLMTAP_CLASSIFY_H

#define WORD4(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)

static __always_inline int is_tls_record(const __u8 *b)
{
	/* RFC 8446 5.1: content type 20..23, legacy version 03 00 .. 03 04. */
	return b[0] >= 0x14 && b[0] <= 0x17 && b[1] == 3 && b[2] <= 4;
}

static __always_inline int is_http1_method(__u32 first, __u32 second)
{
	switch (first) {
	case WORD4('G', 'E', 'T', ' '):
	case WORD4('P', 'U', 'T', ' '):
		return 1;
	case WORD4('P', 'O', 'S', 'T'):
	case WORD4('H', 'E', 'A', 'D'):
		return (second & 0xff) == ' ';
	case WORD4('P', 'A', 'T', 'C'):
		return (second & 0xffff) == ('H' | ' ' << 8);
	case WORD4('T', 'R', 'A', 'C'):
		return (second & 0xffff) == ('E' | ' ' << 8);
	case WORD4('D', 'E', 'L', 'E'):
		return (second & 0xffffff) == ('T' | 'E' << 8 | ' ' << 16);
	case WORD4('O', 'P', 'T', 'I'):
		return second == WORD4('O', 'N', 'S', ' ');
	case WORD4('C', 'O', 'N', 'N'):
		return second == WORD4('E', 'C', 'T', ' ');
	}
	return 0;
}

/* What `bytes` first bytes of a message look like; UNKNOWN when they are too few to say. */
static __always_inline __u8 classify(const __u8 *b, __u32 bytes)
{
	__u32 first = WORD4(b[0], b[1], b[2], b[3]);
	__u32 second = WORD4(b[4], b[5], b[6], b[7]);

	if (bytes >= 5 && is_tls_record(b))
		return LLMTAP_CLASS_TLS;
	if (bytes >= 9) {
		if (first == WORD4('P', 'R', 'I', ' ') && second == WORD4('*', ' ', 'H', 'T'))
			return LLMTAP_CLASS_HTTP2;
		if (first == WORD4('H', 'T', 'T', 'P') &&
		    (second & 0xffffff) == ('/' | '1' << 8 | '.' << 16))
			return LLMTAP_CLASS_HTTP1_RESPONSE;
		if (is_http1_method(first, second))
			return LLMTAP_CLASS_HTTP1_REQUEST;
		/* RFC 9113 4.1, 6.5: SETTINGS of at most 42 settings, on stream 0. */
		if (b[0] == 0 && b[1] == 0 && b[2] % 6 == 0 && b[3] == 4 && b[4] <= 1 &&
		    b[5] == 0 && b[6] == 0 && b[7] == 0 && b[8] == 0)
			return LLMTAP_CLASS_HTTP2;
		/* The PROXY protocol's line stands before the first message. */
		if (first == WORD4('P', 'R', 'O', 'X') && (second & 0xffff) == ('Y' | ' ' << 8))
			return LLMTAP_CLASS_UNKNOWN;
		return LLMTAP_CLASS_OTHER;
	}
	switch (b[0]) {
	case 'C': case 'D': case 'G': case 'H': case 'O': case 'P': case 'T':
	case 0x00: case 0x14: case 0x15: case 0x16: case 0x17:
		return LLMTAP_CLASS_UNKNOWN;
	}
	return bytes ? LLMTAP_CLASS_OTHER : LLMTAP_CLASS_UNKNOWN;
}

static __always_inline int is_http(__u8 message_class)
{
	return message_class >= LLMTAP_CLASS_HTTP1_REQUEST && message_class <= LLMTAP_CLASS_HTTP2;
}

#endif
