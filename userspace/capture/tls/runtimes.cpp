// SPDX-License-Identifier: Apache-2.0
#include "capture/tls/runtimes.h"

#include <algorithm>
#include <array>

namespace llmtap {
namespace {

constexpr uint64_t kCommentBytes = 4096;
constexpr uint64_t kRodataBytes = 64 << 20;  // of a Rust program, looked through once for each file

bool soname_is(const ElfFile& elf, std::string_view prefix) { return elf.soname().starts_with(prefix); }

bool is_gnutls(const ElfFile& elf) { return soname_is(elf, "libgnutls.so"); }
// libssl3.so is the TLS library of NSS; the one of OpenSSL 3 is libssl.so.3.
bool is_nss(const ElfFile& elf) { return soname_is(elf, "libssl3.so"); }
bool is_java(const ElfFile& elf) { return soname_is(elf, "libjvm.so"); }
bool is_go(const ElfFile& elf) { return elf.has_section(".go.buildinfo") || elf.has_section(".gopclntab"); }

bool is_rust(const ElfFile& elf) { return elf.section_contains(".comment", "rustc version", kCommentBytes); }
// Panic locations keep the path of the crate's sources, with its version, in stripped programs too.
bool is_rustls(const ElfFile& elf) {
  return is_rust(elf) && elf.section_contains(".rodata", "/rustls-0.", kRodataBytes);
}

// Bun exports Node's addon interface and links BoringSSL without its names; programs that it compiled
// carry their script in a section of its own.
bool is_bun(const ElfFile& elf) {
  constexpr std::array<std::string_view, 1> kAddonInterface{"napi_create_function"};
  if (elf.has_section(".bun")) return true;
  const bool uses_shared_tls = std::ranges::any_of(
      elf.needed(), [](const std::string& name) { return name.starts_with("libssl.so"); });
  return elf.has_interpreter() && !uses_shared_tls && !is_rust(elf) &&
         !elf.dynamic_functions(kAddonInterface).empty();
}

constexpr std::array kTable{
    TlsRuntime{"openssl", exports_openssl, plan_openssl, {}},
    TlsRuntime{"boringssl", exports_boringssl, plan_openssl, {}},
    TlsRuntime{"gnutls", is_gnutls, nullptr, "library_not_hooked"},
    TlsRuntime{"nss", is_nss, nullptr, "library_not_hooked"},
    TlsRuntime{"java", is_java, nullptr, "tls_in_bytecode"},
    TlsRuntime{"go_tls", is_go, nullptr, "library_not_hooked"},
    TlsRuntime{"rustls", is_rustls, nullptr, "symbols_stripped"},
    TlsRuntime{"boringssl", is_bun, nullptr, "symbols_stripped", true},
};

}  // namespace

std::string_view fiber_runtime(std::string_view path) {
  // Up to the version: libboost_context.so.1.74.0.
  constexpr std::array<std::string_view, 12> kLibraries{
      "libboost_context", "libboost_coroutine", "libboost_fiber", "libbrpc", "libbthread", "libco", "libdill",
      "libmill",          "libphoton",          "libpth",         "libst",   "libtask"};
  std::string_view name = path.substr(path.rfind('/') + 1);
  name = name.substr(0, std::min(name.find(".so"), name.find('-')));
  const auto known = std::ranges::find(kLibraries, name);
  return known == kLibraries.end() ? std::string_view{} : *known;
}

std::optional<std::pair<uint64_t, uint64_t>> self_checked_code(const ElfFile& elf) {
  // BoringSSL and AWS-LC; OpenSSL 1.0.2's FIPS container.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kBounds{
      {{"BORINGSSL_bcm_text_start", "BORINGSSL_bcm_text_end"}, {"FIPS_text_start", "FIPS_text_end"}}};
  for (const auto& [first, last] : kBounds) {
    const std::array names{first, last};
    for (const ElfSymbols& found : {elf.dynamic_functions(names), elf.symtab_functions(names)})
      if (found.size() == 2)
        return std::pair(found.at(std::string(first)).address, found.at(std::string(last)).address);
  }
  return std::nullopt;
}

constinit const std::span<const TlsRuntime> kRuntimes = kTable;

}  // namespace llmtap
