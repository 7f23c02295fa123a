// SPDX-License-Identifier: Apache-2.0
// Reads the few things discovery asks of an ELF file. The file belongs to somebody else: every
// offset is checked, every table has a cap, nothing is mapped (a file that is truncated under a
// mapping would raise SIGBUS) and nothing large is held in memory.
#pragma once

#include <elf.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llmtap/result.h"

namespace llmtap {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Number of bytes read, fewer than asked for at the end of the file or on an error.
  virtual size_t read(uint64_t offset, std::span<std::byte> out) const = 0;
};

class SpanSource : public ByteSource {
 public:
  explicit SpanSource(std::span<const std::byte> bytes) : bytes_(bytes) {}
  size_t read(uint64_t offset, std::span<std::byte> out) const override;

 private:
  std::span<const std::byte> bytes_;
};

class FdSource : public ByteSource {
 public:
  explicit FdSource(int fd) : fd_(fd) {}  // borrowed
  size_t read(uint64_t offset, std::span<std::byte> out) const override;

 private:
  int fd_;
};

struct ElfSymbol {
  uint64_t address = 0;  // virtual, as linked
  uint64_t size = 0;
};
using ElfSymbols = std::map<std::string, ElfSymbol, std::less<>>;

class ElfFile {
 public:
  static constexpr size_t kMaxSegments = 256;
  static constexpr size_t kMaxSections = 8192;
  static constexpr uint64_t kMaxTableBytes = 512ull
                                             << 20;  // of a symbol or string table that is read through

  // 64-bit little-endian executables and shared objects; `source` outlives the result.
  static Result<ElfFile> open(const ByteSource& source);

  bool is_x86_64() const { return machine_ == EM_X86_64; }
  bool has_interpreter() const { return has_interpreter_; }  // a program, not a library
  const std::string& soname() const { return soname_; }
  const std::vector<std::string>& needed() const { return needed_; }
  bool has_section(std::string_view name) const { return section(name) != nullptr; }
  // Whether `text` stands in the first `limit` bytes of the section.
  bool section_contains(std::string_view name, std::string_view text, uint64_t limit) const;

  // File offset of an address inside an executable segment.
  std::optional<uint64_t> code_offset(uint64_t address) const;
  // Bytes of an executable segment; fewer at its end.
  size_t read_code(uint64_t address, std::span<std::byte> out) const;

  // Functions that the file defines under these names: what it exports, by hash where it has one, and
  // (`symtab`) what its full symbol table keeps, local ones too.
  ElfSymbols dynamic_functions(std::span<const std::string_view> names) const;
  ElfSymbols symtab_functions(std::span<const std::string_view> names) const;

 private:
  struct Section {
    std::string name;
    uint32_t type = 0, link = 0;
    uint64_t offset = 0, size = 0;
  };
  struct Table {
    uint64_t symbols = 0, symbol_count = 0, strings = 0, strings_bytes = 0;
  };

  explicit ElfFile(const ByteSource& source) : source_(&source) {}
  void read_sections(const Elf64_Ehdr&);
  void read_dynamic(const Elf64_Phdr&);
  const Section* section(std::string_view name) const;
  std::optional<uint64_t> data_offset(uint64_t address) const;
  std::optional<Table> section_table(uint32_t type) const;
  std::optional<ElfSymbol> gnu_hash_lookup(std::string_view name) const;
  ElfSymbols search(const Table&, std::span<const std::string_view> names) const;
  std::string string_at(uint64_t offset, size_t limit) const;
  template <typename T>
  bool read_struct(uint64_t offset, T& out) const;

  const ByteSource* source_;
  uint16_t machine_ = 0;
  bool has_interpreter_ = false;
  std::vector<Elf64_Phdr> loads_;
  std::vector<Section> sections_;
  std::string soname_;
  std::vector<std::string> needed_;
  // From PT_DYNAMIC, as file offsets; 0: not there.
  uint64_t dynsym_ = 0, dynstr_ = 0, dynstr_bytes_ = 0, gnu_hash_ = 0, sysv_hash_ = 0;
};

}  // namespace llmtap
