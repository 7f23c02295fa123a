// SPDX-License-Identifier: Apache-2.0
// Small ELF files from parts: segments of code, a symbol table, named sections.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace llmtap::testing {

struct ElfParts {
  uint64_t code_address = 0x401000;
  std::vector<uint8_t> code;
  struct Function {
    std::string name;
    uint64_t address, size;
    unsigned char bind = STB_GLOBAL;
    bool defined = true;
  };
  std::vector<Function> functions;                            // of .symtab
  std::vector<std::pair<std::string, std::string>> sections;  // name, content
};

inline std::vector<std::byte> build_elf(const ElfParts& parts) {
  std::string file(sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), '\0');
  const auto place = [&](const std::string& bytes) {
    file.resize((file.size() + 7) / 8 * 8);
    const uint64_t at = file.size();
    file += bytes;
    return at;
  };
  std::string names(1, '\0');
  std::vector<Elf64_Shdr> headers(1);
  const auto add_section = [&](const std::string& name, uint32_t type, uint32_t link,
                               const std::string& bytes) {
    Elf64_Shdr header{};
    header.sh_name = static_cast<uint32_t>(names.size());
    names += name + '\0';
    header.sh_type = type;
    header.sh_link = link;
    header.sh_offset = place(bytes);
    header.sh_size = bytes.size();
    headers.push_back(header);
  };
  const std::string code(parts.code.begin(), parts.code.end());
  const uint64_t code_offset = place(code);
  std::string strings(1, '\0');
  std::string symbols(sizeof(Elf64_Sym), '\0');
  for (const auto& function : parts.functions) {
    Elf64_Sym symbol{};
    symbol.st_name = static_cast<uint32_t>(strings.size());
    strings += function.name + '\0';
    symbol.st_info = static_cast<unsigned char>(ELF64_ST_INFO(function.bind, STT_FUNC));
    symbol.st_shndx = function.defined ? 1 : SHN_UNDEF;
    symbol.st_value = function.address;
    symbol.st_size = function.size;
    symbols.append(reinterpret_cast<const char*>(&symbol), sizeof(symbol));
  }
  add_section(".strtab", SHT_STRTAB, 0, strings);
  add_section(".symtab", SHT_SYMTAB, 1, symbols);
  for (const auto& [name, content] : parts.sections) add_section(name, SHT_PROGBITS, 0, content);
  const uint32_t names_index = static_cast<uint32_t>(headers.size());
  Elf64_Shdr names_header{};
  names_header.sh_name = static_cast<uint32_t>(names.size());
  names += std::string(".shstrtab") + '\0';
  names_header.sh_type = SHT_STRTAB;
  names_header.sh_offset = place(names);
  names_header.sh_size = names.size();
  headers.push_back(names_header);
  const uint64_t section_headers =
      place(std::string(reinterpret_cast<const char*>(headers.data()), headers.size() * sizeof(Elf64_Shdr)));

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  header.e_shoff = section_headers;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = static_cast<uint16_t>(headers.size());
  header.e_shstrndx = static_cast<uint16_t>(names_index);
  Elf64_Phdr load{};
  load.p_type = PT_LOAD;
  load.p_flags = PF_R | PF_X;
  load.p_offset = code_offset;
  load.p_vaddr = parts.code_address;
  load.p_filesz = load.p_memsz = code.size();
  std::memcpy(file.data(), &header, sizeof(header));
  std::memcpy(file.data() + sizeof(header), &load, sizeof(load));
  const auto* const bytes = reinterpret_cast<const std::byte*>(file.data());
  return {bytes, bytes + file.size()};
}

}  // namespace llmtap::testing
