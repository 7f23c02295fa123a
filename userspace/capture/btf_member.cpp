// SPDX-License-Identifier: Apache-2.0
#include "capture/btf_member.h"

#include <bpf/btf.h>

namespace llmtap {

std::optional<BtfMember> find_member(const btf* types, const char* structure, std::string_view member) {
  const int id = btf__find_by_name_kind(types, structure, BTF_KIND_STRUCT);
  const btf_type* const type = id < 0 ? nullptr : btf__type_by_id(types, static_cast<__u32>(id));
  for (__u32 i = 0; type != nullptr && i < btf_vlen(type); ++i)
    if (member == btf__name_by_offset(types, btf_members(type)[i].name_off))
      return BtfMember{btf_member_bit_offset(type, i) / 8, btf__type_by_id(types, btf_members(type)[i].type)};
  return std::nullopt;
}

}  // namespace llmtap
