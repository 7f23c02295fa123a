// SPDX-License-Identifier: Apache-2.0
#include "pipeline/evidence_book.h"

namespace llmtap {

void EvidenceBook::see(ProcessKey process) {
  if (!sink_ || process.tgid == 0) return;
  if (told_.size() >= limits_.connections) told_.clear();
  if (told_.insert(process).second) sink_(process);
}

void EvidenceBook::on_call(const LlmCall& call) {
  if (call.process) see(call.process->key);
}

void EvidenceBook::on_hello(const ConnectionFacts& facts) {
  // A server's own port says nothing of the host that it is asked for.
  const bool asks = facts.role != Role::kServer && facts.has_addresses;
  if (!providers_.match(facts.sni, asks ? facts.remote.port : uint16_t{0}, "").provider.empty())
    see(facts.process);
}

}  // namespace llmtap
