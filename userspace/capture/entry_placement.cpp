// SPDX-License-Identifier: Apache-2.0
#include "capture/entry_placement.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <array>

namespace llmtap {
namespace {

constexpr size_t kMaxInstructions = 24;  // the call stands among the first 8 to 12; CET and canaries add some
constexpr size_t kMaxFunctionBytes = 192;

struct Instruction {
  uint64_t address = 0;
  ZydisDecodedInstruction decoded{};
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands{};

  // Target of a call or jmp with a relative operand.
  std::optional<uint64_t> direct_target() const {
    if (decoded.operand_count == 0 || operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
        !operands[0].imm.is_relative)
      return std::nullopt;
    ZyanU64 target = 0;
    if (!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&decoded, &operands[0], address, &target)))
      return std::nullopt;
    return target;
  }
};

// Decodes forward from `address` until `visit` returns false, bytes or the allowance end.
template <typename Visit>
void walk(const ElfFile& elf, uint64_t address, size_t max_bytes, size_t max_instructions, Visit visit) {
  std::array<std::byte, kMaxFunctionBytes> code{};
  const size_t n = elf.read_code(address, std::span(code).first(std::min(max_bytes, code.size())));
  ZydisDecoder decoder;
  if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64))) return;
  size_t at = 0;
  for (size_t i = 0; i < max_instructions && at < n; ++i) {
    Instruction instruction{.address = address + at};
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code.data() + at, n - at, &instruction.decoded,
                                             instruction.operands.data())))
      return;
    at += instruction.decoded.length;
    if (!visit(instruction)) return;
  }
}

bool is_emulated(const Instruction& instruction) {
  switch (instruction.decoded.mnemonic) {
    case ZYDIS_MNEMONIC_NOP: return true;
    // Only `push reg`: branch_setup_xol_ops() in the kernel knows opcodes 0x50 to 0x57, with or
    // without REX.B, and no other prefix.
    case ZYDIS_MNEMONIC_PUSH:
      return instruction.decoded.opcode >= 0x50 && instruction.decoded.opcode <= 0x57 &&
             instruction.decoded.length <= 2;
    default: return false;
  }
}

// `jmp [rip+x]`, behind an endbr64 where the PLT is split.
bool is_plt_stub(const ElfFile& elf, uint64_t address) {
  bool stub = false;
  walk(elf, address, kMaxFunctionBytes, 2, [&](const Instruction& instruction) {
    if (instruction.decoded.mnemonic == ZYDIS_MNEMONIC_ENDBR64) return true;
    stub = instruction.decoded.mnemonic == ZYDIS_MNEMONIC_JMP && !instruction.direct_target();
    return false;
  });
  return stub;
}

bool writes(const Instruction& instruction, ZydisRegister full_register) {
  for (size_t i = 0; i < instruction.decoded.operand_count; ++i) {
    const ZydisDecodedOperand& operand = instruction.operands[i];
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
        ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operand.reg.value) == full_register)
      return true;
  }
  return false;
}

// Where the function's first call goes, if it hands on the first two arguments. A conditional jump
// before it leads to an error path and is passed by.
std::optional<uint64_t> inner_callee(const ElfFile& elf, const ElfSymbol& function) {
  std::optional<uint64_t> callee;
  const size_t bytes =
      function.size ? std::min<uint64_t>(function.size, kMaxFunctionBytes) : kMaxFunctionBytes;
  walk(elf, function.address, bytes, kMaxInstructions, [&](const Instruction& instruction) {
    const ZydisMnemonic mnemonic = instruction.decoded.mnemonic;
    if (mnemonic == ZYDIS_MNEMONIC_RET || mnemonic == ZYDIS_MNEMONIC_JMP) return false;
    if (mnemonic == ZYDIS_MNEMONIC_CALL) {
      const auto target = instruction.direct_target();
      if (target && elf.code_offset(*target) && !is_plt_stub(elf, *target)) callee = target;
      return false;
    }
    return !writes(instruction, ZYDIS_REGISTER_RDI) && !writes(instruction, ZYDIS_REGISTER_RSI);
  });
  return callee;
}

}  // namespace

std::optional<EntryPlace> entry_place(const ElfFile& elf, uint64_t function) {
  std::optional<EntryPlace> place;
  walk(elf, function, kMaxFunctionBytes, 2, [&](const Instruction& instruction) {
    // endbr64 itself is single-stepped; nothing can jump past it to the next instruction's breakpoint.
    place = EntryPlace{instruction.address, is_emulated(instruction)};
    return instruction.decoded.mnemonic == ZYDIS_MNEMONIC_ENDBR64;
  });
  return place;
}

std::optional<uint64_t> shared_callee(const ElfFile& elf, const ElfSymbol& plain, const ElfSymbol& extended) {
  const auto callee = inner_callee(elf, plain);
  return callee == inner_callee(elf, extended) ? callee : std::nullopt;
}

}  // namespace llmtap
