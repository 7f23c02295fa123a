// SPDX-License-Identifier: Apache-2.0
#include "capture/clear_map.h"

#include <bpf/bpf.h>

#include <cstddef>
#include <vector>

namespace llmtap {

uint64_t clear_map(int map) {
  bpf_map_info info{};
  __u32 size = sizeof(info);
  if (bpf_map_get_info_by_fd(map, &info, &size) != 0) return 0;
  std::vector<std::byte> key(info.key_size);
  uint64_t deleted = 0;
  // Always the first one: the successor of a deleted key is not known. Bounded, because others insert.
  for (uint64_t n = 0; n < info.max_entries && bpf_map_get_next_key(map, nullptr, key.data()) == 0; ++n)
    deleted += bpf_map_delete_elem(map, key.data()) == 0;
  return deleted;
}

}  // namespace llmtap
