// SPDX-License-Identifier: Apache-2.0
// From a request's method and target to a bounded route label and what the API does there.
#pragma once

#include <string>
#include <string_view>

namespace llmtap {

struct Route {
  // Template without query, ids, model names or deployments; ≤ 128 printable bytes. Of a known API the
  // table's own (prefixes of gateways and base URLs are left out), else the path with ids as "{id}".
  std::string route;
  // chat, text_completion, embeddings, responses, messages, generate_content, converse, rerank,
  // image_generation, audio_speech, audio_transcription, moderation, batches, files, realtime, models,
  // count_tokens, mcp, other.
  std::string_view operation = "other";
  // Wire format family: openai_chat, openai_text, openai_responses, openai_embeddings, openai_image,
  // openai_audio, openai_moderation, openai_realtime, openai_management, anthropic, gemini,
  // gemini_interactions, bedrock_converse, bedrock_invoke, ollama, cohere, dashscope, generate (TGI or
  // SGLang, the body decides), triton, llama_cpp, lm_studio, rerank, mcp; empty: not known.
  std::string_view family;
  // A path of the table. The route alone does not prove an LLM call (`/generate`, `/completion`).
  bool known = false;
  // The request asks for (or is) a model run, as opposed to management, counts and lookups.
  bool inference = false;
  // Only the path says so: Gemini's and Bedrock's stream verbs, TGI's generate_stream.
  bool stream_in_path = false;
  // Model or deployment segment of the path, percent-decoded once, the part after the last '/' of an
  // ARN; ≤ 256 bytes; empty: not in the path.
  std::string model_in_path;
};

// `target` as sent: origin form, absolute form, or anything else (gives "other").
Route match_route(std::string_view method, std::string_view target);

// match_route(…).route and .operation.
std::string route_template(std::string_view method, std::string_view target);
std::string_view operation_for(std::string_view method, std::string_view target);

// The path of a target: without scheme, authority, query and fragment.
std::string_view path_of(std::string_view target);

}  // namespace llmtap
