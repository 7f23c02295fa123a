// SPDX-License-Identifier: Apache-2.0
#include "capture/attach_manager.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "unit/capture/elf_builder.h"

namespace llmtap {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A file that this process maps executable, so that it appears in our own /proc/self/maps.
class MappedProgram {
 public:
  explicit MappedProgram(const std::vector<std::byte>& bytes) {
    char name[] = "/tmp/llmtap-test-XXXXXX";
    fd_ = UniqueFd(::mkstemp(name));
    path_ = name;
    rewrite(bytes);
    memory_ = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd_.get(), 0);
    EXPECT_NE(memory_, MAP_FAILED);
  }
  MappedProgram(const MappedProgram&) = delete;
  MappedProgram& operator=(const MappedProgram&) = delete;
  ~MappedProgram() {
    ::munmap(memory_, 4096);
    ::unlink(path_.c_str());
  }
  void rewrite(const std::vector<std::byte>& bytes) {
    EXPECT_EQ(::ftruncate(fd_.get(), 0), 0);
    EXPECT_EQ(::pwrite(fd_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  uint64_t inode() const {
    struct stat status{};
    EXPECT_EQ(::fstat(fd_.get(), &status), 0);
    return status.st_ino;
  }
  std::vector<Mapping> mappings(const ProcFs& proc, ProcessKey self) const {
    auto all = proc.mappings(self).value();
    std::erase_if(all, [&](const Mapping& mapping) { return mapping.file.inode != inode(); });
    return all;
  }

 private:
  UniqueFd fd_;
  std::string path_;
  void* memory_ = nullptr;
};

struct Recorder : UprobeAttacher {
  struct Link : AttachedLink {
    explicit Link(int& count) : live(count) { ++live; }
    ~Link() override { --live; }
    int& live;
  };
  Result<std::unique_ptr<AttachedLink>> attach(const std::string& path, std::span<const HookPlace> places,
                                               const LinkReach& reach) override {
    if (!failure.empty() && failures_left-- > 0) return Error{failure};
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    inodes.push_back(status.st_ino);
    last_places.assign(places.begin(), places.end());
    return std::make_unique<Link>(live);
  }
  std::string failure;
  int failures_left = 1000;
  std::vector<uint64_t> inodes;
  std::vector<HookPlace> last_places;
  int live = 0;
};

std::vector<std::byte> openssl_program() {
  testing::ElfParts parts{.code = std::vector<uint8_t>(256, 0x90),
                          .functions = {{"SSL_read", 0x401000, 64}, {"SSL_write", 0x401040, 64}}};
  return testing::build_elf(parts);
}
std::vector<std::byte> go_program() {
  testing::ElfParts parts{.code = std::vector<uint8_t>(16, 0x90), .sections = {{".go.buildinfo", "x"}}};
  return testing::build_elf(parts);
}
std::vector<std::byte> dull_program() { return testing::build_elf({.code = std::vector<uint8_t>(16, 0x90)}); }

class AttachManagerTest : public ::testing::Test {
 protected:
  AttachManagerTest()
      : self_{static_cast<uint32_t>(::getpid()), *proc_.start_ns(static_cast<uint32_t>(::getpid()))} {}
  std::vector<RuntimeUse> look(const MappedProgram& program, ProcessKey as) {
    const auto mappings = program.mappings(proc_, self_);
    EXPECT_THAT(mappings, SizeIs(1));
    if (!manager_.inspect(self_.tgid, mappings)) return {};
    return manager_.use(as, mappings, now_);
  }
  Coverage describe() const {
    Coverage coverage;
    manager_.describe(coverage);
    return coverage;
  }

  ProcFs proc_;
  ProcessKey self_;
  Recorder recorder_;
  AttachManager manager_{proc_, recorder_, kRuntimes, {.linger = 5s}};
  AttachManager::Time now_{};
};

TEST_F(AttachManagerTest, AttachesOnceForAllProcessesOfAFile) {
  const MappedProgram program(openssl_program());
  EXPECT_THAT(look(program, self_), ElementsAre(RuntimeUse{"openssl", CoverageState::kClear, ""}));
  look(program, {self_.tgid, self_.start_ns + 1});
  EXPECT_THAT(recorder_.inodes, ElementsAre(program.inode()));
  const Coverage coverage = describe();
  ASSERT_THAT(coverage.targets, SizeIs(1));
  EXPECT_EQ(coverage.targets[0].processes, 2u);
  EXPECT_EQ(coverage.targets[0].placement, "exported");
  EXPECT_TRUE(coverage.targets[0].attached);
}

TEST_F(AttachManagerTest, AFileThatCannotBeAttachedAsksForNoSteps) {
  AttachManager manager(proc_, recorder_, kRuntimes, {.linger = 5s, .narrow = {.cpu_share = 0.05}});
  recorder_.failure = "Invalid argument";
  const MappedProgram program(openssl_program());
  const auto mappings = program.mappings(proc_, self_);
  manager.inspect(self_.tgid, mappings);
  manager.use(self_, mappings, now_);
  EXPECT_EQ(manager.narrow(now_), AttachManager::Time::max());
  recorder_.failure.clear();
  manager.begin_pass();
  manager.inspect(self_.tgid, mappings);
  manager.use(self_, mappings, now_ + 60s);
  EXPECT_EQ(manager.narrow(now_ + 60s), now_ + 61s) << "the first window";
}

TEST_F(AttachManagerTest, DetachesSomeTimeAfterTheLastProcess) {
  const MappedProgram program(openssl_program());
  const ProcessKey other{self_.tgid, self_.start_ns + 1};
  look(program, self_);
  look(program, other);
  manager_.forget(self_, now_);
  EXPECT_EQ(manager_.collect(now_ + 1h), AttachManager::Time::max()) << "another process still maps it";
  EXPECT_EQ(recorder_.live, 1);
  manager_.forget(other, now_);
  EXPECT_EQ(manager_.collect(now_ + 4s), now_ + 5s);
  EXPECT_EQ(recorder_.live, 1);
  look(program, self_);
  manager_.collect(now_ + 5s);
  EXPECT_EQ(recorder_.live, 1) << "came back in time";
  manager_.forget(self_, now_);
  manager_.collect(now_ + 5s);
  EXPECT_EQ(recorder_.live, 0);
  look(program, self_);
  EXPECT_EQ(recorder_.live, 1);
}

TEST_F(AttachManagerTest, LetsGoOfAFileThatTheProcessNoLongerMaps) {
  const MappedProgram program(openssl_program());
  look(program, self_);
  manager_.use(self_, {}, now_);
  manager_.collect(now_ + 5s);
  EXPECT_EQ(recorder_.live, 0);
}

TEST_F(AttachManagerTest, NamesWhatItCannotRead) {
  const MappedProgram program(go_program());
  EXPECT_THAT(look(program, self_),
              ElementsAre(RuntimeUse{"go_tls", CoverageState::kOpaque, "library_not_hooked"}));
  EXPECT_THAT(recorder_.inodes, IsEmpty());
  EXPECT_THAT(describe().targets, IsEmpty());
}

TEST_F(AttachManagerTest, ReportsAFailedAttachAndTriesAgainAtTheNextPass) {
  const MappedProgram program(openssl_program());
  recorder_.failure = "attach: Operation not permitted";
  const RuntimeUse opaque{"openssl", CoverageState::kOpaque, "attach_not_permitted"};
  EXPECT_THAT(look(program, self_), ElementsAre(opaque));
  EXPECT_THAT(look(program, self_), ElementsAre(opaque)) << "one attempt a pass";
  EXPECT_EQ(
      describe().attach_failures,
      (std::map<std::pair<std::string, std::string>, uint64_t>{{{"openssl", "attach_not_permitted"}, 1}}));
  recorder_.failure.clear();
  EXPECT_THAT(look(program, self_), ElementsAre(opaque));
  manager_.begin_pass();
  EXPECT_THAT(look(program, self_), ElementsAre(RuntimeUse{"openssl", CoverageState::kClear, ""}));
}

Result<HookPlan> plan_with_fallback(const ElfFile&) {
  HookPlan plan;
  plan.places = {{0x100, UprobeKind::kReadInternal, false}};
  plan.placement = "internal";
  plan.fallback = {{0x200, UprobeKind::kRead, false}};
  plan.fallback_placement = "exported";
  return plan;
}

TEST_F(AttachManagerTest, TakesTheExportedFunctionsWhereTheInnerOnesAreRefused) {
  const std::array runtimes{
      TlsRuntime{"openssl", [](const ElfFile&) { return true; }, plan_with_fallback, {}}};
  AttachManager manager(proc_, recorder_, runtimes, {});
  const MappedProgram program(openssl_program());
  recorder_.failure = "attach: Invalid argument";
  recorder_.failures_left = 1;
  const auto mappings = program.mappings(proc_, self_);
  ASSERT_TRUE(manager.inspect(self_.tgid, mappings));
  EXPECT_THAT(manager.use(self_, mappings, now_),
              ElementsAre(RuntimeUse{"openssl", CoverageState::kClear, ""}));
  EXPECT_THAT(recorder_.last_places, ElementsAre(HookPlace{0x200, UprobeKind::kRead, false}));
  Coverage coverage;
  manager.describe(coverage);
  ASSERT_THAT(coverage.targets, SizeIs(1));
  EXPECT_EQ(coverage.targets[0].placement, "exported");
  EXPECT_EQ((coverage.attach_failures.at({"openssl", "internal_refused"})), 1u);
}

TEST_F(AttachManagerTest, LeavesCodeAloneThatChecksItself) {
  const testing::ElfParts parts{.code = std::vector<uint8_t>(256, 0x90),
                                .functions = {{"SSL_read", 0x401000, 64},
                                              {"SSL_write", 0x401040, 64},
                                              {"BORINGSSL_bcm_text_start", 0x401040, 0},
                                              {"BORINGSSL_bcm_text_end", 0x401080, 0}}};
  const MappedProgram program(testing::build_elf(parts));
  EXPECT_THAT(look(program, self_),
              ElementsAre(RuntimeUse{"openssl", CoverageState::kOpaque, "self_checked_code"}));
  EXPECT_THAT(recorder_.inodes, IsEmpty());
}

TEST_F(AttachManagerTest, DetachesWhereOneProcessCannotBeSpared) {
  const MappedProgram program(openssl_program());
  look(program, self_);
  EXPECT_EQ(recorder_.live, 1);
  manager_.refuse(self_, "fiber_runtime");
  EXPECT_EQ(recorder_.live, 0);
  manager_.begin_pass();
  EXPECT_THAT(look(program, {self_.tgid, self_.start_ns + 1}),
              ElementsAre(RuntimeUse{"openssl", CoverageState::kOpaque, "fiber_runtime"}));
  EXPECT_EQ(recorder_.live, 0);
}

TEST_F(AttachManagerTest, LooksAgainAtAFileThatChangedUnderItsInode) {
  MappedProgram program(dull_program());
  EXPECT_THAT(look(program, self_), IsEmpty());
  EXPECT_TRUE(manager_.is_negative(program.mappings(proc_, self_).at(0).file));
  program.rewrite(openssl_program());
  EXPECT_THAT(look(program, self_), IsEmpty()) << "not before the next pass";
  manager_.begin_pass();
  EXPECT_THAT(look(program, self_), SizeIs(1));
  EXPECT_EQ(recorder_.live, 1);
  program.rewrite(go_program());
  manager_.begin_pass();
  EXPECT_THAT(look(program, self_),
              ElementsAre(RuntimeUse{"go_tls", CoverageState::kOpaque, "library_not_hooked"}));
  EXPECT_EQ(recorder_.live, 0) << "the old places lie in other code now";
}

}  // namespace
}  // namespace llmtap
