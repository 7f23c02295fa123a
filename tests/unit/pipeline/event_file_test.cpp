// SPDX-License-Identifier: Apache-2.0
#include "pipeline/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

namespace llmtap {
namespace {

using ::testing::HasSubstr;

using Bytes = std::vector<uint8_t>;
using std::chrono::milliseconds;

// A record in 8-byte aligned memory.
class Record {
 public:
  template <typename Event>
  Record(Event event, std::string_view payload, uint16_t type)
      : words_((sizeof(event) + payload.size() + 7) / 8) {
    event.hdr.size = static_cast<uint32_t>(sizeof(event) + payload.size());
    event.hdr.type = type;
    std::memcpy(words_.data(), &event, sizeof(event));
    std::memcpy(reinterpret_cast<char*>(words_.data()) + sizeof(event), payload.data(), payload.size());
  }
  const llmtap_event_hdr& header() const { return *reinterpret_cast<const llmtap_event_hdr*>(words_.data()); }

 private:
  std::vector<uint64_t> words_;
};

Record data_record(std::string_view payload, uint64_t time_ns = 1) {
  llmtap_data_event event{};
  event.hdr.time_ns = time_ns;
  event.captured_bytes = event.original_bytes = static_cast<uint32_t>(payload.size());
  return Record(event, payload, LLMTAP_EVENT_DATA);
}

Record clock_event() { return Record(llmtap_clock_event{}, "", LLMTAP_EVENT_CLOCK); }

class Collector : public EventSink {
 public:
  void on_event(const llmtap_event_hdr& event) override {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&event) % 8, 0u);
    const auto* bytes = reinterpret_cast<const char*>(&event);
    records.emplace_back(bytes, event.size);
  }
  std::vector<std::string> records;
};

std::string bytes_of(const Record& record) {
  return {reinterpret_cast<const char*>(&record.header()), record.header().size};
}

class EventFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/llmtap_events_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/calls.events";
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }

  void write(const std::vector<Record>& records, EventFileWriter::Options options = {}) {
    auto writer = EventFileWriter::create(path_, options);
    ASSERT_TRUE(writer.has_value()) << writer.error().message;
    for (const Record& record : records) (*writer)->on_event(record.header());
    ASSERT_TRUE((*writer)->finish().has_value());
    EXPECT_EQ((*writer)->events_written(), records.size());
  }
  Bytes file_bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
  }

  std::string directory_, path_;
};

// Reads to the end or to the first error; its message, or empty.
std::string read_all(EventFileReader& reader, Collector& into) {
  while (!reader.at_end()) {
    const auto result = reader.poll(into, milliseconds(0));
    if (!result) return result.error().message;
  }
  return "";
}

std::string read_memory(const Bytes& bytes, Collector& into) {
  const auto reader = EventFileReader::from_memory(bytes);
  return reader ? read_all(**reader, into) : reader.error().message;
}

TEST_F(EventFile, GivesBackWhatWasWritten) {
  const std::vector<Record> records{clock_event(), data_record("x"), data_record("hello"),
                                    data_record(std::string(LLMTAP_MAX_RECORD_PAYLOAD, 'y')),
                                    data_record("")};
  write(records, {.redacted = true, .realtime_ns = 7, .monotonic_ns = 8});
  const auto reader = EventFileReader::open(path_);
  ASSERT_TRUE(reader.has_value()) << reader.error().message;
  EXPECT_EQ((*reader)->header().flags, static_cast<uint32_t>(LLMTAP_FILE_REDACTED));
  EXPECT_EQ((*reader)->header().realtime_ns, 7u);
  EXPECT_EQ((*reader)->header().monotonic_ns, 8u);
  Collector collector;
  EXPECT_EQ(read_all(**reader, collector), "");
  ASSERT_EQ(collector.records.size(), records.size());
  for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(collector.records[i], bytes_of(records[i])) << i;
}

TEST_F(EventFile, ManyRecordsCrossTheBuffers) {
  std::vector<Record> records;
  for (size_t i = 0; i < 3000; ++i)
    records.push_back(data_record(std::string(i, static_cast<char>('a' + i % 26)), i));
  write(records);
  const auto reader = EventFileReader::open(path_);
  ASSERT_TRUE(reader.has_value());
  Collector collector;
  EXPECT_EQ(read_all(**reader, collector), "");
  ASSERT_EQ(collector.records.size(), records.size());
  for (size_t i = 0; i < records.size(); ++i) ASSERT_EQ(collector.records[i], bytes_of(records[i])) << i;
}

TEST_F(EventFile, IsReadableByItsOwnerOnlyAndNeverOverwritten) {
  const mode_t mask = ::umask(0);
  write({});
  ::umask(mask);
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777u, 0600u);
  const auto again = EventFileWriter::create(path_, {});
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().message, "cannot create " + path_ + ": File exists");
  EXPECT_THAT(again.error().hint, HasSubstr("never overwritten"));
}

TEST_F(EventFile, WritesThroughNoLink) {
  ASSERT_EQ(::symlink("/nowhere/else", path_.c_str()), 0);
  EXPECT_FALSE(EventFileWriter::create(path_, {}).has_value());
}

// A file size limit stands for a full disk: the kernel takes a part of a write, then refuses.
TEST_F(EventFile, OnAFullDiskEndsWithAWholeRecordAndSaysWhatToDo) {
  struct rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  auto writer = EventFileWriter::create(path_, {});
  ASSERT_TRUE(writer.has_value());
  const struct rlimit small{1000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  for (int i = 0; i < 10; ++i) (*writer)->on_event(data_record(std::string(200, 'x')).header());
  const auto flushed = (*writer)->flush();
  (*writer)->on_event(clock_event().header());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);

  ASSERT_FALSE(flushed.has_value());
  EXPECT_EQ(flushed.error().message, "cannot write " + path_ + ": File too large");
  EXPECT_THAT(flushed.error().hint, HasSubstr("record to another disk; the 3 events before are whole"));
  EXPECT_EQ((*writer)->events_written(), 3u);
  EXPECT_EQ((*writer)->events_lost(), 8u);
  EXPECT_FALSE((*writer)->finish().has_value());
  Collector collector;
  EXPECT_EQ(read_memory(file_bytes(), collector), "");
  EXPECT_EQ(collector.records.size(), 3u);
}

TEST_F(EventFile, EveryTruncationGivesTheRecordsBeforeAndThePosition) {
  write({clock_event(), data_record("hello"), data_record("world!!!")});
  const Bytes whole = file_bytes();
  ASSERT_EQ(whole.size(), 32u + 48 + 72 + 72);
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    Collector collector;
    const std::string error =
        read_memory(Bytes(whole.begin(), whole.begin() + static_cast<long>(cut)), collector);
    const size_t good = cut >= 152 ? 2 : cut >= 80 ? 1 : 0;
    EXPECT_EQ(collector.records.size(), good) << cut;
    if (cut < 32)
      EXPECT_THAT(error, HasSubstr("is not an event file")) << cut;
    else if (cut == 32 || cut == 80 || cut == 152)
      EXPECT_EQ(error, "") << cut;
    else
      EXPECT_THAT(error, HasSubstr("damaged at byte " + std::to_string(good == 2   ? 152
                                                                       : good == 1 ? 80
                                                                                   : 32)))
          << cut;
  }
}

TEST_F(EventFile, RefusesOtherFilesAndVersions) {
  write({});
  Bytes bytes = file_bytes();
  Collector collector;
  bytes[8] = 99;
  EXPECT_THAT(read_memory(bytes, collector), HasSubstr("has version 99"));
  bytes[0] = 'X';
  EXPECT_THAT(read_memory(bytes, collector), HasSubstr("is not an event file"));
  const auto missing = EventFileReader::open("/nowhere/calls.events");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().message, "cannot open /nowhere/calls.events: No such file or directory");
  const auto directory = EventFileReader::open("/");
  ASSERT_FALSE(directory.has_value());
  EXPECT_THAT(directory.error().message, HasSubstr("Is a directory"));
}

struct Damage {
  const char* name;
  size_t offset;  // in the file; the record begins at 32
  uint32_t value;
  size_t width;
  const char* error;
};

class DamagedEventFile : public EventFile, public ::testing::WithParamInterface<Damage> {};

TEST_P(DamagedEventFile, IsRefusedWithItsPosition) {
  const Damage& damage = GetParam();
  write({data_record("hello")});
  Bytes bytes = file_bytes();
  std::memcpy(bytes.data() + damage.offset, &damage.value, damage.width);
  Collector collector;
  const std::string error = read_memory(bytes, collector);
  EXPECT_THAT(error, HasSubstr("damaged at byte 32: "));
  EXPECT_THAT(error, HasSubstr(damage.error));
  EXPECT_TRUE(collector.records.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Cases, DamagedEventFile,
    ::testing::Values(Damage{"SizeZero", 40, 0, 4, "impossible size 0"},
                      Damage{"SizeBelowStruct", 40, 63, 4, "size 63"},
                      Damage{"SizeBeyondFile", 40, 200, 4, "ends inside a record"},
                      Damage{"SizeHuge", 40, 0xffffffff, 4, "impossible size 4294967295"},
                      Damage{"CapturedBeyondRecord", 32 + 52, 6, 4, "claims 6 captured bytes"},
                      Damage{"CapturedHuge", 32 + 52, 0xffffffff, 4, "captured bytes"},
                      Damage{"OriginalBelowCaptured", 32 + 48, 4, 4, "claims 5 captured bytes"},
                      Damage{"Direction", 32 + 60, 2, 1, "direction 2"},
                      Damage{"Source", 32 + 61, 16, 1, "source 16"},
                      Damage{"TypeOfOtherSize", 44, LLMTAP_EVENT_CLOCK, 2, "type 7 has the impossible size"}),
    [](const auto& param) { return param.param.name; });

TEST_F(EventFile, TextBeyondItsRecordIsDamage) {
  llmtap_process_facts_event facts{};
  facts.text_bytes = 9;
  write({Record(facts, {"exe\0/x\0\0", 8}, LLMTAP_EVENT_PROCESS)});
  Collector collector;
  EXPECT_THAT(read_memory(file_bytes(), collector),
              HasSubstr("damaged at byte 32: record of type 6 claims 9 bytes of text"));
  EXPECT_TRUE(collector.records.empty());
}

TEST_F(EventFile, CountsAndSkipsUnknownTypes) {
  const llmtap_data_event event{};
  write({Record(event, "future", 200), data_record("known"), Record(event, "", 0)});
  const auto reader = EventFileReader::open(path_);
  ASSERT_TRUE(reader.has_value());
  Collector collector;
  EXPECT_EQ(read_all(**reader, collector), "");
  EXPECT_EQ(collector.records.size(), 1u);
  EXPECT_EQ((*reader)->unknown_events(), 2u);
}

// Whatever stands in a file: no read beyond it (the sanitizers watch), and an end.
TEST_F(EventFile, SurvivesEveryFlippedByte) {
  llmtap_process_facts_event facts{};
  facts.text_bytes = 8;
  write({clock_event(), data_record("hello"), Record(facts, {"exe\0/x\0\0", 8}, LLMTAP_EVENT_PROCESS),
         data_record("world")});
  const Bytes whole = file_bytes();
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const uint8_t flip : {0x01, 0x80, 0xff}) {
      Bytes bytes = whole;
      bytes[i] ^= flip;
      Collector collector;
      read_memory(bytes, collector);
      EXPECT_LE(collector.records.size(), 4u);
    }
  }
}

}  // namespace
}  // namespace llmtap
