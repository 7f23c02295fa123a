// SPDX-License-Identifier: Apache-2.0
// From HTTP exchanges to LLM calls: recognises them without configuration (host, path, body shape,
// reply shape), reads what a call needs while the bodies flow, and hands on one LlmCall per call and
// one HttpExchange per exchange. Holds no body bytes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/flat_map.h"
#include "base/stats.h"
#include "llm/attempts.h"
#include "llm/pending_responses.h"
#include "llm/price_rules.h"
#include "llm/providers.h"
#include "llm/reply_record.h"
#include "llm/workload_roles.h"
#include "llmtap/limits.h"
#include "llmtap/message.h"
#include "llmtap/sink.h"
#include "llmtap/verdict.h"

namespace llmtap {

using ProcessLookup = std::function<std::shared_ptr<const ProcessFacts>(ProcessKey)>;

struct CallTrackerOptions {
  std::vector<HostRule> hosts;                 // the user's rows: before the built-in ones
  std::vector<std::string> watched_workloads;  // targets.include: watched whatever their role
  std::vector<std::string> end_user_headers;   // lower case; more names that carry the end user
  PriceRules prices;
  bool count_estimated_cost = false;  // calls whose tokens are estimates have a price, too
  // A client that closes without having got a byte gave up waiting (timeout) after this long, and
  // cancelled before.
  double patience_seconds = 30;
};

struct CallTrackerCounters {
  uint64_t exchanges = 0;
  uint64_t calls_opened = 0, calls_finished = 0;
  uint64_t by_path = 0, by_body = 0, by_reply = 0;  // what made it a call
  uint64_t not_llm = 0;                             // exchanges finished without being one
  uint64_t exchanges_refused = 0;                   // table full
  uint64_t tokens_estimated = 0, price_missing = 0;
  uint64_t bodies_malformed = 0;  // JSON expected, not found
};

class OpenExchange;

class CallTracker : public MessageSink {
 public:
  CallTracker(const Limits&, const CallTrackerOptions&, ProcessLookup, CallSink&, VerdictSink&);
  ~CallTracker() override;
  CallTracker(const CallTracker&) = delete;
  CallTracker& operator=(const CallTracker&) = delete;

  void on_request_head(const ConnectionFacts&, ExchangeId, const RequestHead&) override;
  void on_response_head(const ConnectionFacts&, ExchangeId, const ResponseHead&) override;
  void on_body(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t time_ns) override;
  void on_event_data(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t time_ns) override;
  void on_event_end(ExchangeId, Side, const EventEnd&) override;
  void on_whole_event(ExchangeId, Side, std::span<const uint8_t> bytes, const EventEnd&) override;
  void on_message_end(ExchangeId, Side, const MessageEnd&) override;
  void on_exchange_end(ExchangeId, const ExchangeEnd&) override;

  // Passes the clock on to the sink, too.
  void on_clock(const ClockFacts&);
  // Calls that finish from now on are priced by this table.
  void set_prices(std::shared_ptr<const PriceTable> prices) { prices_ = std::move(prices); }
  const PriceTable* prices() const { return prices_.get(); }
  // Finishes every open exchange as lost: shutdown, end of a replay.
  void finish_all(uint64_t time_ns);

  // bytes_out were read for a call; bytes of other exchanges are lost as "not_llm".
  const StageBooks& books() const { return books_; }
  const CallTrackerCounters& counters() const { return counters_; }
  size_t open_exchanges() const { return open_.size(); }

 private:
  struct ExchangeHash {
    size_t operator()(const ExchangeId& id) const { return IdHash{}(id.connection + (id.number << 40)); }
  };
  OpenExchange* find(ExchangeId);
  OpenExchange* add(const ConnectionFacts&, ExchangeId);
  void body(ExchangeId, Side, std::span<const uint8_t> bytes, uint64_t time_ns, bool event);
  void open_if_recognised(OpenExchange&);
  void give_up(OpenExchange&, Verdict unwatched = Verdict::kTimes);
  void finish(OpenExchange&, const ExchangeEnd&);

  const Limits limits_;
  const CallTrackerOptions options_;
  const ProviderTable providers_;
  ProcessLookup process_;
  CallSink& sink_;
  VerdictSink& verdicts_;
  std::shared_ptr<const PriceTable> prices_;
  ClockFacts clock_;
  WorkloadRoles roles_;
  RecordPool records_;  // of all open replies: before open_
  StageBooks books_;
  CallTrackerCounters counters_;
  PendingResponses pending_, counted_batches_;
  Attempts attempts_;
  FlatMap<ExchangeId, OpenExchange, ExchangeHash> open_;
  // Bodies come in runs of one exchange.
  ExchangeId last_id_;
  OpenExchange* last_ = nullptr;
};

}  // namespace llmtap
