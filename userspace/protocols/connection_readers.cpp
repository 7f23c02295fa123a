// SPDX-License-Identifier: Apache-2.0
#include "protocols/connection_readers.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "protocols/codecs.h"

namespace llmtap {
namespace {

size_t index(Direction direction) { return static_cast<size_t>(direction); }
Direction other(Direction direction) { return direction == Direction::kRead ? Direction::kWrite : Direction::kRead; }

}  // namespace

struct ConnectionReaders::Reader {
  uint64_t id = 0;
  CodecContext context;
  std::unique_ptr<Codec> codec;
  Direction request_direction = Direction::kRead;  // once there is a codec
  // First bytes that do not decide yet, and when the first of them came.
  std::array<std::string, 2> first;
  std::array<uint64_t, 2> first_ns{}, first_offset{};
  std::optional<Verdict> verdict;
  std::optional<Direction> last_direction;
  bool ignored = false;
  bool counted = false;  // in the counters of protocols

  Side side(Direction direction) const { return direction == request_direction ? Side::kRequest : Side::kResponse; }
};

ConnectionReaders::ConnectionReaders(const Limits& limits, MessageSink& sink, VerdictSink& verdicts)
    : limits_(limits), sink_(sink), verdicts_(verdicts), budget_(limits.decoder_bytes) {}

ConnectionReaders::~ConnectionReaders() = default;

ConnectionReaders::Reader& ConnectionReaders::reader(const ConnectionFacts& facts) {
  Reader* entry = readers_.find(facts.id);
  if (entry == nullptr) {
    entry = &readers_.insert(facts.id, std::make_unique<Reader>());
    entry->id = facts.id;
    entry->context.limits = &limits_;
    entry->context.budget = &budget_;
    entry->context.counters = &counters_;
    entry->context.books = &books_;
    entry->context.mid_connection = !facts.first_byte_seen;
  }
  entry->context.facts = &facts;
  return *entry;
}

void ConnectionReaders::on_open(const ConnectionFacts& facts) { reader(facts); }

void ConnectionReaders::on_facts(const ConnectionFacts& facts) {
  Reader* const found = readers_.find(facts.id);
  if (found == nullptr) return;
  Reader& known = *found;
  known.context.facts = &facts;
  if (!known.codec && !known.last_direction) known.context.mid_connection = !facts.first_byte_seen;
}

void ConnectionReaders::set_verdict(Reader& reader, Verdict verdict) {
  if (reader.verdict != verdict) (verdict == Verdict::kMuted ? counters_.verdicts_muted : counters_.verdicts_wanted)++;
  reader.verdict = verdict;
  verdicts_.set_verdict(reader.id, verdict);
}

void ConnectionReaders::give_up(Reader& reader) {
  reader.ignored = true;
  reader.codec.reset();
  for (std::string& bytes : reader.first) {
    books_.lose("not_read", 0, bytes.size());
    std::string().swap(bytes);
  }
  set_verdict(reader, Verdict::kMuted);
}

void ConnectionReaders::make_codec(Reader& reader, const Protocol& protocol, Direction direction, bool asks) {
  reader.request_direction = asks ? direction : other(direction);
  reader.codec = protocol.make(reader.context);
  // What the other direction left undecided goes first: it came first.
  for (const Direction each : {other(direction), direction}) {
    const std::string bytes = std::exchange(reader.first[index(each)], {});
    if (!bytes.empty())
      feed(reader, each,
           {{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, reader.first_offset[index(each)],
            reader.first_ns[index(each)]});
  }
}

void ConnectionReaders::feed(Reader& reader, Direction direction, const StreamChunk& chunk) {
  if (!reader.codec) {
    books_.lose("not_read", 0, chunk.bytes.size());
    return;
  }
  reader.codec->feed(reader.side(direction), chunk, sink_);
  uint64_t read = chunk.bytes.size();
  const auto book = [&](uint64_t& owed, std::string_view reason) {
    const uint64_t now = std::min(owed, read);
    books_.lose(reason, 0, now);
    owed -= now;
    read -= now;
  };
  if (reader.context.resync_bytes) book(reader.context.resync_bytes, "resync");
  if (reader.context.upgraded_bytes) book(reader.context.upgraded_bytes, "upgraded");
  books_.bytes_out += read;
  if (!reader.counted && reader.codec->confirmed()) {
    reader.counted = true;
    counters_.http1_connections++;
    set_verdict(reader, Verdict::kWanted);
  }
  if (reader.codec->finished()) give_up(reader);
}

void ConnectionReaders::recognise(Reader& reader, Direction direction, const StreamChunk& chunk) {
  std::string& first = reader.first[index(direction)];
  if (first.empty()) {
    reader.first_ns[index(direction)] = chunk.time_ns;
    reader.first_offset[index(direction)] = chunk.offset;
  }
  const size_t taken = std::min(chunk.bytes.size(), kFirstBytes - first.size());
  std::string sample = first;
  sample.append(reinterpret_cast<const char*>(chunk.bytes.data()), taken);

  bool undecided = false;
  for (const Protocol* protocol : protocols()) {
    const FirstBytes answer = protocol->recognise(sample);
    undecided |= answer == FirstBytes::kMore;
    if (answer == FirstBytes::kNo || answer == FirstBytes::kMore) continue;
    if (!protocol->make) {
      counters_.*protocol->connections += 1;
      counters_.*protocol->not_read += 1;
      reader.counted = true;
      give_up(reader);
    } else {
      // The bytes decide who asks; the role may be unknown, and a wrong one must not hide a call.
      make_codec(reader, *protocol, direction, answer == FirstBytes::kRequest);
    }
    feed(reader, direction, chunk);
    return;
  }
  if (undecided) {
    first = std::move(sample);
    return;
  }
  if (!reader.context.mid_connection) {
    counters_.other_connections++;
    reader.counted = true;
    give_up(reader);
    feed(reader, direction, chunk);
    return;
  }
  // Met in the middle: these bytes may be the inside of a body. With the role known the codec looks
  // for a head within them; without, the next chunk that begins with one decides.
  const Role role = reader.context.facts->role;
  if (role != Role::kUnknown) {
    const Direction asking = role == Role::kServer ? Direction::kRead : Direction::kWrite;
    make_codec(reader, *protocols().back(), direction, asking == direction);
    feed(reader, direction, chunk);
    return;
  }
  books_.lose("unrecognised", 0, first.size() + chunk.bytes.size());
  first.clear();
}

void ConnectionReaders::on_chunk(const ConnectionFacts& facts, Direction direction, const StreamChunk& chunk) {
  Reader& known = reader(facts);
  books_.bytes_in += chunk.bytes.size();
  const bool turned = known.last_direction != direction;
  known.last_direction = direction;
  // A verdict but "wanted" holds for a turn: say it again at each.
  if (known.ignored && turned) verdicts_.set_verdict(facts.id, Verdict::kMuted);
  if (known.codec || known.ignored) feed(known, direction, chunk);
  else if (!chunk.bytes.empty()) recognise(known, direction, chunk);
}

void ConnectionReaders::on_gap(const ConnectionFacts& facts, Direction direction, uint64_t bytes, uint64_t time_ns) {
  Reader& known = reader(facts);
  if (known.codec) {
    known.codec->gap(known.side(direction), bytes, time_ns, sink_);
  } else if (!known.ignored) {
    // The first bytes are gone: what comes now may begin anywhere.
    known.context.mid_connection = true;
    for (std::string& first : known.first) {
      books_.lose("unrecognised", 0, first.size());
      first.clear();
    }
  }
}

void ConnectionReaders::on_direction_end(const ConnectionFacts& facts, Direction direction, EndReason reason,
                                         uint64_t time_ns) {
  Reader& known = reader(facts);
  if (known.codec) known.codec->end(known.side(direction), reason, time_ns, sink_);
}

void ConnectionReaders::on_end(const ConnectionFacts& facts, EndReason reason, uint64_t time_ns) {
  Reader& known = reader(facts);
  if (known.codec) {
    // By whom: this process, or its peer.
    const bool by_peer = reason == EndReason::kPeerClosed || reason == EndReason::kReset;
    const bool is_client = known.request_direction == Direction::kWrite;
    const Side closer = is_client != by_peer ? Side::kRequest : Side::kResponse;
    const Side last = closer == Side::kRequest ? Side::kResponse : Side::kRequest;
    known.codec->end(closer, reason, time_ns, sink_);
    known.codec->end(last, reason == EndReason::kEvicted ? reason : EndReason::kClosed, time_ns, sink_);
  }
  for (const std::string& first : known.first) books_.lose("unrecognised", 0, first.size());
  readers_.erase(facts.id);
}

}  // namespace llmtap
