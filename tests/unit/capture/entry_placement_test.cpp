// SPDX-License-Identifier: Apache-2.0
#include "capture/entry_placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "capture/tls/runtimes.h"
#include "unit/capture/elf_builder.h"
#include "unit/capture/system_files.h"

namespace llmtap {
namespace {

using testing::build_elf;
using ::testing::Contains;
using testing::ElfParts;
using ::testing::IsEmpty;
using testing::OpenElf;
using ::testing::SizeIs;

constexpr uint64_t kBase = 0x401000;
using Bytes = std::vector<uint8_t>;

const Bytes kEndbr64{0xf3, 0x0f, 0x1e, 0xfa};
const Bytes kPushRbx{0x53};
const Bytes kPushR12{0x41, 0x54};
const Bytes kSubRsp{0x48, 0x83, 0xec, 0x18};
const Bytes kRet{0xc3};

class Assembler {
 public:
  Assembler& at(size_t offset) {
    position_ = offset;
    return *this;
  }
  Assembler& put(const Bytes& bytes) {
    if (code_.size() < position_ + bytes.size()) code_.resize(position_ + bytes.size(), 0xcc);
    std::ranges::copy(bytes, code_.begin() + static_cast<ptrdiff_t>(position_));
    position_ += bytes.size();
    return *this;
  }
  Assembler& call(size_t target, uint8_t opcode = 0xe8) {
    const uint32_t relative = static_cast<uint32_t>(target - (position_ + 5));
    return put({opcode, uint8_t(relative), uint8_t(relative >> 8), uint8_t(relative >> 16),
                uint8_t(relative >> 24)});
  }
  const Bytes& code() const { return code_; }

 private:
  Bytes code_;
  size_t position_ = 0;
};

struct EntryCase {
  const char* name;
  Bytes code;
  size_t offset;
  bool emulated;
};

class EntryPlaceTest : public ::testing::TestWithParam<EntryCase> {};

TEST_P(EntryPlaceTest, SkipsEndbrAndKnowsWhatTheKernelEmulates) {
  ElfParts parts{.code = GetParam().code};
  const auto bytes = build_elf(parts);
  const SpanSource source(bytes);
  const auto elf = ElfFile::open(source);
  ASSERT_TRUE(elf.has_value());
  const auto place = entry_place(*elf, kBase);
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->address, kBase + GetParam().offset);
  EXPECT_EQ(place->emulated, GetParam().emulated);
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

INSTANTIATE_TEST_SUITE_P(Cases, EntryPlaceTest,
                         ::testing::Values(EntryCase{"Push", kPushRbx + kRet, 0, true},
                                           EntryCase{"PushRexB", kPushR12 + kRet, 0, true},
                                           EntryCase{"Nop5", Bytes{0x0f, 0x1f, 0x44, 0x00, 0x00} + kRet, 0,
                                                     true},
                                           EntryCase{"EndbrPush", kEndbr64 + kPushRbx + kRet, 4, true},
                                           EntryCase{"EndbrSub", kEndbr64 + kSubRsp + kRet, 4, false},
                                           EntryCase{"Sub", kSubRsp + kRet, 0, false},
                                           EntryCase{"PushImmediate", Bytes{0x6a, 0x01} + kRet, 0, false},
                                           EntryCase{"PushMemory", Bytes{0xff, 0x37} + kRet, 0, false}),
                         [](const auto& row) { return row.param.name; });

// plain at 0x00, extended at 0x40, internal at 0x80, an error helper at 0xc0, PLT stubs at 0xe0.
struct Wrappers {
  Assembler code;
  size_t internal = 0x80;

  std::optional<uint64_t> resolve() const {
    ElfParts parts{.code = code.code()};
    const auto bytes = build_elf(parts);
    const SpanSource source(bytes);
    return shared_callee(*ElfFile::open(source), {kBase, 0x40}, {kBase + 0x40, 0x40});
  }
};

Assembler wrappers(const Bytes& entry = {}) {
  Assembler code;
  code.at(0).put(entry).put(kSubRsp).call(0x80).call(0xc0).put(kRet);
  code.at(0x40).put(entry).put(kSubRsp).call(0x80).put(kRet).call(0xc0);
  code.at(0x80).put(kPushRbx).put(kRet);
  code.at(0xc0).put(kPushRbx).put(kRet);
  code.at(0xe0).put({0xff, 0x25, 0, 0, 0, 0});  // jmp *0(%rip)
  code.at(0xf0).put(kEndbr64).put({0xff, 0x25, 0, 0, 0, 0});
  return code;
}

TEST(SharedCallee, IsTheOneFunctionThatBothCall) {
  EXPECT_EQ((Wrappers{wrappers()}.resolve()), kBase + 0x80);
  EXPECT_EQ((Wrappers{wrappers(kEndbr64)}.resolve()), kBase + 0x80);
}

TEST(SharedCallee, IsNothingBehindThePltOfEitherKind) {
  for (const size_t stub : {0xe0, 0xf0}) {
    Assembler code = wrappers();
    code.at(0).put(kSubRsp).call(stub).put(kRet);
    code.at(0x40).put(kSubRsp).call(stub).put(kRet);
    EXPECT_EQ((Wrappers{code}.resolve()), std::nullopt);
  }
}

TEST(SharedCallee, IsNothingWhenTheTwoDiffer) {
  Assembler code = wrappers();
  code.at(0x40).put(kSubRsp).call(0xc0).call(0x80).put(kRet);
  EXPECT_EQ((Wrappers{code}.resolve()), std::nullopt);
}

// As in node, where the internal function's body stands in both wrappers and calls
// ossl_statem_check_finish_init(s, 0).
TEST(SharedCallee, IsNothingWhenTheArgumentsAreOthers) {
  for (const Bytes& change : {Bytes{0x31, 0xf6},                 // xor esi, esi
                              Bytes{0x48, 0x89, 0xdf},           // mov rdi, rbx
                              Bytes{0x40, 0xb7, 0x01},           // mov dil, 1
                              Bytes{0x48, 0x8d, 0x3c, 0x24}}) {  // lea rdi, [rsp]
    Assembler code = wrappers();
    code.at(0).put(kSubRsp).put(change).call(0x80).put(kRet);
    code.at(0x40).put(kSubRsp).put(change).call(0x80).put(kRet);
    EXPECT_EQ((Wrappers{code}.resolve()), std::nullopt);
  }
  Assembler code = wrappers();
  code.at(0)
      .put(kSubRsp)
      .put({0x48, 0x63, 0xd2})
      .put({0x48, 0x89, 0xfb})
      .call(0x80)
      .put(kRet);  // movsxd rdx, edx; mov rbx, rdi
  EXPECT_EQ((Wrappers{code}.resolve()), kBase + 0x80);
}

TEST(SharedCallee, IsNothingOutsideTheFile) {
  Assembler code = wrappers();
  code.at(0).put(kSubRsp).call(0x8000).put(kRet);
  code.at(0x40).put(kSubRsp).call(0x8000).put(kRet);
  EXPECT_EQ((Wrappers{code}.resolve()), std::nullopt);
}

// ------------------------------------------------------------------------------ plans

ElfParts openssl_parts(const Bytes& internal_entry, bool ex2) {
  Assembler code;
  // SSL_read 0, _ex 40, internal 80; SSL_write 100, _ex 140, internal 180, _ex2 1c0; others 200 on.
  code.at(0).put(kSubRsp).call(0x80).put(kRet).at(0x40).put(kSubRsp).call(0x80).put(kRet);
  code.at(0x80).put(internal_entry).put(kRet);
  code.at(0x100).put(kSubRsp).call(0x180).put(kRet);
  if (ex2)
    code.at(0x140).call(0x1c0, 0xe9);  // jmp
  else
    code.at(0x140).put(kSubRsp).call(0x180).put(kRet);
  code.at(0x180).put(internal_entry).put(kRet);
  code.at(0x1c0).put(kSubRsp).call(0x180).put(kRet);
  code.at(0x200).put(kPushRbx).put(kRet).at(0x240).put(kPushRbx).put(kRet);
  ElfParts parts{.code = code.code(),
                 .functions = {{"SSL_read", kBase, 0x40},
                               {"SSL_read_ex", kBase + 0x40, 0x40},
                               {"SSL_write", kBase + 0x100, 0x40},
                               {"SSL_write_ex", kBase + 0x140, 0x40},
                               {"SSL_set_block_padding", kBase + 0x200, 0x10},
                               {"SSL_free", kBase + 0x240, 0x10}}};
  if (ex2) parts.functions.push_back({"SSL_write_ex2", kBase + 0x1c0, 0x40});
  return parts;
}

struct Planned {
  HookPlan plan;
  uint64_t code_offset = 0;
  bool has(UprobeKind kind, uint64_t at, bool is_return) const {
    return std::ranges::find(plan.places, HookPlace{code_offset + at, kind, is_return}) != plan.places.end();
  }
  size_t count(UprobeKind kind) const {
    return static_cast<size_t>(std::ranges::count(plan.places, kind, &HookPlace::kind));
  }
};

Planned plan_of(const ElfParts& parts) {
  const auto bytes = build_elf(parts);
  const SpanSource source(bytes);
  const auto elf = ElfFile::open(source);
  EXPECT_TRUE(exports_openssl(*elf) || exports_boringssl(*elf));
  auto plan = plan_openssl(*elf);
  EXPECT_TRUE(plan.has_value());
  return {plan ? *plan : HookPlan{}, *elf->code_offset(kBase)};
}

TEST(OpenSslPlan, HooksTheInternalFunctionsOnceEach) {
  const Planned planned = plan_of(openssl_parts(kPushRbx, false));
  EXPECT_EQ(planned.plan.placement, "internal");
  EXPECT_TRUE(planned.has(UprobeKind::kReadInternal, 0x80, false));
  EXPECT_TRUE(planned.has(UprobeKind::kReadInternal, 0x80, true));
  EXPECT_TRUE(planned.has(UprobeKind::kWriteCount4, 0x180, true));
  EXPECT_TRUE(planned.has(UprobeKind::kFree, 0x240, false));
  EXPECT_THAT(planned.plan.places, SizeIs(5)) << "no wrapper beside its callee";
}

TEST(OpenSslPlan, FollowsWriteExIntoWriteEx2) {
  const Planned planned = plan_of(openssl_parts(kEndbr64 + kPushRbx, true));
  EXPECT_EQ(planned.plan.placement, "internal");
  EXPECT_TRUE(planned.has(UprobeKind::kWriteCount5, 0x184, false));
  EXPECT_TRUE(planned.has(UprobeKind::kReadInternal, 0x84, true));
  EXPECT_EQ(planned.count(UprobeKind::kWriteCount4), 0u);
}

TEST(OpenSslPlan, FallsBackToTheWrappersWhereTheInternalEntryIsDear) {
  const Planned planned = plan_of(openssl_parts(kSubRsp, true));
  EXPECT_EQ(planned.plan.placement, "exported");
  EXPECT_TRUE(planned.has(UprobeKind::kRead, 0, true));
  EXPECT_TRUE(planned.has(UprobeKind::kReadCount4, 0x40, true));
  EXPECT_TRUE(planned.has(UprobeKind::kWrite, 0x100, true));
  EXPECT_TRUE(planned.has(UprobeKind::kWriteCount5, 0x1c0, true)) << "SSL_write_ex jumps into it";
  EXPECT_EQ(planned.count(UprobeKind::kReadInternal), 0u);
  EXPECT_TRUE(planned.plan.single_stepped);
  EXPECT_EQ(planned.count(UprobeKind::kWriteCount4), 0u);
}

TEST(OpenSslPlan, HooksOnlyThePlainFormsOfAnotherLibraryWithThisApi) {
  ElfParts parts = openssl_parts(kPushRbx, false);
  std::erase_if(parts.functions, [](const auto& f) { return f.name == "SSL_set_block_padding"; });
  parts.functions.push_back({"SSL_set_custom_verify", kBase + 0x200, 0x10});
  const Planned planned = plan_of(parts);
  EXPECT_EQ(planned.plan.placement, "exported");
  EXPECT_EQ(planned.count(UprobeKind::kRead), 2u);
  EXPECT_EQ(planned.count(UprobeKind::kWrite), 2u);
  EXPECT_EQ(planned.count(UprobeKind::kReadCount4) + planned.count(UprobeKind::kWriteCount4), 0u);
}

// The addresses differ with every build. What must hold: a place for each direction that is cheap, and
// where the internal functions are found, they are what the file's own names say if it keeps them.
std::string check_real(const std::string& path) {
  const OpenElf elf(path);
  if (!elf.ok() || !exports_openssl(*elf)) return {};
  const auto plan = plan_openssl(*elf);
  EXPECT_TRUE(plan.has_value());
  if (!plan) return {};
  EXPECT_FALSE(plan->single_stepped);
  constexpr std::array<std::string_view, 6> kNames{"SSL_read",     "SSL_write",         "SSL_read_ex",
                                                   "SSL_write_ex", "ssl_read_internal", "ssl_write_internal"};
  const ElfSymbols exported = elf->dynamic_functions(kNames);
  const ElfSymbols kept = elf->symtab_functions(kNames);
  const auto offset = [&](const ElfSymbols& symbols, std::string_view name) {
    return elf->code_offset(entry_place(*elf, symbols.find(name)->second.address)->address).value();
  };
  for (const HookPlace& place : plan->places) {
    if (place.kind > UprobeKind::kReadInternal) continue;
    if (plan->placement == "exported") {
      EXPECT_THAT((std::vector{offset(exported, "SSL_read"), offset(exported, "SSL_read_ex"),
                               offset(exported, "SSL_write"), offset(exported, "SSL_write_ex")}),
                  Contains(place.offset));
      continue;
    }
    const bool read = place.kind == UprobeKind::kReadInternal;
    EXPECT_NE(place.offset, offset(exported, read ? "SSL_read" : "SSL_write"));
    const char* const name = read ? "ssl_read_internal" : "ssl_write_internal";
    if (kept.contains(name)) {
      EXPECT_EQ(place.offset, offset(kept, name));
    }
  }
  for (const UprobeKind kind : {UprobeKind::kHandshake, UprobeKind::kFree, UprobeKind::kShutdown})
    EXPECT_THAT(plan->places, Contains(::testing::Field(&HookPlace::kind, kind)));
  return plan->placement;
}

TEST(RealFiles, SharedLibssl) {
  const std::string path = testing::find_library("libssl.so.3");
  if (path.empty()) GTEST_SKIP() << "no libssl.so.3 on this machine";
  EXPECT_EQ(check_real(path), "internal");
}

TEST(RealFiles, NodeWithOpenSslInside) {
  const std::string path = testing::find_program("node");
  if (path.empty()) GTEST_SKIP() << "no node on this machine";
  const OpenElf elf(path);
  if (!elf.ok() || !exports_openssl(*elf)) GTEST_SKIP() << "this node uses a shared libssl";
  EXPECT_NE(check_real(path), "");
}

}  // namespace
}  // namespace llmtap
