// SPDX-License-Identifier: Apache-2.0
#include "capture/doctor_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/capability.h>
#include <unistd.h>

#include <cstdio>
#include <set>

namespace llmtap {
namespace {

TEST(DoctorFacts, ReadsKernelReleases) {
  EXPECT_EQ(parse_kernel_release("6.1.0-13-amd64"), std::pair(6, 1));
  EXPECT_EQ(parse_kernel_release("5.10"), std::pair(5, 10));
  EXPECT_EQ(parse_kernel_release("6"), std::pair(0, 0));
  EXPECT_EQ(parse_kernel_release("linux"), std::pair(0, 0));
}

TEST(DoctorFacts, EachIsNamedOnceAndAdvisesWhatIsWrong) {
  std::set<std::string> names;
  for (const DoctorFact& fact : collect_doctor_facts()) {
    EXPECT_TRUE(names.insert(fact.name).second) << fact.name;
    EXPECT_FALSE(fact.detail.empty()) << fact.name;
    if (fact.status == DoctorStatus::kOk) {
      EXPECT_EQ(fact.advice, "") << fact.name;
    }
    if (fact.status == DoctorStatus::kMissing) {
      EXPECT_NE(fact.advice, "") << fact.name;
    }
  }
  for (const char* const name :
       {"kernel", "BTF", "capability cap_bpf", "lockdown", "process watch", "uprobe_multi"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST(DoctorFacts, NamesTheCapabilitiesThatAProcessLacks) {
  EXPECT_EXIT(
      {
        const cap_t none = cap_init();
        if (cap_set_proc(none) != 0) _exit(2);
        std::fprintf(stderr, "[%s]", missing_capabilities().c_str());
        _exit(0);
      },
      ::testing::ExitedWithCode(0), "\\[CAP_BPF, CAP_PERFMON\\]");
}

}  // namespace
}  // namespace llmtap
