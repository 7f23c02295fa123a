// SPDX-License-Identifier: Apache-2.0
#include "capture/exclusion.h"

#include <gtest/gtest.h>

namespace llmtap {
namespace {

ProcessFacts facts() {
  ProcessFacts facts;
  facts.key = {4242, 1};
  facts.comm = "gunicorn";
  facts.exe = "/usr/bin/python3.11";
  facts.workload = "billing.py";
  facts.cgroup = "/kubepods.slice/burstable/pod12ab/kube-system";
  facts.unit = "billing.service";
  return facts;
}

struct Case {
  const char* name;
  bool excluded;
};
class ExclusionTest : public ::testing::TestWithParam<Case> {};

TEST_P(ExclusionTest, Matches) {
  EXPECT_EQ(Exclusion({"another", GetParam().name}).matches(facts()), GetParam().excluded) << GetParam().name;
}

INSTANTIATE_TEST_SUITE_P(Names, ExclusionTest,
                         ::testing::Values(Case{"4242", true}, Case{"424", false}, Case{"1", false},
                                           Case{"billing.py", true}, Case{"billing", true},
                                           Case{"billing.service", true}, Case{"bill", false},
                                           Case{"gunicorn", true}, Case{"python3.11", true},
                                           Case{"python3", false}, Case{"/usr/bin/python3.11", true},
                                           Case{"/usr/bin", false}, Case{"/kubepods.slice", true},
                                           Case{"/kubepods.slice/burstable/", true}, Case{"/kubepods", false},
                                           Case{"/", false}, Case{"kube-system", true},
                                           Case{"burstable", true}, Case{"burst", false}, Case{"", false}));

TEST(Exclusion, WithoutNamesNobodyIs) {
  EXPECT_TRUE(Exclusion().empty());
  EXPECT_FALSE(Exclusion().matches(facts()));
  EXPECT_FALSE(Exclusion({"x"}).matches(ProcessFacts{}));
}

}  // namespace
}  // namespace llmtap
