// SPDX-License-Identifier: Apache-2.0
#include "capture/elf_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "capture/tls/runtimes.h"
#include "capture/unique_fd.h"
#include "unit/capture/elf_builder.h"
#include "unit/capture/system_files.h"

namespace llmtap {
namespace {

using testing::build_elf;
using testing::ElfParts;

constexpr std::array<std::string_view, 3> kNames{"SSL_read", "SSL_write", "SSL_peek"};

ElfParts sample() {
  return {.code = std::vector<uint8_t>(256, 0x90),
          .functions = {{"prefix_SSL_write", 0x401020, 16},
                        {"SSL_read", 0x401010, 16, STB_LOCAL},
                        {"SSL_write", 0x401030, 16},
                        {"SSL_peek", 0x401040, 16, STB_GLOBAL, false}},
          .sections = {{".comment", "rustc version 1.90"}, {".go.buildinfo", "x"}}};
}

// Everything that discovery asks of a file; the result does not matter, only that it is defined.
void ask_everything(std::span<const std::byte> bytes) {
  const SpanSource source(bytes);
  const auto elf = ElfFile::open(source);
  if (!elf) return;
  for (const TlsRuntime& runtime : kRuntimes)
    if (runtime.recognise(*elf) && runtime.plan) (void)runtime.plan(*elf);
  (void)elf->dynamic_functions(kNames);
}

TEST(ElfFile, FindsDefinedFunctionsOfTheFullTable) {
  const auto bytes = build_elf(sample());
  const SpanSource source(bytes);
  const auto elf = ElfFile::open(source);
  ASSERT_TRUE(elf.has_value()) << elf.error().message;
  const ElfSymbols found = elf->symtab_functions(kNames);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found.at("SSL_read").address, 0x401010u);
  EXPECT_EQ(found.at("SSL_write").address, 0x401030u) << "a name that only ends so is another function";
  EXPECT_TRUE(elf->dynamic_functions(kNames).empty());
}

TEST(ElfFile, PrefersAGlobalFunctionToALocalOneOfTheSameName) {
  ElfParts parts = sample();
  parts.functions.push_back({"SSL_read", 0x401080, 16, STB_GLOBAL});
  const auto bytes = build_elf(parts);
  const SpanSource source(bytes);
  EXPECT_EQ(ElfFile::open(source)->symtab_functions(kNames).at("SSL_read").address, 0x401080u);
}

TEST(ElfFile, FindsNamesAcrossChunksOfTheStringTable) {
  ElfParts parts = sample();
  // The table is read in pieces of 256 KiB: put the names at every position around the seam.
  for (size_t fill = 256 * 1024 - 60; fill < 256 * 1024; ++fill) {
    parts.functions = {
        {std::string(fill, 'x'), 0x401000, 1}, {"SSL_read", 0x401010, 1}, {"SSL_write", 0x401020, 1}};
    const auto bytes = build_elf(parts);
    const SpanSource source(bytes);
    EXPECT_EQ(ElfFile::open(source)->symtab_functions(kNames).size(), 2u) << fill;
  }
}

TEST(ElfFile, TranslatesAddressesOfExecutableSegmentsOnly) {
  const auto bytes = build_elf(sample());
  const SpanSource source(bytes);
  const auto elf = ElfFile::open(source);
  const auto offset = elf->code_offset(0x401000);
  ASSERT_TRUE(offset.has_value());
  EXPECT_EQ(bytes[*offset], std::byte{0x90});
  EXPECT_EQ(elf->code_offset(0x4010ff), *offset + 255);
  EXPECT_FALSE(elf->code_offset(0x401100).has_value());
  EXPECT_FALSE(elf->code_offset(0x400fff).has_value());
  std::array<std::byte, 16> code{};
  EXPECT_EQ(elf->read_code(0x4010f8, code), 8u) << "stops at the segment's end";
}

TEST(ElfFile, SearchesTextOfASectionWithinTheLimit) {
  ElfParts parts = sample();
  parts.sections.push_back({".rodata", std::string(300'000, 'a') + "/rustls-0.23.40/src"});
  const auto bytes = build_elf(parts);
  const SpanSource source(bytes);
  const auto elf = ElfFile::open(source);
  EXPECT_TRUE(elf->section_contains(".rodata", "/rustls-0.", 1 << 20));
  EXPECT_FALSE(elf->section_contains(".rodata", "/rustls-0.", 300'000));
  EXPECT_FALSE(elf->section_contains(".rodata", "/rustls-1.", 1 << 20));
  EXPECT_FALSE(elf->section_contains(".missing", "a", 1 << 20));
}

TEST(ElfFile, RejectsWhatIsNoElfFileOfThisMachine) {
  const auto rejects = [](auto change) {
    auto bytes = build_elf(sample());
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    change(header);
    std::memcpy(bytes.data(), &header, sizeof(header));
    const SpanSource source(bytes);
    return !ElfFile::open(source).has_value();
  };
  EXPECT_FALSE(rejects([](Elf64_Ehdr&) {}));
  EXPECT_TRUE(rejects([](Elf64_Ehdr& h) { h.e_ident[0] = 'x'; }));
  EXPECT_TRUE(rejects([](Elf64_Ehdr& h) { h.e_ident[EI_CLASS] = ELFCLASS32; }));
  EXPECT_TRUE(rejects([](Elf64_Ehdr& h) { h.e_ident[EI_DATA] = ELFDATA2MSB; }));
  EXPECT_TRUE(rejects([](Elf64_Ehdr& h) { h.e_type = ET_CORE; }));
  EXPECT_TRUE(rejects([](Elf64_Ehdr& h) { h.e_phnum = 0; }));
  EXPECT_TRUE(rejects([](Elf64_Ehdr& h) { h.e_phoff = UINT64_MAX - 8; }));
  EXPECT_TRUE(rejects([](Elf64_Ehdr& h) { h.e_phentsize = 1; }));
}

TEST(ElfFile, SurvivesEveryTruncation) {
  const auto bytes = build_elf(sample());
  for (size_t size = 0; size <= bytes.size(); ++size) ask_everything(std::span(bytes).first(size));
}

// Every byte of the tables of a crafted file, set to values that make offsets and sizes absurd.
TEST(ElfFile, SurvivesEveryDamagedByte) {
  auto bytes = build_elf(sample());
  for (size_t at = 0; at < bytes.size(); ++at) {
    const std::byte kept = bytes[at];
    for (const int value : {0x00, 0x7f, 0x80, 0xff}) {
      bytes[at] = static_cast<std::byte>(value);
      ask_everything(bytes);
    }
    bytes[at] = kept;
  }
}

TEST(ElfFile, SurvivesDamageToARealLibrary) {
  const std::string path = testing::find_library("libssl.so.3");
  if (path.empty()) GTEST_SKIP() << "no libssl.so.3 on this machine";
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<std::byte> bytes(4 << 20);
  bytes.resize(FdSource(file.get()).read(0, bytes));
  std::mt19937 random(1);
  // The head holds program headers, hash table, symbols and strings.
  for (int round = 0; round < 300; ++round) {
    auto damaged = bytes;
    for (int i = 0; i < 40; ++i)
      damaged[random() % std::min<size_t>(damaged.size(), 65536)] = std::byte(random() & 0xff);
    std::memcpy(damaged.data(), bytes.data(), sizeof(Elf64_Ehdr));
    ask_everything(damaged);
  }
}

}  // namespace
}  // namespace llmtap
