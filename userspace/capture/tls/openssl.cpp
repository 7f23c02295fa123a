// SPDX-License-Identifier: Apache-2.0
// The OpenSSL API, 1.0.2 to 3.6: shared libssl, or linked into the program with its symbols kept.
#include <array>

#include "capture/entry_placement.h"
#include "capture/tls/runtimes.h"

namespace llmtap {
namespace {

constexpr std::array<std::string_view, 2> kMarkers{"SSL_read", "SSL_write"};

// BoringSSL and AWS-LC have it, OpenSSL and LibreSSL do not.
constexpr std::array<std::string_view, 1> kBoringMarker{"SSL_set_custom_verify"};

constexpr std::array<std::string_view, 18> kFunctions{
    "SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex", "SSL_write_ex2",
    // OpenSSL from 1.1.1 on and no other: only there do the _ex forms not call the plain ones.
    "SSL_set_block_padding", "SSL_do_handshake", "SSL_connect", "SSL_accept", "SSL_set_fd", "SSL_set_rfd",
    "SSL_set_wfd", "SSL_free", "SSL_shutdown", "SSL_set_connect_state", "SSL_set_accept_state",
    "SSL_read_early_data", "SSL_write_early_data"};

struct LifecycleHook {
  std::string_view function;
  UprobeKind kind;
  bool with_return;
};
constexpr std::array<LifecycleHook, 12> kLifecycle{{
    {"SSL_do_handshake", UprobeKind::kHandshake, true},
    {"SSL_connect", UprobeKind::kConnect, true},
    {"SSL_accept", UprobeKind::kAccept, true},
    {"SSL_set_fd", UprobeKind::kSetFd, false},
    {"SSL_free", UprobeKind::kFree, false},
    {"SSL_shutdown", UprobeKind::kShutdown, false},
    {"SSL_set_rfd", UprobeKind::kSetFd, false},
    {"SSL_set_wfd", UprobeKind::kSetFd, false},
    {"SSL_set_connect_state", UprobeKind::kSetConnect, false},
    {"SSL_set_accept_state", UprobeKind::kSetAccept, false},
    {"SSL_read_early_data", UprobeKind::kReadEarly, true},
    {"SSL_write_early_data", UprobeKind::kWriteEarly, true},
}};

// Exported names first; a program that keeps them as local symbols (standalone Python builds) only
// shows them in its full table.
ElfSymbols functions(const ElfFile& elf, std::span<const std::string_view> names) {
  ElfSymbols found = elf.dynamic_functions(names);
  return found.contains(kMarkers[0]) && found.contains(kMarkers[1]) ? found : elf.symtab_functions(names);
}

bool has_markers(const ElfSymbols& found) { return found.size() == kMarkers.size(); }

bool has_api(const ElfFile& elf) {
  return has_markers(elf.dynamic_functions(kMarkers)) || has_markers(elf.symtab_functions(kMarkers));
}

bool is_boring(const ElfFile& elf) {
  return !elf.dynamic_functions(kBoringMarker).empty() || !elf.symtab_functions(kBoringMarker).empty();
}

class Planner {
 public:
  Planner(const ElfFile& elf, const ElfSymbols& symbols) : elf_(elf), symbols_(symbols) {}

  bool has(std::string_view name) const { return symbols_.contains(name); }
  const ElfSymbol& at(std::string_view name) const { return symbols_.find(name)->second; }

  bool hook(uint64_t function, UprobeKind kind, bool with_return) {
    const auto place = entry_place(elf_, function);
    const auto offset = place ? elf_.code_offset(place->address) : std::nullopt;
    if (!offset) return false;
    if (kind <= UprobeKind::kReadInternal && !place->emulated) plan_.single_stepped = true;
    plan_.places.push_back({*offset, kind, false});
    if (with_return) plan_.places.push_back({*offset, kind, true});
    return true;
  }

  // The function below both forms, if it is certain and its entry is cheap.
  bool hook_internal(std::string_view plain, std::string_view extended, UprobeKind kind) {
    if (!has(extended)) return false;
    const auto internal = shared_callee(elf_, at(plain), at(extended));
    const auto place = internal ? entry_place(elf_, *internal) : std::nullopt;
    return place && place->emulated && hook(*internal, kind, true);
  }

  bool hook_exported(std::string_view name, UprobeKind kind) {
    return has(name) && hook(at(name).address, kind, true);
  }

  HookPlan take() { return std::move(plan_); }
  std::string& placement() { return plan_.placement; }

 private:
  const ElfFile& elf_;
  const ElfSymbols& symbols_;
  HookPlan plan_;
};

}  // namespace

bool exports_openssl(const ElfFile& elf) { return has_api(elf) && !is_boring(elf); }
bool exports_boringssl(const ElfFile& elf) { return has_api(elf) && is_boring(elf); }

namespace {

// `by_decoding`: also functions that have no symbol.
Result<HookPlan> plan_with(const ElfFile& elf, const ElfSymbols& symbols, bool by_decoding) {
  Planner planner(elf, symbols);

  // In AWS-LC and LibreSSL SSL_read_ex calls SSL_read: hooking both would count every byte twice.
  const bool extended = planner.has("SSL_set_block_padding");
  const bool ex2 = extended && planner.has("SSL_write_ex2");  // 3.3: SSL_write_ex jumps into it
  const bool internal = extended && by_decoding;
  const bool internal_read =
      internal && planner.hook_internal("SSL_read", "SSL_read_ex", UprobeKind::kReadInternal);
  const bool internal_write =
      internal && planner.hook_internal("SSL_write", ex2 ? "SSL_write_ex2" : "SSL_write_ex",
                                        ex2 ? UprobeKind::kWriteCount5 : UprobeKind::kWriteCount4);
  if (!internal_read) {
    if (!planner.hook_exported("SSL_read", UprobeKind::kRead)) return Error{"no code at SSL_read"};
    if (extended) planner.hook_exported("SSL_read_ex", UprobeKind::kReadCount4);
  }
  if (!internal_write) {
    if (!planner.hook_exported("SSL_write", UprobeKind::kWrite)) return Error{"no code at SSL_write"};
    if (ex2)
      planner.hook_exported("SSL_write_ex2", UprobeKind::kWriteCount5);
    else if (extended)
      planner.hook_exported("SSL_write_ex", UprobeKind::kWriteCount4);
  }
  for (const LifecycleHook& hook : kLifecycle)
    if (planner.has(hook.function))
      planner.hook(planner.at(hook.function).address, hook.kind, hook.with_return);

  planner.placement() = internal_read == internal_write ? (internal_read ? "internal" : "exported")
                        : internal_read                 ? "internal read, exported write"
                                                        : "exported read, internal write";
  return planner.take();
}

}  // namespace

Result<HookPlan> plan_openssl(const ElfFile& elf) {
  if (!elf.is_x86_64()) return Error{"not an x86-64 file"};
  const ElfSymbols symbols = functions(elf, kFunctions);
  if (!symbols.contains("SSL_read") || !symbols.contains("SSL_write"))
    return Error{"SSL_read or SSL_write not found"};
  HookPlan plan = LLMTAP_TRY(plan_with(elf, symbols, true));
  if (plan.placement == "exported") return plan;
  HookPlan exported = LLMTAP_TRY(plan_with(elf, symbols, false));
  plan.fallback = std::move(exported.places);
  plan.fallback_placement = std::move(exported.placement);
  plan.fallback_single_stepped = exported.single_stepped;
  return plan;
}

}  // namespace llmtap
