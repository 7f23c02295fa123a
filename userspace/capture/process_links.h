// SPDX-License-Identifier: Apache-2.0
// Whether a uprobe link of one process is to be relied on here, and what a hit of a breakpoint costs.
#pragma once

namespace llmtap {

// Nanoseconds that a hit takes of its process, an empty program's included; 0 where a link of one process
// does not cover its other threads (before Linux 6.10), cannot be made, or where our process numbers are not
// those of /proc (no host pid namespace). Hooks a function of this program for some milliseconds.
double measure_process_links();

}  // namespace llmtap
