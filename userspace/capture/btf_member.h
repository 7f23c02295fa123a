// SPDX-License-Identifier: Apache-2.0
// Where a member of one of our BPF programs' structures lies, by the types that their object carries.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

struct btf;
struct btf_type;

namespace llmtap {

struct BtfMember {
  size_t offset = 0;  // bytes from the structure's start
  const btf_type* type = nullptr;
};

std::optional<BtfMember> find_member(const btf* types, const char* structure, std::string_view member);

}  // namespace llmtap
