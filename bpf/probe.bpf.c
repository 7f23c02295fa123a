/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one unit, in reading order. */
#include "lib/kernel_types.bpf.h"
#include "llmtap/events.h"
#include "lib/hook_kinds.h"
#include "lib/variant.bpf.h"

#include "lib/maps.bpf.h"
#include "lib/copies.bpf.h"
#include "lib/thread.bpf.h"
#include "lib/socket.bpf.h"
#include "lib/classify.bpf.h"
#include "lib/event.bpf.h"
#include "lib/conn.bpf.h"
#include "lib/stream.bpf.h"
#include "lib/stack.bpf.h"
#include "lib/syscall.bpf.h"

#include "hooks/process.bpf.c"
#include "hooks/socket_io.bpf.c"
#include "hooks/socket_life.bpf.c"
#include "hooks/all_syscalls.bpf.c"
#include "hooks/openssl.bpf.c"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
