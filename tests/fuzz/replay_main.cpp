// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over the files of a corpus, and over damaged copies of each: seeded, so that a
// failure comes again.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutations = 200;

void mutate(std::vector<uint8_t>& bytes, std::mt19937& random) {
  for (unsigned count = 1 + random() % 4; count > 0 && !bytes.empty(); --count) {
    const size_t at = random() % bytes.size();
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (random() % 4) {
      case 0: bytes[at] = static_cast<uint8_t>(random()); break;
      case 1: bytes.erase(here); break;
      case 2: bytes.insert(here, static_cast<uint8_t>("\r\n: 0;\xff,"[random() % 8])); break;
      default: bytes[at] = static_cast<uint8_t>(bytes[at] ^ 1U << random() % 8);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  size_t files = 0;
  for (int i = 1; i < argc; ++i)
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
      std::printf("%s\n", entry.path().c_str());
      std::fflush(stdout);
      LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
      std::mt19937 random(1);
      for (int round = 0; round < kMutations; ++round) {
        std::vector<uint8_t> damaged = bytes;
        mutate(damaged, random);
        LLVMFuzzerTestOneInput(damaged.data(), damaged.size());
      }
      ++files;
    }
  if (files == 0) std::fprintf(stderr, "no corpus files\n");
  return files == 0 ? 1 : 0;
}
