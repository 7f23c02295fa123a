// SPDX-License-Identifier: Apache-2.0
// Who serves a call. Rows of data; another OpenAI-compatible server is a row, not a file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llm/dialect.h"

namespace llmtap {

// One host pattern. `host` is compared without port, in lower case: "api.openai.com" exactly;
// ".openai.azure.com" that ending; "bedrock-runtime.*.amazonaws.com" one piece of any length.
struct HostRule {
  std::string host;
  std::string provider;              // label value, OpenTelemetry's where it has one
  bool api_only = true;              // nothing but the API lives there: any path is a call
  std::string path_prefix;           // the rule holds only below; empty: everywhere
  uint16_t port = 0;                 // the rule holds only there; 0: any
  Dialect dialect = Dialect::kNone;  // of calls whose path says nothing; kNone: their bodies say it
};

struct ProviderMatch {
  std::string provider;  // empty: no rule
  bool api_only = false;
  Dialect dialect = Dialect::kNone;
};

class ProviderTable {
 public:
  explicit ProviderTable(std::vector<HostRule> user_rules);
  // `host` without port, any case; `port` 0 if not known.
  ProviderMatch match(std::string_view host, uint16_t port, std::string_view path) const;

 private:
  std::vector<HostRule> user_rules_;
};

// The provider of a host that no rule knows, by the shape of its bodies.
std::string_view fallback_provider(Dialect);

// "api.openai.com:443" without its port; the port alone goes to `port` (0: none given).
std::string_view split_port(std::string_view authority, uint16_t& port);

std::span<const HostRule> builtin_host_rules();

}  // namespace llmtap
