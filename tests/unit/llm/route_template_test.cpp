// SPDX-License-Identifier: Apache-2.0
#include "llm/route_template.h"

#include <gtest/gtest.h>

namespace llmtap {
namespace {

struct Case {
  std::string_view method, target, route, operation, family;
  std::string_view model = {};
  bool inference = true, stream = false;
};
class Known : public ::testing::TestWithParam<Case> {};
TEST_P(Known, Path) {
  const Case& want = GetParam();
  const Route got = match_route(want.method, want.target);
  EXPECT_EQ(got.route, want.route);
  EXPECT_EQ(got.operation, want.operation);
  EXPECT_EQ(got.family, want.family);
  EXPECT_EQ(got.model_in_path, want.model);
  EXPECT_EQ(got.inference, want.inference);
  EXPECT_EQ(got.stream_in_path, want.stream);
  EXPECT_TRUE(got.known);
  EXPECT_EQ(route_template(want.method, want.target), want.route);
  EXPECT_EQ(operation_for(want.method, want.target), want.operation);
}
constexpr std::string_view kArn =
    "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-opus-5/"
    "invoke";
INSTANTIATE_TEST_SUITE_P(
    Paths, Known,
    ::testing::Values(
        Case{"POST", "/v1/chat/completions", "/v1/chat/completions", "chat", "openai_chat"},
        Case{"POST", "/chat/completions", "/v1/chat/completions", "chat", "openai_chat"},
        Case{"POST", "/openai/v1/chat/completions?api-version=1", "/v1/chat/completions", "chat",
             "openai_chat"},
        Case{"POST", "/v1/4f2a9c/my-gw/openai/chat/completions", "/v1/chat/completions", "chat",
             "openai_chat"},
        Case{"POST", "https://api.openai.com/v1/chat/completions", "/v1/chat/completions", "chat",
             "openai_chat"},
        Case{"GET", "/v1/chat/completions", "/v1/chat/completions", "other", "openai_management", "", false},
        Case{"POST", "/v1/completions", "/v1/completions", "text_completion", "openai_text"},
        Case{"POST", "/v1/responses", "/v1/responses", "responses", "openai_responses"},
        Case{"GET", "/v1/responses", "/v1/responses#ws", "responses", "openai_responses"},
        Case{"POST", "/backend-api/codex/responses", "/v1/responses", "responses", "openai_responses"},
        Case{"GET", "/v1/responses/resp_68ab?stream=true", "/v1/responses/{id}", "responses",
             "openai_responses", "", false},
        Case{"POST", "/v1/responses/resp_68ab/cancel", "/v1/responses/{id}/cancel", "responses",
             "openai_responses", "", false},
        Case{"POST", "/v1/responses/input_tokens", "/v1/responses/input_tokens", "count_tokens",
             "openai_responses", "", false},
        Case{"POST", "/v1/responses/compact", "/v1/responses/compact", "responses", "openai_responses"},
        Case{"GET", "/v1/conversations/conv_1/items/msg_2", "/v1/conversations/{id}/items/{id}", "other",
             "openai_management", "", false},
        Case{"POST", "/v1/embeddings", "/v1/embeddings", "embeddings", "openai_embeddings"},
        Case{"POST", "/v1/images/generations", "/v1/images/generations", "image_generation", "openai_image"},
        Case{"POST", "/v1/audio/transcriptions", "/v1/audio/transcriptions", "audio_transcription",
             "openai_audio"},
        Case{"POST", "/v1/audio/speech", "/v1/audio/speech", "audio_speech", "openai_audio"},
        Case{"POST", "/v1/moderations", "/v1/moderations", "moderation", "openai_moderation"},
        Case{"GET", "/v1/files/file-abc/content", "/v1/files/{id}/content", "files", "openai_management", "",
             false},
        Case{"GET", "/v1/batches/batch_1", "/v1/batches/{id}", "batches", "openai_management", "", false},
        Case{"GET", "/v1/models/gpt-5.5", "/v1/models/{id}", "models", "openai_management", "", false},
        Case{"GET", "/v1/models", "/v1/models", "models", "openai_management", "", false},
        Case{"POST", "/v1/threads/thread_a/runs/run_b/cancel", "/v1/threads/{id}/runs/{id}/cancel", "other",
             "openai_management", "", false},
        Case{"GET", "/v1/realtime?model=gpt-realtime-2", "/v1/realtime", "realtime", "openai_realtime"},
        Case{"POST", "/openai/deployments/my%20dep/chat/completions?api-version=2025-01-01",
             "/openai/deployments/{d}/chat/completions", "chat", "openai_chat", "my dep"},
        Case{"POST", "/v1/messages?beta=true", "/v1/messages", "messages", "anthropic"},
        Case{"POST", "/anthropic/v1/messages", "/v1/messages", "messages", "anthropic"},
        Case{"POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens", "count_tokens", "anthropic",
             "", false},
        Case{"GET", "/v1/messages/batches/msgbatch_1/results", "/v1/messages/batches/{id}/results", "batches",
             "anthropic", "", false},
        Case{"POST", "/v1beta/models/gemini-2.5-pro:generateContent", "/v1beta/models/{m}:generateContent",
             "generate_content", "gemini", "gemini-2.5-pro"},
        Case{"POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse&key=k",
             "/v1beta/models/{m}:streamGenerateContent", "generate_content", "gemini", "gemini-2.5-pro", true,
             true},
        Case{"POST", "/v1beta/models/x:countTokens", "/v1beta/models/{m}:countTokens", "count_tokens",
             "gemini", "x", false},
        Case{"POST", "/v1beta/models/x:batchEmbedContents", "/v1beta/models/{m}:batchEmbedContents",
             "embeddings", "gemini", "x"},
        Case{"POST", "/v1beta/models/x:asyncBatchEmbedContent", "/v1beta/models/{m}:asyncBatchEmbedContent",
             "batches", "gemini", "x", false},
        Case{"POST",
             "/v1/projects/my-p/locations/us/publishers/anthropic/models/"
             "claude-opus-5@20260101:streamRawPredict",
             "/v1/projects/{p}/locations/{l}/publishers/{pub}/models/{m}:streamRawPredict", "messages",
             "anthropic", "claude-opus-5@20260101", true, true},
        Case{"POST", "/v1/projects/p/locations/l/endpoints/123:predict",
             "/v1/projects/{p}/locations/{l}/endpoints/{id}:predict", "generate_content", "gemini"},
        Case{"POST", "/v1beta/interactions", "/v1beta/interactions", "generate_content",
             "gemini_interactions"},
        Case{"POST", "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse", "/model/{m}/converse",
             "converse", "bedrock_converse", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"},
        Case{"POST", kArn, "/model/{m}/invoke", "chat", "bedrock_invoke", "us.anthropic.claude-opus-5"},
        Case{"POST", "/model/m/invoke-with-response-stream", "/model/{m}/invoke-with-response-stream", "chat",
             "bedrock_invoke", "m", true, true},
        Case{"POST", "/api/chat", "/api/chat", "chat", "ollama"},
        Case{"POST", "/api/generate", "/api/generate", "text_completion", "ollama"},
        Case{"POST", "/v2/chat", "/v2/chat", "chat", "cohere"},
        Case{"POST", "/v2/rerank", "/v2/rerank", "rerank", "cohere"},
        Case{"POST", "/api/v1/services/aigc/text-generation/generation", "/api/v1/services/aigc/{task}/{fn}",
             "chat", "dashscope"},
        Case{"POST", "/generate_stream", "/generate_stream", "text_completion", "generate", "", true, true},
        Case{"POST", "/v2/models/llama/versions/1/generate", "/v2/models/{m}/versions/{n}/generate",
             "text_completion", "triton", "llama"},
        Case{"POST", "/completion", "/completion", "text_completion", "llama_cpp"},
        Case{"POST", "/api/v1/chat", "/api/v1/chat", "chat", "lm_studio"},
        Case{"POST", "/github/mcp", "/mcp", "mcp", "mcp", "", false}));

struct Generic {
  std::string_view target, route;
};
class Heuristic : public ::testing::TestWithParam<Generic> {};
TEST_P(Heuristic, Template) {
  const Route got = match_route("POST", GetParam().target);
  EXPECT_EQ(got.route, GetParam().route);
  EXPECT_EQ(got.operation, "other");
  EXPECT_FALSE(got.known);
}
INSTANTIATE_TEST_SUITE_P(
    Paths, Heuristic,
    ::testing::Values(
        Generic{"/", "/"}, Generic{"", "other"}, Generic{"*", "other"}, Generic{"host:443", "other"},
        Generic{"//healthz/", "/healthz"}, Generic{"/users/42/orders?x=1", "/users/{id}/orders"},
        Generic{"/u/0b8a7c1e-1111-4222-8333-abcdefabcdef", "/u/{id}"},
        Generic{"/u/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/u/{id}"}, Generic{"/c/deadbeef01", "/c/{id}"},
        Generic{"/c/defaced", "/c/defaced"}, Generic{"/t/Zm9vYmFyYmF6cXV4MQ", "/t/{id}"},
        Generic{"/x/resp_68ab12cd", "/x/{id}"}, Generic{"/x/jane%40example.com", "/x/{id}"},
        Generic{"/x/jane@example.com", "/x/{id}"}, Generic{"/x/sk-abcdefghijkl", "/x/{id}"},
        Generic{"/management/audit-log-entries", "/management/audit-log-entries"},
        // Ordinary applications use these words too.
        Generic{"/api/messages", "/api/messages"}, Generic{"/app/files/report", "/app/files/report"},
        Generic{"/shop/completions", "/shop/completions"}, Generic{"/app/generate", "/app/generate"}));

TEST(Route, IsBounded) {
  std::string target;
  for (int i = 0; i < 1000; ++i) target += "/segment";
  const Route route = match_route("GET", target);
  EXPECT_LE(route.route.size(), 128u);
  EXPECT_TRUE(route.route.ends_with("/{*}")) << route.route;
  EXPECT_EQ(match_route("GET", "/" + std::string(100'000, 'a')).route, "/{id}");
}

TEST(PathOf, DropsEverythingElse) {
  EXPECT_EQ(path_of("/a?b#c"), "/a");
  EXPECT_EQ(path_of("http://h/a?x=http://y/z"), "/a");
  EXPECT_EQ(path_of("http://h"), "/");
  EXPECT_EQ(path_of("/a?x=http://y/z"), "/a");
}

}  // namespace
}  // namespace llmtap
