// SPDX-License-Identifier: Apache-2.0
// A finished call as lines of text, for comparing.
#pragma once

#include <sstream>
#include <string>

#include "llm/error_class.h"
#include "llmtap/llm_call.h"

namespace llmtap::test {

inline std::string call_text(const LlmCall& c) {
  std::ostringstream out;
  const auto optional = [](const auto& value) {
    std::ostringstream text;
    text.precision(10);
    if (value)
      text << *value;
    else
      text << "-";
    return text.str();
  };
  static constexpr const char* kTokenSources[] = {"none", "reported", "gateway", "estimated"};
  static constexpr const char* kCostSources[] = {"none", "header", "table"};
  out << "\nprovider=" << c.provider << "\noperation=" << c.operation << "\ndialect=" << c.dialect
      << "\nroute=" << c.route << "\npath=" << c.path << "\nhost=" << c.host
      << "\nrequested_model=" << c.requested_model << "\nresponse_model=" << c.response_model
      << "\nstream=" << c.stream << "\nmax_tokens=" << optional(c.max_tokens)
      << "\ntemperature=" << optional(c.temperature) << "\nstatus=" << c.status
      << "\noutcome=" << outcome_name(c.outcome) << "\nerror=" << c.error_class << "," << c.error_code
      << "\nlimit_type=" << c.limit_type;
  out << "\nfinish=" << c.finish_class << ",";
  for (size_t i = 0; i < c.finish_reasons.size(); ++i) out << (i ? "," : "") << c.finish_reasons[i];
  out << "\ntools=" << c.tool_calls << " ";
  for (size_t i = 0; i < c.tool_names.size(); ++i) out << (i ? "," : "") << c.tool_names[i];
  out << "\nabort=" << int(c.abort) << "\nincomplete=" << int(c.incomplete)
      << "\nresponse_id=" << c.response_id << "\nrequest_id=" << c.request_id << "\ntrace_id=" << c.trace_id
      << "\nprevious=" << c.previous_response_id << "\nconversation=" << c.conversation_id
      << "\nservice_tier=" << c.service_tier << "\nfingerprint=" << c.fingerprint
      << "\nbytes=" << c.request_bytes << "/" << c.response_bytes << "\nchunks=" << c.stream_chunks << "/"
      << c.content_chunks;
  out << "\ntokens=" << optional(c.tokens.input) << "/" << optional(c.tokens.output);
  const auto extra = [&](const char* name, const std::optional<uint64_t>& value) {
    if (value) out << " " << name << "=" << *value;
  };
  extra("cached", c.tokens.cached);
  extra("write", c.tokens.cache_write);
  extra("write1h", c.tokens.cache_write_1h);
  extra("reasoning", c.tokens.reasoning);
  extra("audio_in", c.tokens.input_audio);
  extra("audio_out", c.tokens.output_audio);
  extra("image_in", c.tokens.input_image);
  extra("image_out", c.tokens.output_image);
  out << " " << kTokenSources[int(c.tokens.source)] << "\ncost=" << optional(c.cost_usd) << " "
      << kCostSources[int(c.cost_source)] << "\nprice_missing=" << c.price_missing
      << "\ngateway=" << c.gateway.name << "," << c.gateway.model_group << "," << c.gateway.model_id
      << "\ngateway_call=" << c.gateway.call_id << "," << c.gateway.provider << ","
      << (c.gateway.cache_hit ? (*c.gateway.cache_hit ? "hit" : "miss") : "") << "\nmcp=" << c.mcp_method
      << "," << c.mcp_tool << "\nbatch_results=" << c.batch_results << "\nretry_of=" << c.retry_of
      << "\nsdk_retries=" << c.sdk_retry_count << "\nchoices=" << optional(c.choice_count)
      << "\ngaps=" << c.gaps.total;
  const auto ms = [](uint64_t ns) { return ns / 1'000'000; };
  out << "\nrequest_ms=" << ms(c.request_start_ns) << "-" << ms(c.request_end_ns)
      << "\nresponse_start_ms=" << ms(c.response_start_ns) << "\nfirst_body_ms=" << ms(c.first_body_ns)
      << "\nfirst_content_ms=" << ms(c.first_content_ns)
      << "\nfirst_reasoning_ms=" << ms(c.first_reasoning_ns) << "\nfirst_tool_ms=" << ms(c.first_tool_ns)
      << "\nfirst_token_ms=" << ms(c.first_token_ns) << "\nlast_token_ms=" << ms(c.last_token_ns)
      << "\nend_ms=" << ms(c.end_ns) << "\nwall=" << c.start_wall_ns << "-" << c.end_wall_ns << "\n";
  return out.str();
}

}  // namespace llmtap::test
