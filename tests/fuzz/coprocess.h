// SPDX-License-Identifier: Apache-2.0
// A reference that is another program: inputs are written to it behind their length, records are read.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"

namespace llmtap::fuzz {

class Coprocess {
 public:
  struct Record {
    char kind = 0;
    std::string bytes;
  };

  Coprocess(const char* program, const char* script) {
    int to[2], from[2];
    LLMTAP_CHECK(::pipe(to) == 0 && ::pipe(from) == 0);
    const pid_t child = ::fork();
    LLMTAP_CHECK(child >= 0);
    if (child == 0) {
      ::dup2(to[0], 0);
      ::dup2(from[1], 1);
      ::close(to[1]);
      ::execl(program, program, "-B", script, nullptr);
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    to_ = to[1];
    from_ = from[0];
  }

  // Up to the record of a kind in `last`.
  std::vector<Record> ask(std::span<const uint8_t> input, std::string_view last) {
    const auto size = static_cast<uint32_t>(input.size());
    write_all(&size, sizeof(size));
    write_all(input.data(), input.size());
    std::vector<Record> records;
    do {
      Record record;
      uint32_t length = 0;
      read_all(&record.kind, 1);
      read_all(&length, sizeof(length));
      record.bytes.resize(length);
      read_all(record.bytes.data(), length);
      records.push_back(std::move(record));
    } while (last.find(records.back().kind) == std::string_view::npos);
    return records;
  }

 private:
  void write_all(const void* bytes, size_t size) {
    for (size_t done = 0; done < size;) {
      const ssize_t n = ::write(to_, static_cast<const char*>(bytes) + done, size - done);
      LLMTAP_CHECK(n > 0);
      done += static_cast<size_t>(n);
    }
  }
  void read_all(void* bytes, size_t size) {
    for (size_t done = 0; done < size;) {
      const ssize_t n = ::read(from_, static_cast<char*>(bytes) + done, size - done);
      LLMTAP_CHECK(n > 0);
      done += static_cast<size_t>(n);
    }
  }
  int to_ = -1, from_ = -1;
};

}  // namespace llmtap::fuzz
