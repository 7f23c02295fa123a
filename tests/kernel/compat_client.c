/* SPDX-License-Identifier: Apache-2.0 */
/* A 32-bit program without a C library: connects to the address at standard input, sends 100 bytes. */

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

static char bytes[100];
static char address[16];

void _start(void)
{
	long fd, ok;

	bytes[0] = 'x';
	ok = call(3 /* read */, 0, (long)address, sizeof(address)) == sizeof(address);
	fd = call(359 /* socket */, 2, 1, 0);
	ok = ok && call(362 /* connect */, fd, (long)address, sizeof(address)) == 0;
	ok = ok && call(4 /* write */, fd, (long)bytes, sizeof(bytes)) == sizeof(bytes);
	/* To the end of the stream, so that nothing is in flight when the socket goes. */
	ok = ok && call(3 /* read */, fd, (long)address, sizeof(address)) == 0;
	call(1 /* exit */, !ok, 0, 0);
}
