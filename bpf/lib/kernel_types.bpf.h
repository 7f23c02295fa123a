/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types that the programs read, and of each the members they read. Offsets come from the
 * running kernel (CO-RE), so order and neighbours do not matter here, names and types do.
 */
#ifndef LLMTAP_KERNEL_TYPES_H
#define LLMTAP_KERNEL_TYPES_H

#include <linux/bpf.h>
#include <asm/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

typedef struct {
	int owned;
} socket_lock_t;

struct socket;

struct sock {
	socket_lock_t sk_lock;
	unsigned char sk_shutdown;
	struct sock_common __sk_common;
	struct socket *sk_socket;
	void *sk_user_data;
	__u16 sk_protocol;
};

struct tcp_sock {
	__u32 copied_seq;
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 snd_una;
	__u64 bytes_received;
	__u64 bytes_acked;
};

struct tcp_ulp_ops;

struct inet_connection_sock {
	const struct tcp_ulp_ops *icsk_ulp_ops;
};

struct socket {
	short type;
	struct sock *sk;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct mm_struct {
	unsigned long start_stack;
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
};

struct thread_struct {
	unsigned long fsbase;
};

struct thread_info {
	__u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	struct mm_struct *mm;
	unsigned int flags;
	int pid;
	int tgid;
	__u64 start_boottime;
	struct task_struct *group_leader;
	unsigned long nvcsw;
	unsigned long nivcsw;
	struct files_struct *files;
	struct signal_struct *signal;
	struct thread_struct thread;
	char comm[16];
};

/* The kernel's names of the registers; <asm/ptrace.h> has those of userspace. */
struct pt_regs___kernel {
	unsigned long di, si, dx, r10, r8, r9, orig_ax;
};

struct linux_binprm;

#pragma clang attribute pop

#define TS_COMPAT 0x2

#define PF_EXITING 0x4
#define S_IFMT 0xf000
#define S_IFSOCK 0xc000
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define AF_INET 2
#define AF_INET6 10

#define USER32_CS 0x23 /* code segment of 32-bit programs */
#define SOCK_DONE 1 /* bit of skc_flags */
#define TCP_SYN_SENT 2
#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_TIME_WAIT 6
#define TCP_CLOSE 7
#define TCP_LAST_ACK 9
#define TCP_CLOSING 11

#define EPIPE 32
#define ECONNRESET 104
#define EINPROGRESS 115

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

/* User memory layouts: the system call ABI of 64-bit programs. */
struct user_iovec {
	__u64 base;
	__u64 len;
};

struct user_msghdr {
	__u64 name;
	__u32 namelen;
	__u32 pad;
	__u64 iov;
	__u64 iovlen;
	__u64 control;
	__u64 controllen;
	__u32 flags;
	__u32 pad2;
};

struct user_mmsghdr {
	struct user_msghdr hdr;
	__u32 len;
	__u32 pad;
};

/* 6.13; 7.0 gave it an argument. The loader keeps the one whose type is the kernel's. */
extern _Bool bpf_session_is_return(void) __ksym __weak;
extern _Bool bpf_session_is_return___of(void *ctx) __ksym __weak;
/* 6.2. Works on any value; a load that faults reads 0. */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
/* 6.16 */
extern int bpf_probe_read_user_dynptr(const struct bpf_dynptr *dptr, __u64 off, __u64 size,
				      const void *unsafe_ptr) __ksym __weak;

#define cast_to(type, pointer) \
	((struct type *)bpf_rdonly_cast((const void *)(pointer), bpf_core_type_id_kernel(struct type)))

/* How kernel memory that no program argument names is read; the loader chooses. */
enum kernel_reads {
	KERNEL_READS_NONE = 0,    /* lockdown=confidentiality before 6.2 */
	KERNEL_READS_CHECKED = 1, /* loads that the verifier checks: bpf_rdonly_cast */
	KERNEL_READS_HELPER = 2,  /* bpf_probe_read_kernel */
};
const volatile __u32 kernel_reads = KERNEL_READS_CHECKED;
/* bpf_get_current_task_btf, 5.11 */
const volatile __u32 task_is_typed = 1;

/* A scalar or pointer member of the kernel structure at any address; 0 where there is none. */
#define kernel_read(type, pointer, member)                                                         \
	({                                                                                         \
		typeof(((struct type *)0)->member) value_ = 0;                                     \
		if (kernel_reads == KERNEL_READS_CHECKED && bpf_ksym_exists(bpf_rdonly_cast))      \
			value_ = cast_to(type, pointer)->member;                                   \
		else if (kernel_reads == KERNEL_READS_HELPER)                                      \
			bpf_probe_read_kernel(&value_, sizeof(value_),                             \
					      &((struct type *)(pointer))->member);                \
		value_;                                                                            \
	})

/* A member of the current task. */
#define task_read(member)                                                                          \
	({                                                                                         \
		typeof(((struct task_struct *)0)->member) of_task_;                                \
		if (task_is_typed)                                                                 \
			of_task_ = bpf_get_current_task_btf()->member;                             \
		else                                                                               \
			of_task_ = kernel_read(task_struct, bpf_get_current_task(), member);       \
		of_task_;                                                                          \
	})

#endif
