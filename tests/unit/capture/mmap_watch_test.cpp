// SPDX-License-Identifier: Apache-2.0
#include "capture/mmap_watch.h"

#include <gtest/gtest.h>
#include <linux/perf_event.h>

#include <cstring>
#include <string>

namespace llmtap {
namespace {

class Record {
 public:
  Record(uint32_t type, uint16_t misc = 0) : header_{type, misc, 0} { put(header_); }
  template <typename T>
  Record& put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  std::optional<WatchEvent> parse(uint64_t& lost) const {
    const auto* const data = reinterpret_cast<const std::byte*>(bytes_.data());
    return parse_watch_record({data, bytes_.size()}, lost);
  }
  std::optional<WatchEvent> parse() const {
    uint64_t lost = 0;
    return parse(lost);
  }
  Record cut(size_t size) const {
    Record shorter = *this;
    shorter.bytes_.resize(size);
    return shorter;
  }
  size_t size() const { return bytes_.size(); }

 private:
  perf_event_header header_;
  std::string bytes_;
};

Record map_record(uint16_t misc = 0) {
  Record record(PERF_RECORD_MMAP2, misc);
  record.put(uint32_t{7}).put(uint32_t{8}).put(uint64_t{0x1000}).put(uint64_t{0x2000}).put(uint64_t{0});
  record.put(uint32_t{0xfe})
      .put(uint32_t{1})
      .put(uint64_t{99})
      .put(uint64_t{3})
      .put(uint32_t{5})
      .put(uint32_t{2});
  return record;
}

TEST(WatchRecord, MapNamesTheFile) {
  EXPECT_EQ(map_record().parse(), (WatchEvent{WatchEvent::Kind::kMap, 7, 0, {0xfe, 1, 99}, 3}));
}

TEST(WatchRecord, MapWithABuildIdNamesNoFile) {
  EXPECT_EQ(map_record(PERF_RECORD_MISC_MMAP_BUILD_ID).parse(), std::nullopt);
}

TEST(WatchRecord, CutRecordsAreIgnored) {
  for (size_t size = 0; size < 64; ++size) EXPECT_EQ(map_record().cut(size).parse(), std::nullopt) << size;
}

TEST(WatchRecord, OnlyANameFromExecIsAnExec) {
  EXPECT_EQ(Record(PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC).put(uint32_t{7}).put(uint32_t{7}).parse(),
            (WatchEvent{WatchEvent::Kind::kExec, 7}));
  EXPECT_EQ(Record(PERF_RECORD_COMM).put(uint32_t{7}).put(uint32_t{7}).parse(), std::nullopt);
}

TEST(WatchRecord, NewThreadsAreNoForks) {
  EXPECT_EQ(Record(PERF_RECORD_FORK).put(uint32_t{7}).put(uint32_t{6}).put(uint32_t{7}).parse(),
            (WatchEvent{WatchEvent::Kind::kFork, 7, 6}));
  EXPECT_EQ(Record(PERF_RECORD_FORK).put(uint32_t{7}).put(uint32_t{7}).parse(), std::nullopt);
  EXPECT_EQ(Record(PERF_RECORD_EXIT).put(uint32_t{7}).put(uint32_t{6}).put(uint32_t{7}).parse(),
            (WatchEvent{WatchEvent::Kind::kExit, 7, 6}));
}

TEST(WatchRecord, LossIsCounted) {
  uint64_t lost = 2;
  EXPECT_EQ(Record(PERF_RECORD_LOST).put(uint64_t{1}).put(uint64_t{40}).parse(lost), std::nullopt);
  EXPECT_EQ(lost, 42u);
}

}  // namespace
}  // namespace llmtap
