// SPDX-License-Identifier: Apache-2.0
#include "capture/tls/runtimes.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <link.h>

#include <filesystem>

#include "unit/capture/elf_builder.h"
#include "unit/capture/system_files.h"

namespace llmtap {
namespace {

using ::testing::ElementsAre;
using testing::ElfParts;
using ::testing::IsEmpty;

std::vector<std::string> names(const ElfFile& elf) {
  std::vector<std::string> found;
  for (const TlsRuntime& runtime : kRuntimes)
    if (!(runtime.only_if_none && !found.empty()) && runtime.recognise(elf)) found.emplace_back(runtime.name);
  return found;
}

std::vector<std::string> names(const ElfParts& parts) {
  const auto bytes = testing::build_elf(parts);
  const SpanSource source(bytes);
  return names(*ElfFile::open(source));
}

ElfParts with_sections(std::vector<std::pair<std::string, std::string>> sections) {
  return {.code = std::vector<uint8_t>(16, 0x90), .sections = std::move(sections)};
}

TEST(Runtimes, EveryRowIsReadOrSaysWhyNot) {
  for (const TlsRuntime& runtime : kRuntimes) {
    EXPECT_NE(runtime.recognise, nullptr) << runtime.name;
    EXPECT_EQ(runtime.plan == nullptr, !runtime.opaque_reason.empty()) << runtime.name;
  }
}

TEST(Runtimes, AreRecognisedByTheirSections) {
  EXPECT_THAT(names(with_sections({{".text.x", "nothing"}})), IsEmpty());
  EXPECT_THAT(names(with_sections({{".go.buildinfo", "x"}})), ElementsAre("go_tls"));
  EXPECT_THAT(names(with_sections({{".gopclntab", "x"}})), ElementsAre("go_tls"));
  EXPECT_THAT(names(with_sections({{".bun", "script"}})), ElementsAre("boringssl"));
  EXPECT_THAT(
      names(with_sections({{".comment", "rustc version 1.9"}, {".rodata", "x/rustls-0.23.46/src/conn.rs"}})),
      ElementsAre("rustls"));
  EXPECT_THAT(names(with_sections({{".comment", "rustc version 1.9"}, {".rodata", "x"}})), IsEmpty());
  EXPECT_THAT(names(with_sections({{".comment", "GCC"}, {".rodata", "x/rustls-0.23.46/src/conn.rs"}})),
              IsEmpty());
}

TEST(Runtimes, SeveralInOneFileAreAllNamed) {
  ElfParts parts = with_sections({{".comment", "rustc version 1.9"}, {".rodata", "/rustls-0.23"}});
  parts.functions = {{"SSL_read", 0x401000, 8}, {"SSL_write", 0x401008, 8}};
  EXPECT_THAT(names(parts), ElementsAre("openssl", "rustls"));
}

TEST(Runtimes, AreRecognisedInRealLibraries) {
  const std::pair<const char*, const char*> rows[] = {{"libgnutls.so.30", "gnutls"}, {"libssl3.so", "nss"}};
  size_t seen = 0;
  for (const auto& [library, runtime] : rows)
    for (const char* const folder : {"/usr/lib/x86_64-linux-gnu/", "/usr/lib64/", "/usr/lib/"}) {
      const std::string path = std::string(folder) + library;
      if (!std::filesystem::exists(path)) continue;
      const testing::OpenElf elf(path);
      ASSERT_TRUE(elf.ok()) << path;
      EXPECT_THAT(names(*elf), ElementsAre(runtime)) << path;
      ++seen;
      break;
    }
  if (!seen) GTEST_SKIP() << "neither library on this machine";
}

// The loader's own answer is the reference for the hash table's.
TEST(Runtimes, FiberLibrariesAreKnownByName) {
  EXPECT_EQ(fiber_runtime("/usr/lib/x86_64-linux-gnu/libboost_context.so.1.74.0"), "libboost_context");
  EXPECT_EQ(fiber_runtime("/opt/lib/libboost_fiber-mt.so"), "libboost_fiber");
  EXPECT_EQ(fiber_runtime("libst.so"), "libst");
  EXPECT_EQ(fiber_runtime("/usr/lib/libstdc++.so.6"), "");
  EXPECT_EQ(fiber_runtime("/usr/lib/libcom_err.so.2"), "");
  EXPECT_EQ(fiber_runtime("/usr/bin/nginx"), "");
}

TEST(RealFiles, DynamicLookUpFindsWhatTheLoaderFinds) {
  const std::string path = testing::find_library("libssl.so.3");
  if (path.empty()) GTEST_SKIP() << "no libssl.so.3 on this machine";
  const testing::OpenElf elf(path);
  ASSERT_TRUE(elf.ok());
  EXPECT_EQ(elf->soname(), "libssl.so.3");
  EXPECT_THAT(elf->needed(), ::testing::Contains(::testing::StartsWith("libcrypto.so")));
  void* const handle = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  ASSERT_NE(handle, nullptr);
  link_map* map = nullptr;
  ASSERT_EQ(::dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
  constexpr std::array<std::string_view, 6> kNames{"SSL_read", "SSL_write_ex",         "SSL_do_handshake",
                                                   "SSL_free", "SSL_no_such_function", "ERR_new"};
  const ElfSymbols found = elf->dynamic_functions(kNames);
  EXPECT_EQ(found.size(), 4u) << "ERR_new is only used there";
  for (const auto& [name, symbol] : found)
    EXPECT_EQ(symbol.address, reinterpret_cast<uintptr_t>(::dlsym(handle, name.c_str())) - map->l_addr)
        << name;
  ::dlclose(handle);
}

}  // namespace
}  // namespace llmtap
