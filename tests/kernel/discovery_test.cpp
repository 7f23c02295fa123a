// SPDX-License-Identifier: Apache-2.0
// Discovery on live processes: real programs, real libraries, an attacher that records. Needs root.
#include "capture/discovery.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

namespace llmtap {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// The kernel reports at once; the deadline only ends a test that fails.
constexpr auto kDeadline = 30s;

std::string find_program(const std::string& name) {
  std::istringstream folders("/usr/bin:/bin:/usr/local/bin");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access((folder + "/" + name).c_str(), X_OK) == 0) return folder + "/" + name;
  return {};
}

// A child whose standard input we hold; it ends when that is closed or with this object.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments, const std::vector<std::string>& environment = {}) {
    int input[2], output[2];
    EXPECT_EQ(::pipe2(input, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(output, O_CLOEXEC), 0);
    std::vector<char*> words, variables;
    for (std::string& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    std::vector<std::string> kept = environment;
    for (std::string& variable : kept) variables.push_back(variable.data());
    variables.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(input[0], 0);
      ::dup2(output[1], 1);
      ::execve(words[0], words.data(), variables.data());
      ::_exit(127);
    }
    ::close(input[0]);
    ::close(output[1]);
    input_ = UniqueFd(input[1]);
    output_ = UniqueFd(output[0]);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { end(); }

  void say(const std::string& line) {
    EXPECT_EQ(::write(input_.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  std::string hear() {
    char text[64];
    const ssize_t n = ::read(output_.get(), text, sizeof(text));
    return std::string(text, n > 0 ? static_cast<size_t>(n) : 0);
  }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  uint32_t tgid() const { return static_cast<uint32_t>(pid_); }

 private:
  pid_t pid_ = 0;
  UniqueFd input_, output_;
};

class Recorder : public UprobeAttacher, public EventInjector {
 public:
  struct Link : AttachedLink {
    Link(Recorder& recorder, uint64_t file) : owner(recorder), inode(file) {}
    ~Link() override {
      const std::lock_guard lock(owner.mutex_);
      owner.live_.erase(inode);
      owner.changed_.notify_all();
    }
    Recorder& owner;
    uint64_t inode;
  };

  Result<std::unique_ptr<AttachedLink>> attach(const std::string& path, std::span<const HookPlace> places,
                                               const LinkReach& reach) override {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return Error{path + ": " + ::strerror(errno)};
    const std::lock_guard lock(mutex_);
    log_.push_back("attach " + std::to_string(status.st_ino));
    EXPECT_FALSE(places.empty());
    live_.insert(status.st_ino);
    changed_.notify_all();
    return std::make_unique<Link>(*this, status.st_ino);
  }
  void inject(const llmtap_event_hdr& event) override {
    EXPECT_EQ(event.type, LLMTAP_EVENT_PROCESS);
    const auto& facts = reinterpret_cast<const llmtap_process_facts_event&>(event);
    const char* const text = reinterpret_cast<const char*>(&facts + 1);
    const std::lock_guard lock(mutex_);
    log_.push_back("facts " + std::to_string(event.tgid));
    texts_[event.tgid] = std::string(text, facts.text_bytes);
    changed_.notify_all();
  }

  bool wait(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, condition);
  }
  bool wait_attached(uint64_t inode) {
    return wait([&] { return live_.contains(inode); });
  }
  bool wait_detached(uint64_t inode) {
    return wait([&] { return !live_.contains(inode); });
  }
  bool wait_facts(uint32_t tgid, const std::string& key, const std::string& value) {
    const std::string pair = key + '\0' + value + '\0';
    return wait([&] { return texts_.contains(tgid) && texts_[tgid].find(pair) != std::string::npos; });
  }
  std::vector<std::string> log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }
  size_t facts_told(uint32_t tgid) {
    const auto lines = log();
    return static_cast<size_t>(std::ranges::count(lines, "facts " + std::to_string(tgid)));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<uint64_t> live_;
  std::vector<std::string> log_;
  std::map<uint32_t, std::string> texts_;
};

class DiscoveryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    openssl_ = find_program("openssl");
    if (openssl_.empty()) GTEST_SKIP() << "needs the openssl program";
    char name[] = "/tmp/llmtap-discovery-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    // Our own copy of libssl: another inode, which no other process of the machine maps.
    fs::path library;
    for (const char* const place : {"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"})
      if (library.empty() && fs::exists(fs::path(place) / "libssl.so.3"))
        library = fs::path(place) / "libssl.so.3";
    ASSERT_FALSE(library.empty());
    fs::copy_file(library, folder_ / "libssl.so.3");
    struct stat status{};
    ASSERT_EQ(::stat((folder_ / "libssl.so.3").c_str(), &status), 0);
    inode_ = status.st_ino;
    // Only what the kernel tells may find a process.
    options_.rescan = 1h;
    options_.attach.linger = 0ms;
    options_.exit_check = 10ms;
  }
  void TearDown() override {
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }

  // Maps libssl and waits for its input to end.
  std::unique_ptr<Child> tls_child() {
    return std::make_unique<Child>(std::vector<std::string>{openssl_, "dgst", "-sha256"}, library_path());
  }
  std::vector<std::string> library_path() const { return {"LD_LIBRARY_PATH=" + folder_.string()}; }
  static bool eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + kDeadline;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }
  static bool wait_scanned(const Discovery& discovery, size_t scans = 1) {
    return eventually([&] { return discovery.snapshot()->scans >= scans; });
  }
  static bool mapped(uint32_t tgid, const std::string& name) {
    const ProcFs proc;
    return eventually([&] {
      const auto start = proc.start_ns(tgid);
      const auto mappings = start ? proc.mappings({tgid, *start}) : std::nullopt;
      return std::ranges::any_of(mappings.value_or(std::vector<Mapping>{}),
                                 [&](const Mapping& mapping) { return mapping.path.ends_with(name); });
    });
  }
  size_t users(const Discovery& discovery) const {
    const auto coverage = discovery.snapshot();
    const auto target = std::ranges::find(coverage->targets, inode_, &AttachTarget::inode);
    return target == coverage->targets.end() ? 0 : target->processes;
  }

  std::string openssl_;
  fs::path folder_;
  uint64_t inode_ = 0;
  DiscoveryOptions options_;
  Recorder recorder_;
};

TEST_F(DiscoveryTest, FindsAProcessThatRanBefore) {
  const auto child = tls_child();
  ASSERT_TRUE(mapped(child->tgid(), "/libssl.so.3"));
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  EXPECT_TRUE(recorder_.wait_attached(inode_));
  EXPECT_TRUE(recorder_.wait_facts(child->tgid(), "workload", "openssl"));
  ASSERT_TRUE(wait_scanned(discovery));
  const auto coverage = discovery.snapshot();
  EXPECT_TRUE(coverage->initial_scan_done);
  EXPECT_TRUE(coverage->watching) << coverage->watch_error;
  const auto target = std::ranges::find(coverage->targets, inode_, &AttachTarget::inode);
  ASSERT_NE(target, coverage->targets.end());
  EXPECT_EQ(target->runtime, "openssl");
  EXPECT_EQ(target->placement, "internal");
  EXPECT_EQ(target->processes, 1u);
  EXPECT_TRUE(target->attached);
}

TEST_F(DiscoveryTest, SeesAProcessStartAndSaysWhoItIsFirst) {
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  ASSERT_TRUE(wait_scanned(discovery));
  const auto child = tls_child();
  ASSERT_TRUE(recorder_.wait_attached(inode_));
  const auto log = recorder_.log();
  const auto facts = std::ranges::find(log, "facts " + std::to_string(child->tgid()));
  const auto attach = std::ranges::find(log, "attach " + std::to_string(inode_));
  ASSERT_NE(facts, log.end());
  EXPECT_LT(facts, attach);
  EXPECT_EQ(discovery.snapshot()->scans, 1u) << "found by the kernel's record, not by another scan";
}

TEST_F(DiscoveryTest, LeavesAloneWhatIsExcluded) {
  const auto before = tls_child();
  ASSERT_TRUE(mapped(before->tgid(), "libssl.so.3"));
  std::mutex mutex;
  std::set<uint32_t> excluded;
  options_.exclusion = Exclusion({"openssl"});
  options_.exclude = [&](uint32_t tgid) {
    const std::lock_guard lock(mutex);
    excluded.insert(tgid);
  };
  const auto is_excluded = [&](uint32_t tgid) {
    return eventually([&] {
      const std::lock_guard lock(mutex);
      return excluded.contains(tgid);
    });
  };
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  ASSERT_TRUE(wait_scanned(discovery));
  EXPECT_TRUE(is_excluded(before->tgid()));
  const auto after = tls_child();
  EXPECT_TRUE(is_excluded(after->tgid())) << "at its exec";
  ASSERT_TRUE(mapped(after->tgid(), "libssl.so.3"));
  discovery.ensure_facts(after->tgid());
  const auto asked = tls_child();  // its exec is handled after the request
  EXPECT_TRUE(is_excluded(asked->tgid()));
  EXPECT_EQ(recorder_.facts_told(before->tgid()), 0u);
  EXPECT_EQ(users(discovery), 0u) << "nothing was attached for them";
  const auto lines = recorder_.log();
  EXPECT_EQ(std::ranges::count(lines, "attach " + std::to_string(inode_)), 0);
}

TEST_F(DiscoveryTest, SeesALibraryThatIsLoadedLate) {
  const std::string python = find_program("python3");
  if (python.empty()) GTEST_SKIP() << "needs python3";
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  ASSERT_TRUE(wait_scanned(discovery));
  std::ofstream(folder_ / "agent.py") << "import sys, ctypes\nprint('up', flush=True)\nsys.stdin.readline()\n"
                                         "ctypes.CDLL('"
                                      << (folder_ / "libssl.so.3").string()
                                      << "')\n"
                                         "sys.stdin.readline()\n";
  Child child({python, (folder_ / "agent.py").string(), "--key=secret"});
  ASSERT_EQ(child.hear(), "up\n");
  child.say("load\n");
  EXPECT_TRUE(recorder_.wait_attached(inode_));
  EXPECT_TRUE(recorder_.wait_facts(child.tgid(), "workload", "agent.py"));
}

TEST_F(DiscoveryTest, AttachesToDeletedFiles) {
  fs::copy_file(openssl_, folder_ / "tool");
  Child child({(folder_ / "tool").string(), "dgst", "-sha256"}, library_path());
  // The copy's whole path: before its exec the child maps what this program does, a libssl included.
  ASSERT_TRUE(mapped(child.tgid(), (folder_ / "libssl.so.3").string()));
  fs::remove_all(folder_);
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  EXPECT_TRUE(recorder_.wait_attached(inode_));
  EXPECT_TRUE(recorder_.wait_facts(child.tgid(), "exe", (folder_ / "tool").string()));
  EXPECT_TRUE(recorder_.wait_facts(child.tgid(), "workload", "tool"));
}

TEST_F(DiscoveryTest, DetachesAfterTheLastExit) {
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  const auto first = tls_child();
  ASSERT_TRUE(recorder_.wait_attached(inode_));
  const auto second = tls_child();
  ASSERT_TRUE(eventually([&] { return users(discovery) == 2; }));
  first->end();
  ASSERT_TRUE(eventually([&] { return users(discovery) == 1; }));
  second->end();
  EXPECT_TRUE(recorder_.wait_detached(inode_));
  const auto log = recorder_.log();
  EXPECT_EQ(std::ranges::count(log, "attach " + std::to_string(inode_)), 1);
}

TEST_F(DiscoveryTest, TellsAgainWhoAProcessIsAfterExec) {
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  ASSERT_TRUE(wait_scanned(discovery));
  Child child({"/bin/sh", "-c", "read x; exec " + openssl_ + " dgst -sha256"}, library_path());
  discovery.ensure_facts(child.tgid());
  ASSERT_TRUE(recorder_.wait_facts(child.tgid(), "comm", "sh"));
  child.say("go\n");
  EXPECT_TRUE(recorder_.wait_facts(child.tgid(), "workload", "openssl"));
  EXPECT_TRUE(recorder_.wait_attached(inode_));
}

TEST_F(DiscoveryTest, KnowsAProcessWithoutTlsWhenAsked) {
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  ASSERT_TRUE(wait_scanned(discovery));
  Child child({"/bin/cat"});
  discovery.ensure_facts(child.tgid());
  EXPECT_TRUE(recorder_.wait_facts(child.tgid(), "workload", "cat"));
}

TEST_F(DiscoveryTest, KnowsAProcessThatIsGoneWhenAsked) {
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  ASSERT_TRUE(wait_scanned(discovery));
  Child child({"/bin/cat"});
  const uint32_t tgid = child.tgid();
  child.say("x");
  ASSERT_EQ(child.hear(), "x");  // it has been executed
  // A second answer about another process comes after everything that was recorded before the first.
  Child marker({"/bin/cat"});
  discovery.ensure_facts(marker.tgid());
  ASSERT_TRUE(recorder_.wait_facts(marker.tgid(), "workload", "cat"));
  const size_t told = recorder_.facts_told(marker.tgid());
  discovery.ensure_facts(marker.tgid());
  ASSERT_TRUE(eventually([&] { return recorder_.facts_told(marker.tgid()) > told; }));
  child.end();
  discovery.ensure_facts(tgid);
  EXPECT_TRUE(recorder_.wait_facts(tgid, "exe", fs::canonical("/bin/cat").string()));
}

TEST_F(DiscoveryTest, ScansAgainAndAgain) {
  options_.rescan = 20ms;
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  const auto child = tls_child();
  EXPECT_TRUE(recorder_.wait_attached(inode_));
  EXPECT_TRUE(wait_scanned(discovery, 3));
  child->end();
  EXPECT_TRUE(recorder_.wait_detached(inode_));
}

TEST_F(DiscoveryTest, StopDetachesEverything) {
  const auto child = tls_child();
  ASSERT_TRUE(mapped(child->tgid(), "/libssl.so.3"));
  Discovery discovery(recorder_, recorder_, options_);
  ASSERT_TRUE(discovery.start().has_value());
  ASSERT_TRUE(recorder_.wait_attached(inode_));
  discovery.stop();
  EXPECT_TRUE(recorder_.wait_detached(inode_));
  discovery.stop();
}

}  // namespace
}  // namespace llmtap
