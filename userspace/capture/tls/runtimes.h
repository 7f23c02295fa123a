// SPDX-License-Identifier: Apache-2.0
// The TLS runtimes that discovery knows, one row each. A row says how a file shows that it holds the
// runtime and where to hook it; a row without a plan names what is seen and not read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/attacher.h"
#include "capture/elf_file.h"

namespace llmtap {

struct HookPlan {
  std::vector<HookPlace> places;
  std::string placement;  // "internal", "exported", or which of both for which direction
  // The same by exported functions alone, where `places` has functions found by decoding: taken when
  // the kernel refuses those. Empty: nothing else to try.
  std::vector<HookPlace> fallback;
  std::string fallback_placement;
  bool fallback_single_stepped = false;
  // A breakpoint on the data path is not emulated by the kernel: each hit costs several times as much.
  bool single_stepped = false;
};

struct TlsRuntime {
  std::string_view name;  // label `runtime`
  // Cheap: asked of every executable mapping of the node, once for each file.
  bool (*recognise)(const ElfFile&);
  Result<HookPlan> (*plan)(const ElfFile&);  // null: opaque
  std::string_view opaque_reason;            // label `reason`, closed list
  // The file was recognised by one of the rows above: do not ask.
  bool only_if_none = false;
};

extern const std::span<const TlsRuntime> kRuntimes;

// A return probe breaks a program that switches stacks inside the call: why this mapped file says that
// it may; empty if it does not. By the file's name: asked of every mapping.
std::string_view fiber_runtime(std::string_view path);
// Code whose own checksum a breakpoint would spoil (FIPS modules linked into the file): addresses.
std::optional<std::pair<uint64_t, uint64_t>> self_checked_code(const ElfFile&);

// tls/openssl.cpp
bool exports_openssl(const ElfFile&);
bool exports_boringssl(const ElfFile&);
Result<HookPlan> plan_openssl(const ElfFile&);

}  // namespace llmtap
