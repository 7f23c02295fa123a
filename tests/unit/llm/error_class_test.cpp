// SPDX-License-Identifier: Apache-2.0
#include "llm/error_class.h"

#include <gtest/gtest.h>

#include "llm/finish_class.h"

namespace llmtap {
namespace {

struct Case {
  int status;
  std::string_view type, code, message, error_class, label;
};
class Classify : public ::testing::TestWithParam<Case> {};
TEST_P(Classify, Error) {
  const Case& want = GetParam();
  const ErrorFacts facts{
      .status = want.status, .type = want.type, .code = want.code, .message = want.message};
  EXPECT_EQ(classify_error(facts), want.error_class);
  EXPECT_EQ(classify(want.status, want.type, want.code, want.message), want.error_class);
  EXPECT_EQ(error_type_label(facts, classify_error(facts)), want.label);
}
INSTANTIATE_TEST_SUITE_P(
    Cases, Classify,
    ::testing::Values(
        Case{200, "", "", "", "", ""}, Case{304, "", "", "", "", ""},
        // OpenAI
        Case{429, "tokens", "rate_limit_exceeded", "", "rate_limit", "rate_limit_exceeded"},
        Case{429, "insufficient_quota", "insufficient_quota", "", "quota", "insufficient_quota"},
        Case{400, "invalid_request_error", "context_length_exceeded", "", "context_length",
             "context_length_exceeded"},
        Case{400, "invalid_request_error", "", "", "invalid_request", "invalid_request_error"},
        Case{400, "invalid_request_error", "content_policy_violation", "", "content_policy",
             "content_policy_violation"},
        Case{401, "invalid_request_error", "invalid_api_key", "", "auth", "invalid_api_key"},
        Case{400, "invalid_request_error", "model_not_found", "", "not_found", "model_not_found"},
        Case{503, "server_error", "slow_down", "", "overloaded", "slow_down"},
        // Azure
        Case{400, "", "content_filter", "", "content_policy", "content_filter"},
        Case{401, "", "401", "Access denied", "auth", "auth"},
        Case{404, "", "DeploymentNotFound", "", "not_found", "DeploymentNotFound"},
        Case{429, "", "429", "", "rate_limit", "rate_limit"},
        // Anthropic
        Case{400, "invalid_request_error", "", "prompt is too long: 210000 tokens > 200000", "context_length",
             "invalid_request_error"},
        Case{429, "rate_limit_error", "enforced_spend_limit_reached", "", "quota",
             "enforced_spend_limit_reached"},
        Case{529, "overloaded_error", "", "", "overloaded", "overloaded_error"},
        Case{200, "overloaded_error", "", "", "overloaded", "overloaded_error"},
        Case{402, "billing_error", "", "", "quota", "billing_error"},
        // Google
        Case{429, "RESOURCE_EXHAUSTED", "429", "", "rate_limit", "RESOURCE_EXHAUSTED"},
        Case{400, "INVALID_ARGUMENT", "400", "API key not valid.", "auth", "INVALID_ARGUMENT"},
        Case{503, "UNAVAILABLE", "503", "", "overloaded", "UNAVAILABLE"},
        // Bedrock
        Case{400, "ValidationException:http://internal.amazon.com/coral/", "",
             "Input is too long for requested model.", "context_length", "ValidationException"},
        Case{429, "ThrottlingException", "", "", "rate_limit", "ThrottlingException"},
        Case{429, "com.amazon.bedrock#ThrottlingException:", "", "", "rate_limit", "ThrottlingException"},
        // Nothing but a status; a foreign code never becomes a label.
        Case{418, "", "", "", "invalid_request", "invalid_request"},
        Case{500, "<html>", "weird", "", "server", "server"}, Case{502, "", "", "", "server", "server"},
        Case{503, "", "", "", "overloaded", "overloaded"}, Case{504, "", "", "", "timeout", "timeout"},
        Case{403, "", "", "", "auth", "auth"}, Case{200, "", "502", "", "server", "server"}));

TEST(Classify, AnInStreamErrorWithoutCodeIsTheServers) {
  EXPECT_EQ(classify_error({.status = 200, .in_stream = true}), "server");
}

struct OutcomeCase {
  OutcomeFacts facts;
  Outcome want;
};
class Outcomes : public ::testing::TestWithParam<OutcomeCase> {};
TEST_P(Outcomes, Of) { EXPECT_EQ(outcome_for(GetParam().facts), GetParam().want) << GetParam().facts.status; }
using How = ExchangeEnd::How;
INSTANTIATE_TEST_SUITE_P(
    Cases, Outcomes,
    ::testing::Values(
        OutcomeCase{{.status = 200}, Outcome::kOk},
        OutcomeCase{{.status = 400, .error_class = "invalid_request"}, Outcome::kClientError},
        OutcomeCase{{.status = 401}, Outcome::kAuthError}, OutcomeCase{{.status = 403}, Outcome::kAuthError},
        OutcomeCase{{.status = 404}, Outcome::kNotFound}, OutcomeCase{{.status = 408}, Outcome::kTimeout},
        OutcomeCase{{.status = 429}, Outcome::kRateLimited},
        OutcomeCase{{.status = 529}, Outcome::kRateLimited},
        OutcomeCase{{.status = 400, .error_class = "content_policy"}, Outcome::kContentBlocked},
        OutcomeCase{{.status = 400, .error_class = "quota", .budget_exceeded = true},
                    Outcome::kBudgetExceeded},
        OutcomeCase{{.status = 500}, Outcome::kServerError}, OutcomeCase{{.status = 504}, Outcome::kTimeout},
        OutcomeCase{{.status = 200, .stream_error = true}, Outcome::kStreamError},
        OutcomeCase{{.status = 200, .content_blocked = true}, Outcome::kContentBlocked},
        OutcomeCase{{.status = 200, .terminal_seen = false}, Outcome::kTruncated},
        OutcomeCase{{.status = 200, .terminal_seen = false, .how = How::kClientAborted},
                    Outcome::kClientAborted},
        OutcomeCase{{.status = 200, .terminal_seen = true, .how = How::kClientAborted}, Outcome::kOk},
        OutcomeCase{{.status = 200, .terminal_seen = false, .how = How::kServerAborted}, Outcome::kTruncated},
        OutcomeCase{{.status = 200, .terminal_seen = false, .how = How::kLost}, Outcome::kOk},
        OutcomeCase{{.status = 0, .how = How::kLost}, Outcome::kOk},
        OutcomeCase{{.status = 0, .how = How::kNoResponse}, Outcome::kConnectionError},
        OutcomeCase{{.status = 0, .terminal_seen = false, .how = How::kNoResponse},
                    Outcome::kConnectionError},
        OutcomeCase{{.status = 0, .terminal_seen = false, .how = How::kClientAborted},
                    Outcome::kClientAborted},
        OutcomeCase{{.status = 0, .timed_out = true, .terminal_seen = false}, Outcome::kTimeout}));

TEST(Outcomes, Names) {
  EXPECT_EQ(outcome_name(Outcome::kOk), "ok");
  EXPECT_EQ(outcome_name(Outcome::kBudgetExceeded), "budget_exceeded");
  EXPECT_EQ(outcome_name(Outcome::kTruncated), "truncated");
}

TEST(Budget, IsRecognised) {
  EXPECT_TRUE(is_budget_error({.status = 400, .type = "budget_exceeded"}));
  EXPECT_TRUE(is_budget_error(
      {.status = 400, .message = "Budget has been exceeded! Current cost: 1, Max budget: 1"}));
  EXPECT_FALSE(is_budget_error({.status = 429, .type = "rate_limit_error"}));
}

TEST(LimitType, OfA429) {
  const auto type = [](std::string_view kind, std::string_view code, std::string_view message,
                       std::vector<RateLimit> limits = {}) {
    return limit_type_for({.status = 429, .type = kind, .code = code, .message = message}, limits);
  };
  EXPECT_EQ(type("tokens", "rate_limit_exceeded", "Limit reached on tokens per min (TPM)"), "tpm");
  EXPECT_EQ(type("requests", "rate_limit_exceeded", ""), "rpm");
  EXPECT_EQ(type("", "", "Limit reached on tokens per day (TPD): Limit 1"), "tpd");
  EXPECT_EQ(type("", "", "Rate limit exceeded for team: x. requests per minute"), "team_rpm");
  EXPECT_EQ(type("", "", "Max_parallel_requests reached"), "parallel");
  EXPECT_EQ(type("insufficient_quota", "insufficient_quota", ""), "quota");
  EXPECT_EQ(type("", "", ""), "general");
  RateLimit tokens{.kind = RateLimit::Kind::kTokens, .remaining = 0};
  EXPECT_EQ(type("", "", "", {tokens}), "tpm");
  tokens.remaining = 5;
  EXPECT_EQ(type("", "", "", {tokens}), "general");
  EXPECT_EQ(limit_type_for({.status = 200}, {}), "");
  EXPECT_EQ(limit_type_for({.status = 500}, {}), "");
}

TEST(FinishClass, OfEveryProvider) {
  for (const std::string_view raw : {"stop", "end_turn", "STOP", "eos_token", "COMPLETE"})
    EXPECT_EQ(finish_class(raw), "stop");
  for (const std::string_view raw : {"length", "MAX_TOKENS", "model_length"})
    EXPECT_EQ(finish_class(raw), "length");
  for (const std::string_view raw : {"tool_calls", "tool_use", "TOOL_CALL"})
    EXPECT_EQ(finish_class(raw), "tool");
  for (const std::string_view raw : {"SAFETY", "refusal", "guardrail_intervened"})
    EXPECT_EQ(finish_class(raw), "filter");
  for (const std::string_view raw : {"error", "MALFORMED_FUNCTION_CALL"})
    EXPECT_EQ(finish_class(raw), "error");
  for (const std::string_view raw : {"pause_turn", "anything"}) EXPECT_EQ(finish_class(raw), "other");
  for (const std::string_view raw : {"", "null"}) EXPECT_EQ(finish_class(raw), "");
}

}  // namespace
}  // namespace llmtap
