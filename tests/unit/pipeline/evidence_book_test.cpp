// SPDX-License-Identifier: Apache-2.0
#include "pipeline/evidence_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace llmtap {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class EvidenceBookTest : public ::testing::Test {
 protected:
  EvidenceBookTest() {
    options_.hosts.push_back({.host = "llm.example.test", .provider = "ours"});
    book_ = std::make_unique<EvidenceBook>(limits_, options_);
    book_->set_sink([this](ProcessKey process) { told_.push_back(process.tgid); });
  }
  void hello(uint32_t tgid, const char* sni, Role role = Role::kClient) {
    ConnectionFacts facts;
    facts.process = {tgid, 1};
    facts.role = role;
    facts.sni = sni;
    book_->on_hello(facts);
  }
  void open(uint32_t tgid) {
    auto process = std::make_shared<ProcessFacts>();
    process->key = {tgid, 1};
    LlmCall call;
    call.process = process;
    book_->on_call_open(call);
    book_->on_call_finished(call);
  }
  Limits limits_;
  CallTrackerOptions options_;
  std::unique_ptr<EvidenceBook> book_;
  std::vector<uint32_t> told_;
};

TEST_F(EvidenceBookTest, ACallIsToldOnce) {
  open(10);
  open(10);
  open(11);
  EXPECT_THAT(told_, ElementsAre(10u, 11u));
}

TEST_F(EvidenceBookTest, TheHostOfAHandshakeIsEvidence) {
  hello(10, "api.openai.com");
  hello(11, "llm.example.test");
  hello(12, "www.example.test");
  hello(13, "api.anthropic.com", Role::kServer);  // a proxy that poses as it
  EXPECT_THAT(told_, ElementsAre(10u, 11u, 13u));
}

TEST_F(EvidenceBookTest, AllOfItIsToldAgain) {
  open(10);
  book_->tell_again();
  open(10);
  EXPECT_THAT(told_, ElementsAre(10u, 10u));
}

TEST_F(EvidenceBookTest, ACallOfNobodyIsNoEvidence) {
  book_->on_call_open(LlmCall());
  hello(0, "api.openai.com");
  EXPECT_THAT(told_, IsEmpty());
}

}  // namespace
}  // namespace llmtap
