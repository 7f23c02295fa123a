// SPDX-License-Identifier: Apache-2.0
#include "llm/providers.h"

#include <charconv>

#include "base/ascii.h"

namespace llmtap {
namespace {

bool host_matches(std::string_view host, std::string_view rule) {
  const size_t star = rule.find('*');
  if (star != std::string_view::npos) {
    const std::string_view head = rule.substr(0, star), tail = rule.substr(star + 1);
    return host.size() >= head.size() + tail.size() && iequals(host.substr(0, head.size()), head) &&
           iequals(host.substr(host.size() - tail.size()), tail);
  }
  if (rule.starts_with('.'))
    return host.size() > rule.size() && iequals(host.substr(host.size() - rule.size()), rule);
  return iequals(host, rule);
}

bool matches(const HostRule& rule, std::string_view host, uint16_t port, std::string_view path) {
  return (rule.port == 0 || rule.port == port) && path.starts_with(rule.path_prefix) &&
         host_matches(host, rule.host);
}

}  // namespace

std::span<const HostRule> builtin_host_rules() {
  // Hosts by the wire formats, section 4 to 6. Hosts that also serve a web site say what of them is
  // the API.
  static const std::vector<HostRule> kRules = {
      {"api.openai.com", "openai"},
      {".api.openai.com", "openai"},
      {"chatgpt.com", "openai", true, "/backend-api/codex/"},
      {".openai.azure.com", "azure.ai.openai"},
      {".cognitiveservices.azure.com", "azure.ai.openai", false},
      {".services.ai.azure.com", "azure.ai.inference"},
      {".models.ai.azure.com", "azure.ai.inference"},
      {"models.inference.ai.azure.com", "azure.ai.inference"},
      {"api.anthropic.com", "anthropic"},
      {"generativelanguage.googleapis.com", "gcp.gemini"},
      {"aiplatform.googleapis.com", "gcp.vertex_ai", false},
      {"*-aiplatform.googleapis.com", "gcp.vertex_ai", false},
      {"aiplatform.*.rep.googleapis.com", "gcp.vertex_ai", false},
      {"bedrock-runtime*.amazonaws.com", "aws.bedrock"},
      {"bedrock-runtime*.amazonaws.com.cn", "aws.bedrock"},
      {"bedrock-runtime*.api.aws", "aws.bedrock"},
      {"bedrock-mantle*.api.aws", "aws.bedrock"},
      {"*.bedrock-runtime.*.vpce.amazonaws.com", "aws.bedrock"},
      {"api.mistral.ai", "mistral_ai"},
      {"codestral.mistral.ai", "mistral_ai"},
      {"api.cohere.com", "cohere"},
      {"api.cohere.ai", "cohere"},
      {"api.groq.com", "groq"},
      {"api.together.ai", "together_ai"},
      {"api.together.xyz", "together_ai"},
      {"api.fireworks.ai", "fireworks_ai"},
      {"api.deepseek.com", "deepseek"},
      {"api.x.ai", "x_ai"},
      {".api.x.ai", "x_ai"},
      {"openrouter.ai", "openrouter", true, "/api/"},
      {"api.perplexity.ai", "perplexity"},
      {"dashscope*.aliyuncs.com", "dashscope"},
      {"api.moonshot.ai", "moonshot_ai"},
      {"api.moonshot.cn", "moonshot_ai"},
      {"api.z.ai", "zai", true, "/api/"},
      {"open.bigmodel.cn", "zai", true, "/api/"},
      {"api.minimax.io", "minimax"},
      {"api.cerebras.ai", "cerebras"},
      {"api.sambanova.ai", "sambanova"},
      {"api.hyperbolic.xyz", "hyperbolic"},
      {"api.deepinfra.com", "deepinfra"},
      {"api.novita.ai", "novita"},
      {"api.siliconflow.cn", "siliconflow"},
      {"api.siliconflow.com", "siliconflow"},
      {"api.voyageai.com", "voyage"},
      {"api.jina.ai", "jina"},
      {"router.huggingface.co", "huggingface"},
      {"integrate.api.nvidia.com", "nvidia_nim"},
      {"models.github.ai", "github_models"},
      {"ai-gateway.vercel.sh", "vercel"},
      {"api.portkey.ai", "portkey"},
      {"gateway.ai.cloudflare.com", "cloudflare"},
      {"*.helicone.ai", "helicone", false},
      {"*.ml.cloud.ibm.com", "ibm.watsonx.ai"},
      {"ollama.com", "ollama", false, "/api/"},
  };
  return kRules;
}

ProviderTable::ProviderTable(std::vector<HostRule> user_rules) : user_rules_(std::move(user_rules)) {}

ProviderMatch ProviderTable::match(std::string_view host, uint16_t port, std::string_view path) const {
  for (const HostRule& rule : user_rules_)
    if (matches(rule, host, port, path)) return {rule.provider, rule.api_only, rule.dialect};
  for (const HostRule& rule : builtin_host_rules())
    if (matches(rule, host, port, path)) return {rule.provider, rule.api_only, rule.dialect};
  // Ports that one server has for itself.
  if (port == 11434) return {"ollama", false};
  if (port == 1234) return {"lm_studio", false};
  return {};
}

std::string_view fallback_provider(Dialect dialect) {
  switch (dialect) {
    case Dialect::kAnthropicMessages: return "anthropic";
    case Dialect::kGeminiGenerate: return "gcp.gen_ai";
    case Dialect::kOllamaChat:
    case Dialect::kOllamaGenerate: return "ollama";
    case Dialect::kBedrockConverse: return "aws.bedrock";
    case Dialect::kCohereChat: return "cohere";
    default: return "openai_compatible";
  }
}

std::string_view split_port(std::string_view authority, uint16_t& port) {
  port = 0;
  const size_t at = authority.rfind('@');
  if (at != std::string_view::npos) authority.remove_prefix(at + 1);
  const size_t colon = authority.rfind(':');
  // The colons of "[::1]" are no port's.
  if (colon == std::string_view::npos || authority.find(']', colon) != std::string_view::npos)
    return authority;
  const std::string_view digits = authority.substr(colon + 1);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) port = 0;
  return authority.substr(0, colon);
}

}  // namespace llmtap
