// SPDX-License-Identifier: Apache-2.0
// One exchange while it is open. Internal to the call tracker.
#pragma once

#include <memory>

#include "llm/batch_results.h"
#include "llm/call_tracker.h"
#include "llm/inlined_responses.h"
#include "llm/pending_responses.h"
#include "llm/reply_reader.h"
#include "llm/request_reader.h"
#include "llm/route_template.h"

namespace llmtap {

// What a reply may hold of a batch: one result to a line (OpenAI's; Mistral's and Azure's are the same;
// Anthropic's), or Gemini's responses, in an operation or in a file.
enum class BatchForm : uint8_t { kNone, kLines, kOperation, kKeyedLines };

// What an exchange that is, or may become, an LLM call needs beyond the plain one.
struct CallState {
  LlmCall call;
  Route route;
  Dialect dialect = Dialect::kNone;
  bool dialect_by_body = false;            // by what came of the request when the call was opened
  bool provider_by_dialect = false;        // nothing else named it
  std::unique_ptr<RequestReader> request;  // until the request ends
  RequestFacts request_facts;              // once it has
  UsageNumbers header_usage;               // counts that stand in the reply's head
  std::string header_error;
  bool anthropic_header = false;
  bool json_request = false, json_reply = false;
  bool cut_request = false;
  bool websocket = false;
  bool upgrade = false, certain_upgrade = false;  // asks for a WebSocket; on a path that says it is an LLM's
  bool may_be_mcp = false;
  BatchForm batch_form = BatchForm::kNone;
  std::string batch_id;  // of a reply that may hold a batch's results
  std::unique_ptr<BatchResults> batch;
  std::unique_ptr<ReplyReader> reply;  // these end before `batch`
  std::unique_ptr<InlinedResponses> inlined;
};

class OpenExchange {
 public:
  enum class Kind : uint8_t {
    kUndecided,  // may become an LLM call
    kCall,       // opened at the sink
    kNotLlm,
  };

  HttpExchange http;
  std::unique_ptr<CallState> state;  // not for kNotLlm
  Kind kind = Kind::kUndecided;
  bool http_opened = false;
  bool mid_stream = false;  // began before the first byte that we saw
  bool request_ended = false, reply_ended = false;
  uint64_t request_scanned = 0, reply_scanned = 0;
  uint64_t connection_id = 0;
  uint64_t first_reply_ns = 0;  // 0: no byte of a reply
  Defect defect = Defect::kNone;
};

// What the end of an exchange needs beside it.
struct FinishContext {
  const CallTrackerOptions& options;
  const PriceTable* prices;
  const ClockFacts& clock;
  CallTrackerCounters& counters;
  PendingResponses& pending;
  PendingResponses& counted_batches;
  Attempts& attempts;
};

// Completes state->call from all that was read.
void complete_call(OpenExchange&, const ExchangeEnd&, const FinishContext&);

}  // namespace llmtap
