// SPDX-License-Identifier: Apache-2.0
// The kernel's table of connections, read a bounded piece at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "capture/loss_sweep.h"

struct bpf_map;
struct bpf_object;

namespace llmtap {

class ConnectionMap {
 public:
  ConnectionMap() = default;
  ConnectionMap(const bpf_object* object, const bpf_map* map);

  using Piece = SweepPort::Piece;

  // SweepPort::read_connections.
  Piece read(bool from_start, std::vector<SweepPort::Connection>& out);
  // Deletes it, unless another connection has its key by now.
  bool drop(const SweepPort::Connection& connection) const;

 private:
  SweepPort::Connection connection(const std::byte* key, const std::byte* value) const;

  int map_ = -1;
  size_t value_bytes_ = 0;
  struct {
    size_t id = 0, process_start_ns = 0, announced = 0;
  } at_;  // offsets in the value
  uint32_t place_ = 0;
  std::vector<std::byte> keys_, values_;
};

}  // namespace llmtap
