// SPDX-License-Identifier: Apache-2.0
#include "capture/elf_file.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace llmtap {
namespace {

constexpr size_t kChunkBytes = 256 * 1024;
constexpr size_t kNameBytes = 256;
constexpr size_t kMaxDynamicEntries = 4096;
constexpr size_t kMaxNeeded = 512;
constexpr size_t kMaxChain = 65536;       // symbols of one hash bucket
constexpr size_t kMaxNameOffsets = 4096;  // places of the wanted names in a string table

bool is_defined_function(const Elf64_Sym& symbol) {
  return ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF && symbol.st_value != 0;
}

uint32_t gnu_hash(std::string_view name) {
  uint32_t hash = 5381;
  for (const char c : name) hash = hash * 33 + static_cast<unsigned char>(c);
  return hash;
}

bool add_overflows(uint64_t a, uint64_t b) { return a + b < a; }

}  // namespace

size_t SpanSource::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset >= bytes_.size()) return 0;
  const size_t n = std::min<uint64_t>(out.size(), bytes_.size() - offset);
  if (n) std::memcpy(out.data(), bytes_.data() + offset, n);
  return n;
}

size_t FdSource::read(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    if (offset > static_cast<uint64_t>(INT64_MAX) - out.size()) return done;
    const ssize_t n = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

template <typename T>
bool ElfFile::read_struct(uint64_t offset, T& out) const {
  return source_->read(offset, std::as_writable_bytes(std::span(&out, 1))) == sizeof(T);
}

Result<ElfFile> ElfFile::open(const ByteSource& source) {
  ElfFile file(source);
  Elf64_Ehdr header{};
  if (!file.read_struct(0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return Error{"not an ELF file"};
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    return Error{"not a 64-bit little-endian ELF file"};
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) return Error{"neither a program nor a library"};
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > kMaxSegments)
    return Error{"bad program headers"};
  file.machine_ = header.e_machine;

  std::optional<Elf64_Phdr> dynamic;
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (add_overflows(header.e_phoff, i * sizeof(segment)) ||
        !file.read_struct(header.e_phoff + i * sizeof(segment), segment))
      return Error{"program headers beyond the end of the file"};
    if (add_overflows(segment.p_vaddr, segment.p_filesz) || add_overflows(segment.p_offset, segment.p_filesz))
      return Error{"bad program header"};
    if (segment.p_type == PT_LOAD) file.loads_.push_back(segment);
    if (segment.p_type == PT_INTERP) file.has_interpreter_ = true;
    if (segment.p_type == PT_DYNAMIC) dynamic = segment;
  }
  file.read_sections(header);
  if (dynamic) file.read_dynamic(*dynamic);
  return file;
}

void ElfFile::read_sections(const Elf64_Ehdr& header) {
  if (header.e_shoff == 0 || header.e_shentsize != sizeof(Elf64_Shdr)) return;
  Elf64_Shdr first{};
  if (!read_struct(header.e_shoff, first)) return;
  // More than 65,279 sections: the true numbers stand in section 0 (gABI, "Sections").
  const uint64_t count = header.e_shnum ? header.e_shnum : first.sh_size;
  const uint64_t names_index = header.e_shstrndx == SHN_XINDEX ? first.sh_link : header.e_shstrndx;
  if (count == 0 || count > kMaxSections || names_index >= count) return;
  std::vector<Elf64_Shdr> raw(count);
  const auto bytes = std::as_writable_bytes(std::span(raw));
  if (source_->read(header.e_shoff, bytes) != bytes.size()) return;
  const Elf64_Shdr& names = raw[names_index];
  for (const Elf64_Shdr& section : raw) {
    if (add_overflows(section.sh_offset, section.sh_size)) continue;
    std::string name;
    if (section.sh_name < names.sh_size && !add_overflows(names.sh_offset, section.sh_name))
      name = string_at(names.sh_offset + section.sh_name,
                       std::min<uint64_t>(kNameBytes, names.sh_size - section.sh_name));
    // Indices are kept: sh_link refers to them.
    sections_.resize(static_cast<size_t>(&section - raw.data()));
    sections_.push_back(
        {std::move(name), section.sh_type, section.sh_link, section.sh_offset, section.sh_size});
  }
}

void ElfFile::read_dynamic(const Elf64_Phdr& segment) {
  std::vector<Elf64_Dyn> entries(
      std::min<uint64_t>(segment.p_filesz / sizeof(Elf64_Dyn), kMaxDynamicEntries));
  const size_t got = source_->read(segment.p_offset, std::as_writable_bytes(std::span(entries)));
  entries.resize(got / sizeof(Elf64_Dyn));
  std::vector<uint64_t> needed;
  std::optional<uint64_t> soname;
  for (const Elf64_Dyn& entry : entries) {
    if (entry.d_tag == DT_NULL) break;
    const uint64_t value = entry.d_un.d_val;
    switch (entry.d_tag) {
      case DT_SYMTAB: dynsym_ = data_offset(value).value_or(0); break;
      case DT_STRTAB: dynstr_ = data_offset(value).value_or(0); break;
      case DT_STRSZ: dynstr_bytes_ = value; break;
      case DT_GNU_HASH: gnu_hash_ = data_offset(value).value_or(0); break;
      case DT_HASH: sysv_hash_ = data_offset(value).value_or(0); break;
      case DT_SONAME: soname = value; break;
      case DT_NEEDED:
        if (needed.size() < kMaxNeeded) needed.push_back(value);
        break;
      default: break;
    }
  }
  if (dynstr_ == 0 || add_overflows(dynstr_, dynstr_bytes_)) {
    dynstr_ = dynstr_bytes_ = 0;
    return;
  }
  const auto name = [&](uint64_t offset) {
    return offset < dynstr_bytes_
               ? string_at(dynstr_ + offset, std::min<uint64_t>(kNameBytes, dynstr_bytes_ - offset))
               : std::string();
  };
  if (soname) soname_ = name(*soname);
  for (const uint64_t offset : needed) needed_.push_back(name(offset));
}

std::string ElfFile::string_at(uint64_t offset, size_t limit) const {
  std::array<char, kNameBytes> text{};
  const size_t want = std::min(limit, text.size());
  const size_t n = source_->read(offset, std::as_writable_bytes(std::span(text).first(want)));
  return std::string(text.data(), ::strnlen(text.data(), n));
}

const ElfFile::Section* ElfFile::section(std::string_view name) const {
  const auto it = std::ranges::find(sections_, name, &Section::name);
  return it == sections_.end() ? nullptr : &*it;
}

bool ElfFile::section_contains(std::string_view name, std::string_view text, uint64_t limit) const {
  const Section* const found = section(name);
  if (!found || found->type == SHT_NOBITS || text.empty() || text.size() > kNameBytes) return false;
  const uint64_t end = std::min(found->size, limit);
  std::vector<char> chunk(std::min<uint64_t>(kChunkBytes, end));
  for (uint64_t at = 0; at + text.size() <= end;) {
    const size_t want = std::min<uint64_t>(chunk.size(), end - at);
    const size_t n = source_->read(found->offset + at, std::as_writable_bytes(std::span(chunk).first(want)));
    if (std::string_view(chunk.data(), n).find(text) != std::string_view::npos) return true;
    if (n < want || n <= text.size()) return false;
    at += n - (text.size() - 1);
  }
  return false;
}

std::optional<uint64_t> ElfFile::data_offset(uint64_t address) const {
  for (const Elf64_Phdr& load : loads_)
    if (address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz)
      return load.p_offset + (address - load.p_vaddr);
  return std::nullopt;
}

std::optional<uint64_t> ElfFile::code_offset(uint64_t address) const {
  for (const Elf64_Phdr& load : loads_)
    if ((load.p_flags & PF_X) && address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz)
      return load.p_offset + (address - load.p_vaddr);
  return std::nullopt;
}

size_t ElfFile::read_code(uint64_t address, std::span<std::byte> out) const {
  for (const Elf64_Phdr& load : loads_) {
    if (!(load.p_flags & PF_X) || address < load.p_vaddr || address - load.p_vaddr >= load.p_filesz) continue;
    const uint64_t skip = address - load.p_vaddr;
    return source_->read(load.p_offset + skip,
                         out.first(std::min<uint64_t>(out.size(), load.p_filesz - skip)));
  }
  return 0;
}

std::optional<ElfFile::Table> ElfFile::section_table(uint32_t type) const {
  for (const Section& symbols : sections_) {
    if (symbols.type != type || symbols.link >= sections_.size()) continue;
    const Section& strings = sections_[symbols.link];
    if (strings.type != SHT_STRTAB) continue;
    return Table{symbols.offset, symbols.size / sizeof(Elf64_Sym), strings.offset, strings.size};
  }
  return std::nullopt;
}

// The layout of DT_GNU_HASH: header {buckets, first symbol, bloom words, bloom shift}, bloom filter,
// buckets, chains; a chain ends at the entry whose lowest bit is set.
std::optional<ElfSymbol> ElfFile::gnu_hash_lookup(std::string_view name) const {
  struct {
    uint32_t buckets, first_symbol, bloom_words, bloom_shift;
  } header{};
  if (!read_struct(gnu_hash_, header) || header.buckets == 0 || header.bloom_words == 0 ||
      header.bloom_shift > 31)
    return std::nullopt;
  const uint32_t hash = gnu_hash(name);
  const uint64_t bloom = gnu_hash_ + sizeof(header);
  uint64_t word = 0;
  if (!read_struct(bloom + 8ull * ((hash / 64) % header.bloom_words), word)) return std::nullopt;
  const uint64_t mask = (1ull << (hash % 64)) | (1ull << ((hash >> header.bloom_shift) % 64));
  if ((word & mask) != mask) return std::nullopt;
  const uint64_t buckets = bloom + 8ull * header.bloom_words;
  const uint64_t chains = buckets + 4ull * header.buckets;
  uint32_t index = 0;
  if (!read_struct(buckets + 4ull * (hash % header.buckets), index) || index < header.first_symbol)
    return std::nullopt;
  for (size_t steps = 0; steps < kMaxChain; ++steps, ++index) {
    uint32_t chain = 0;
    if (!read_struct(chains + 4ull * (index - header.first_symbol), chain)) return std::nullopt;
    if ((chain | 1) == (hash | 1)) {
      Elf64_Sym symbol{};
      if (!read_struct(dynsym_ + sizeof(Elf64_Sym) * uint64_t{index}, symbol)) return std::nullopt;
      if (is_defined_function(symbol) && symbol.st_name < dynstr_bytes_ &&
          string_at(dynstr_ + symbol.st_name, dynstr_bytes_ - symbol.st_name) == name)
        return ElfSymbol{symbol.st_value, symbol.st_size};
    }
    if (chain & 1) break;
  }
  return std::nullopt;
}

ElfSymbols ElfFile::dynamic_functions(std::span<const std::string_view> names) const {
  ElfSymbols found;
  if (dynsym_ && dynstr_ && gnu_hash_) {
    for (const std::string_view name : names)
      if (const auto symbol = gnu_hash_lookup(name)) found.emplace(name, *symbol);
    return found;
  }
  if (dynsym_ && dynstr_ && sysv_hash_) {
    struct {
      uint32_t buckets, chains;  // DT_HASH: one chain entry for each symbol
    } header{};
    if (read_struct(sysv_hash_, header))
      return search({dynsym_, header.chains, dynstr_, dynstr_bytes_}, names);
  }
  if (const auto table = section_table(SHT_DYNSYM)) return search(*table, names);
  return found;
}

ElfSymbols ElfFile::symtab_functions(std::span<const std::string_view> names) const {
  const auto table = section_table(SHT_SYMTAB);
  return table ? search(*table, names) : ElfSymbols{};
}

// Finds where the names stand in the string table, then which symbols refer to those places: both
// tables are streamed once, whatever their size. Linkers let a name share the tail of a longer one,
// so a name is looked for before every NUL, not only between two.
ElfSymbols ElfFile::search(const Table& table, std::span<const std::string_view> names) const {
  ElfSymbols found;
  if (table.strings_bytes > kMaxTableBytes || table.symbol_count > kMaxTableBytes / sizeof(Elf64_Sym))
    return found;
  std::unordered_map<uint64_t, size_t> name_by_offset;
  std::vector<char> chunk(kChunkBytes + kNameBytes);
  size_t kept = 0;  // bytes of the previous chunk at the front
  for (uint64_t at = 0; at < table.strings_bytes;) {
    const size_t want = std::min<uint64_t>(kChunkBytes, table.strings_bytes - at);
    const size_t n =
        source_->read(table.strings + at, std::as_writable_bytes(std::span(chunk).subspan(kept, want)));
    const uint64_t base = at - kept;
    const size_t end = kept + n;
    for (size_t from = kept; from < end;) {
      const void* const hit = std::memchr(chunk.data() + from, 0, end - from);
      if (!hit) break;
      const size_t nul = static_cast<size_t>(static_cast<const char*>(hit) - chunk.data());
      for (size_t i = 0; i < names.size(); ++i) {
        const std::string_view name = names[i];
        if (name.size() <= nul && name.size() <= kNameBytes && name.back() == chunk[nul - 1] &&
            std::string_view(chunk.data() + nul - name.size(), name.size()) == name &&
            name_by_offset.size() < kMaxNameOffsets)
          name_by_offset.emplace(base + nul - name.size(), i);
      }
      from = nul + 1;
    }
    if (n < want) break;
    at += n;
    kept = std::min(end, kNameBytes);
    std::memmove(chunk.data(), chunk.data() + end - kept, kept);
  }
  if (name_by_offset.empty()) return found;

  std::vector<Elf64_Sym> symbols(std::min<uint64_t>(table.symbol_count, kChunkBytes / sizeof(Elf64_Sym)));
  for (uint64_t at = 0; at < table.symbol_count;) {
    const size_t want = std::min<uint64_t>(symbols.size(), table.symbol_count - at);
    const size_t bytes = source_->read(table.symbols + at * sizeof(Elf64_Sym),
                                       std::as_writable_bytes(std::span(symbols).first(want)));
    const size_t n = bytes / sizeof(Elf64_Sym);
    for (const Elf64_Sym& symbol : std::span(symbols).first(n)) {
      if (!is_defined_function(symbol)) continue;
      const auto name = name_by_offset.find(symbol.st_name);
      if (name == name_by_offset.end()) continue;
      const ElfSymbol value{symbol.st_value, symbol.st_size};
      // A local function of another unit may bear the same name.
      if (!found.emplace(names[name->second], value).second && ELF64_ST_BIND(symbol.st_info) != STB_LOCAL)
        found[std::string(names[name->second])] = value;
    }
    if (n < want) break;
    at += n;
  }
  return found;
}

}  // namespace llmtap
