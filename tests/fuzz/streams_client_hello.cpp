// SPDX-License-Identifier: Apache-2.0
// Oracle: what is read does not depend on the cuts.
#include <algorithm>
#include <vector>

#include "base/check.h"
#include "streams/client_hello.h"

namespace {

using namespace llmtap;

std::string read(std::span<const uint8_t> input, size_t step) {
  ClientHelloReader reader(2048);
  for (size_t at = 0; at < input.size(); at += step) {
    const auto part = input.subspan(at, std::min(step, input.size() - at));
    const std::vector<uint8_t> piece(part.begin(), part.end());
    reader.feed(piece);
  }
  std::string result = std::to_string(static_cast<int>(reader.state())) + reader.hello().sni;
  for (const std::string& protocol : reader.hello().alpn) result += "," + protocol;
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> input(data, std::min<size_t>(size, 8192));
  const std::string whole = read(input, 8192);
  LLMTAP_CHECK(whole == read(input, 1));
  LLMTAP_CHECK(whole == read(input, 7));
  return 0;
}
