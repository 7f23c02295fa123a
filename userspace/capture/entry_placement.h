// SPDX-License-Identifier: Apache-2.0
// Where in a function a breakpoint is cheap and correct. The kernel emulates push, nop, call and jmp;
// any other instruction is single-stepped out of line, which under virtualisation costs tens of
// microseconds a hit and takes four fifths of a TLS proxy's throughput. A return probe must sit
// before rsp changes: at the first instruction, or behind its endbr64.
#pragma once

#include <cstdint>
#include <optional>

#include "capture/elf_file.h"

namespace llmtap {

struct EntryPlace {
  uint64_t address = 0;   // of the instruction to replace
  bool emulated = false;  // by the kernel, without a single step
};

// Nothing if there is no code at the address.
std::optional<EntryPlace> entry_place(const ElfFile&, uint64_t function);

// The function to which both hand their first two arguments untouched, by their first call, direct and
// not through the PLT: in OpenSSL 1.1.1 to 3.6, ssl_read_internal below SSL_read and SSL_read_ex.
// Nothing where the compiler put its body into the wrappers (node): the calls they share then are
// others, made with other arguments.
std::optional<uint64_t> shared_callee(const ElfFile&, const ElfSymbol& plain, const ElfSymbol& extended);

}  // namespace llmtap
