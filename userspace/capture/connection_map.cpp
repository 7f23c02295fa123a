// SPDX-License-Identifier: Apache-2.0
#include "capture/connection_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>

#include "capture/btf_member.h"

namespace llmtap {
namespace {

// A read holds the lock of one bucket at a time; a full one never has this many.
constexpr uint32_t kPiece = 1024;

struct Key {
  uint64_t object, owner;  // struct conn_key of bpf/lib/maps.bpf.h
};

template <typename Number>
Number number_at(const std::byte* bytes) {
  Number number{};
  std::memcpy(&number, bytes, sizeof(number));
  return number;
}

}  // namespace

ConnectionMap::ConnectionMap(const bpf_object* object, const bpf_map* map) {
  const btf* types = bpf_object__btf(object);
  const auto id = find_member(types, "conn", "id"), start = find_member(types, "conn", "process_start_ns"),
             announced = find_member(types, "conn", "announced");
  if (!id || !start || !announced || bpf_map__key_size(map) != sizeof(Key)) return;
  map_ = bpf_map__fd(map);
  value_bytes_ = bpf_map__value_size(map);
  at_ = {.id = id->offset, .process_start_ns = start->offset, .announced = announced->offset};
}

SweepPort::Connection ConnectionMap::connection(const std::byte* key, const std::byte* value) const {
  return {.id = number_at<uint64_t>(value + at_.id),
          .object = number_at<Key>(key).object,
          .owner = number_at<Key>(key).owner,
          .process_start_ns = number_at<uint64_t>(value + at_.process_start_ns),
          .announced = number_at<uint8_t>(value + at_.announced) != 0};
}

ConnectionMap::Piece ConnectionMap::read(bool from_start, std::vector<SweepPort::Connection>& out) {
  if (map_ < 0) return Piece::kFailed;
  keys_.resize(kPiece * sizeof(Key));
  values_.resize(kPiece * value_bytes_);
  uint32_t next = 0, count = kPiece;
  const int result = bpf_map_lookup_batch(map_, from_start ? nullptr : &place_, &next, keys_.data(),
                                          values_.data(), &count, nullptr);
  if (result != 0 && errno != ENOENT) return Piece::kFailed;
  place_ = next;
  for (uint32_t i = 0; i < count; ++i)
    out.push_back(connection(&keys_[i * sizeof(Key)], &values_[i * value_bytes_]));
  if (result == 0) return Piece::kMore;
  keys_ = {};
  values_ = {};
  return Piece::kLast;
}

bool ConnectionMap::drop(const SweepPort::Connection& gone) const {
  const Key key{gone.object, gone.owner};
  std::vector<std::byte> value(value_bytes_);
  if (map_ < 0 || bpf_map_lookup_elem(map_, &key, value.data()) != 0) return false;
  if (connection(reinterpret_cast<const std::byte*>(&key), value.data()).id != gone.id) return false;
  return bpf_map_delete_elem(map_, &key) == 0;
}

}  // namespace llmtap
