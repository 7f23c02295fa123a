// SPDX-License-Identifier: Apache-2.0
#include "llm/error_class.h"

#include <algorithm>

#include "base/ascii.h"

namespace llmtap {

namespace {

struct Row {
  std::string_view text, name;
};

// Codes and types of all providers. Together they are the closed list of error_type.
constexpr Row kCodes[] = {
    // OpenAI and relatives.
    {"rate_limit_exceeded", "rate_limit"},
    {"tokens", "rate_limit"},
    {"requests", "rate_limit"},
    {"insufficient_quota", "quota"},
    {"billing_hard_limit_reached", "quota"},
    {"billing_not_active", "quota"},
    {"context_length_exceeded", "context_length"},
    {"exceed_context_size_error", "context_length"},
    {"string_above_max_length", "context_length"},
    {"content_policy_violation", "content_policy"},
    {"moderation_blocked", "content_policy"},
    {"invalid_prompt", "content_policy"},
    {"content_filter", "content_policy"},
    {"ResponsibleAIPolicyViolation", "content_policy"},
    {"policy_violation", "content_policy"},
    {"invalid_api_key", "auth"},
    {"unsupported_country_region_territory", "auth"},
    {"account_deactivated", "auth"},
    {"model_not_found", "not_found"},
    {"DeploymentNotFound", "not_found"},
    {"unsupported_value", "invalid_request"},
    {"invalid_value", "invalid_request"},
    {"unsupported_parameter", "invalid_request"},
    {"missing_required_parameter", "invalid_request"},
    {"unknown_parameter", "invalid_request"},
    {"json_validate_failed", "invalid_request"},
    {"server_error", "server"},
    {"internal_error", "server"},
    {"slow_down", "overloaded"},
    {"server_overloaded", "overloaded"},
    {"overloaded", "overloaded"},
    {"unavailable_error", "overloaded"},
    // Anthropic.
    {"rate_limit_error", "rate_limit"},
    {"billing_error", "quota"},
    {"enforced_spend_limit_reached", "quota"},
    {"contract_spend_limit_reached", "quota"},
    {"authentication_error", "auth"},
    {"permission_error", "auth"},
    {"not_found_error", "not_found"},
    {"timeout_error", "timeout"},
    {"request_too_large", "invalid_request"},
    {"api_error", "server"},
    {"overloaded_error", "overloaded"},
    {"invalid_request_error", "invalid_request"},
    // Google.
    {"RESOURCE_EXHAUSTED", "rate_limit"},
    {"API_KEY_INVALID", "auth"},
    {"UNAUTHENTICATED", "auth"},
    {"PERMISSION_DENIED", "auth"},
    {"NOT_FOUND", "not_found"},
    {"INTERNAL", "server"},
    {"UNAVAILABLE", "overloaded"},
    {"DEADLINE_EXCEEDED", "timeout"},
    {"FAILED_PRECONDITION", "invalid_request"},
    {"CANCELLED", "client_aborted"},
    {"INVALID_ARGUMENT", "invalid_request"},
    // AWS, without their namespace and "Exception".
    {"ThrottlingException", "rate_limit"},
    {"ModelNotReadyException", "overloaded"},
    {"ServiceQuotaExceededException", "quota"},
    {"AccessDeniedException", "auth"},
    {"UnrecognizedClientException", "auth"},
    {"ExpiredTokenException", "auth"},
    {"ResourceNotFoundException", "not_found"},
    {"ModelTimeoutException", "timeout"},
    {"ModelErrorException", "server"},
    {"ModelStreamErrorException", "server"},
    {"InternalServerException", "server"},
    {"ServiceUnavailableException", "overloaded"},
    {"ValidationException", "invalid_request"},
    // Gateways and inference servers.
    {"budget_exceeded", "quota"},
    {"throttling_error", "rate_limit"},
    {"auth_error", "auth"},
    {"Throttling", "rate_limit"},
    {"Throttling.RateQuota", "rate_limit"},
    {"Arrearage", "quota"},
    {"DataInspectionFailed", "content_policy"},
    {"InvalidApiKey", "auth"},
    {"BadRequestError", "invalid_request"},
    {"NotFoundError", "not_found"},
    {"InternalServerError", "server"},
    {"validation", "invalid_request"},
    {"incomplete_generation", "server"},
    {"generation", "server"},
};
// Types that say no more than the status: a phrase of the message may know better.
constexpr std::string_view kVague[] = {"invalid_request_error", "INVALID_ARGUMENT", "ValidationException",
                                       "BadRequestError",       "validation",       "FAILED_PRECONDITION"};

struct Phrase {
  std::string_view text, name;
};
constexpr Phrase kPhrases[] = {
    {"prompt is too long", "context_length"},
    {"input is too long", "context_length"},
    {"maximum context length", "context_length"},
    {"longer than the model's context length", "context_length"},  // SGLang
    {"context window", "context_length"},
    {"exceeds the maximum number of tokens", "context_length"},
    {"too many input tokens", "context_length"},
    {"exceed context limit", "context_length"},
    {"API key not valid", "auth"},
    {"content management policy", "content_policy"},
    {"Violated guardrail policy", "content_policy"},
    {"content filter", "content_policy"},
    {"credit balance is too low", "quota"},
    {"exceeded your current quota", "quota"},
};

const Row* find_code(std::string_view text) {
  // "ValidationException:http://…" and "com.amazon.coral#ThrottlingException"
  text = text.substr(0, text.find(':'));
  if (const size_t at = text.rfind('#'); at != std::string_view::npos) text.remove_prefix(at + 1);
  if (text.empty()) return nullptr;
  const auto* at = std::ranges::find(kCodes, text, &Row::text);
  // AWS writes the same names with a small letter in frames: "throttlingException".
  if (at == std::end(kCodes) && text.ends_with("Exception"))
    at = std::ranges::find_if(kCodes, [text](const Row& row) { return iequals(row.text, text); });
  return at == std::end(kCodes) ? nullptr : at;
}

bool is_vague(const Row& row) { return std::ranges::find(kVague, row.text) != std::end(kVague); }

std::string_view by_phrase(std::string_view message) {
  // Bounded: the phrases stand at the begin of messages, and a message can quote a whole prompt.
  message = message.substr(0, 2048);
  for (const Phrase& phrase : kPhrases)
    if (icontains(message, phrase.text)) return phrase.name;
  return {};
}

std::string_view by_status(int status) {
  switch (status) {
    case 401:
    case 403: return "auth";
    case 402: return "quota";
    case 404:
    case 410: return "not_found";
    case 408:
    case 504:
    case 524: return "timeout";
    case 429: return "rate_limit";
    case 499: return "client_aborted";
    case 503:
    case 529: return "overloaded";
    default: break;
  }
  if (status >= 500 && status < 600) return "server";
  if (status >= 400) return "invalid_request";
  return {};
}

// Azure and Gemini put the status into the code.
int status_in(std::string_view code) {
  const auto number = parse_integer<int>(code);
  return number && *number >= 400 && *number <= 599 ? *number : 0;
}

bool failed(const ErrorFacts& facts) {
  return facts.status >= 400 || facts.in_stream || !facts.type.empty() || !facts.code.empty();
}

}  // namespace

std::string_view classify_error(const ErrorFacts& facts) {
  if (!failed(facts)) return {};
  const Row* code = find_code(facts.code);
  const Row* type = find_code(facts.type);
  // "insufficient_quota" comes as type of OpenAI's and as code of others, with status 429 either way.
  for (const Row* row : {code, type})
    if (row && row->name == "quota") return row->name;
  for (const Row* row : {code, type})
    if (row && !is_vague(*row)) return row->name;
  if (const auto phrase = by_phrase(facts.message); !phrase.empty()) return phrase;
  // No balance, whatever the code: DeepSeek says invalid_request_error.
  if (facts.status == 402) return "quota";
  for (const Row* row : {code, type})
    if (row) return row->name;
  if (const auto name = by_status(status_in(facts.code)); !name.empty()) return name;
  if (const auto name = by_status(facts.status); !name.empty()) return name;
  return "server";
}

std::string_view classify(int status, std::string_view type, std::string_view code,
                          std::string_view message_hint) {
  return classify_error({.status = status, .type = type, .code = code, .message = message_hint});
}

std::string error_type_label(const ErrorFacts& facts, std::string_view error_class) {
  for (const std::string_view text : {facts.code, facts.type})
    if (const Row* row = find_code(text)) return std::string(row->text);
  if (!error_class.empty()) return std::string(error_class);
  return facts.status >= 400 && facts.status < 600 ? std::to_string(facts.status) : std::string();
}

bool is_budget_error(const ErrorFacts& facts) {
  return facts.type == "budget_exceeded" || facts.code == "budget_exceeded" ||
         icontains(facts.message.substr(0, 512), "budget has been exceeded") ||
         icontains(facts.message.substr(0, 512), "exceeded budget");
}

Outcome outcome_for(const OutcomeFacts& facts) {
  using How = ExchangeEnd::How;
  const int status = facts.status;
  if (status == 0) {
    // The reply passed where we could not see it, or the probe ended: no error of the provider's.
    if (facts.how == How::kLost) return Outcome::kOk;
    if (facts.timed_out) return Outcome::kTimeout;
    return facts.how == How::kClientAborted ? Outcome::kClientAborted : Outcome::kConnectionError;
  }
  const bool refused = status >= 400;
  if (refused && facts.budget_exceeded) return Outcome::kBudgetExceeded;
  if (refused && facts.error_class == "content_policy") return Outcome::kContentBlocked;
  if (status == 401 || status == 403) return Outcome::kAuthError;
  if (status == 404) return Outcome::kNotFound;
  if (status == 408 || status == 504) return Outcome::kTimeout;
  if (status == 429 || status == 529) return Outcome::kRateLimited;
  if (status == 499) return Outcome::kClientAborted;
  if (status >= 500) return Outcome::kServerError;
  if (refused) return Outcome::kClientError;
  // A 2xx head: the rest of the exchange decides.
  if (facts.stream_error)
    return facts.error_class == "content_policy" ? Outcome::kContentBlocked : Outcome::kStreamError;
  if (facts.content_blocked) return Outcome::kContentBlocked;
  if (facts.terminal_seen) return Outcome::kOk;
  if (facts.timed_out) return Outcome::kTimeout;
  if (facts.how == How::kClientAborted) return Outcome::kClientAborted;
  // What we lost ourselves, or could not follow, says nothing about the call.
  if (facts.how == How::kLost || facts.how == How::kUpgraded) return Outcome::kOk;
  return Outcome::kTruncated;
}

std::string_view outcome_name(Outcome outcome) {
  constexpr std::string_view kNames[] = {
      "ok",        "client_error", "auth_error", "rate_limited",     "content_blocked", "budget_exceeded",
      "not_found", "server_error", "timeout",    "connection_error", "client_aborted",  "stream_error",
      "truncated"};
  const auto index = static_cast<size_t>(outcome);
  return index < std::size(kNames) ? kNames[index] : "ok";
}

std::string limit_type_for(const ErrorFacts& facts, std::span<const RateLimit> limits) {
  const auto error_class = classify_error(facts);
  if (facts.status != 429 && error_class != "rate_limit") return {};
  if (error_class == "quota") return "quota";
  const std::string_view message = facts.message.substr(0, 2048);
  const auto says = [&](std::string_view text) { return icontains(message, text); };

  std::string_view base;
  if (says("max_parallel_requests") || says("parallel request"))
    base = "parallel";
  else if (says("tokens per day") || says("(TPD)"))
    base = "tpd";
  else if (says("requests per day") || says("(RPD)"))
    base = "rpd";
  else if (says("tokens per min") || says("(TPM)") || says("tpm limit") || says("limit type: tokens"))
    base = "tpm";
  else if (says("requests per min") || says("(RPM)") || says("rpm limit") || says("limit type: requests"))
    base = "rpm";
  else if (facts.type == "tokens" || facts.code == "tokens")
    base = "tpm";
  else if (facts.type == "requests" || facts.code == "requests")
    base = "rpm";
  if (base.empty())
    for (const RateLimit& limit : limits)
      if (limit.remaining && *limit.remaining <= 0) {
        base = limit.kind == RateLimit::Kind::kRequests ? "rpm" : "tpm";
        break;
      }
  if (base.empty()) base = "general";
  // LiteLLM: "Rate limit exceeded for team: …", "… for user: …"
  std::string_view scope;
  if (says("for team") || says("team_member"))
    scope = "team_";
  else if (says("for user:") || says("for end_user") || says("for customer"))
    scope = "user_";
  return std::string(scope).append(base);
}

}  // namespace llmtap
