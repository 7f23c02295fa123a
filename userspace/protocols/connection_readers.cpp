// SPDX-License-Identifier: Apache-2.0
#include "protocols/connection_readers.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "protocols/codecs.h"

namespace llmtap {
namespace {

// A probe that sheds load does not look longer at what is no LLM call.
constexpr size_t kMuteSoonerAfter = 2;

size_t index(Direction direction) { return static_cast<size_t>(direction); }
Direction other(Direction direction) {
  return direction == Direction::kRead ? Direction::kWrite : Direction::kRead;
}

}  // namespace

struct ConnectionReaders::Reader {
  uint64_t id = 0;
  CodecContext context;
  const ConnectionFacts* given = nullptr;
  // Nobody saw the connection begin, but who asks on it shows: its facts with that role.
  std::unique_ptr<ConnectionFacts> with_role;
  std::unique_ptr<Codec> codec;
  const Protocol* protocol = nullptr;              // of the codec, or of the one before it was muted
  Direction request_direction = Direction::kRead;  // once there is a codec
  // First bytes that do not decide yet, and when the first of them came.
  std::array<std::string, 2> first;
  std::array<uint64_t, 2> first_ns{}, first_offset{};
  std::optional<Verdict> verdict;
  Verdict placed_verdict = Verdict::kUndecided;  // in the counts of open connections
  std::string_view placed_protocol = "unknown";
  std::optional<Direction> last_direction;
  bool ignored = false;
  bool counted = false;  // in the counters of protocols
  // Of a protocol that carries many exchanges: whether one of them was an LLM call, and how many were
  // none since the connection was last looked at.
  bool evidence = false;
  size_t other_exchanges = 0;
  uint64_t resample_ns = 0, muted_until_ns = 0;  // the next pause; 0: not muted

  Side side(Direction direction) const {
    return direction == request_direction ? Side::kRequest : Side::kResponse;
  }

  void use(const ConnectionFacts& facts) {
    given = context.facts = &facts;
    if (facts.role != Role::kUnknown || !protocol) return;
    if (!with_role) with_role = std::make_unique<ConnectionFacts>();
    *with_role = facts;
    with_role->role = request_direction == Direction::kRead ? Role::kServer : Role::kClient;
    context.facts = with_role.get();
  }
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
    ++open_counts_[{entry->placed_verdict, entry->placed_protocol}];
  }
  entry->use(facts);
  return *entry;
}

void ConnectionReaders::on_open(const ConnectionFacts& facts) { reader(facts); }

void ConnectionReaders::on_facts(const ConnectionFacts& facts) {
  Reader* const found = readers_.find(facts.id);
  if (found == nullptr) return;
  Reader& known = *found;
  known.use(facts);
  if (!known.codec && !known.last_direction) known.context.mid_connection = !facts.first_byte_seen;
}

void ConnectionReaders::place(Reader& reader, Verdict verdict, std::string_view protocol) {
  if (reader.placed_verdict == verdict && reader.placed_protocol == protocol) return;
  --open_counts_[{reader.placed_verdict, reader.placed_protocol}];
  reader.placed_verdict = verdict;
  reader.placed_protocol = protocol;
  ++open_counts_[{verdict, protocol}];
}

bool ConnectionReaders::reads_port(const ConnectionFacts& facts) const {
  if (plain_ports_.empty() || facts.tls() || !facts.has_addresses) return true;
  return std::ranges::any_of(
      plain_ports_, [&](uint16_t port) { return port == facts.local.port || port == facts.remote.port; });
}

void ConnectionReaders::set_verdict(Reader& reader, Verdict verdict) {
  place(reader, verdict, reader.placed_protocol);
  if (reader.verdict != verdict)
    (verdict == Verdict::kMuted ? counters_.verdicts_muted : counters_.verdicts_wanted)++;
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
  reader.protocol = &protocol;
  reader.use(*reader.given);
  reader.codec = protocol.make(reader.context);
  place(reader, reader.placed_verdict, protocol.name);
  // What the other direction left undecided goes first: it came first.
  for (const Direction each : {other(direction), direction}) {
    const std::string bytes = std::exchange(reader.first[index(each)], {});
    if (!bytes.empty())
      feed(reader, each,
           {{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()},
            reader.first_offset[index(each)],
            reader.first_ns[index(each)]});
  }
}

void ConnectionReaders::feed(Reader& reader, Direction direction, const StreamChunk& chunk) {
  if (!reader.codec) {
    books_.lose(reader.muted_until_ns != 0 ? "muted" : "not_read", 0, chunk.bytes.size());
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
    counters_.*reader.protocol->connections += 1;
    set_verdict(reader, Verdict::kWanted);
  }
  if (reader.context.handover) return hand_over(reader);
  if (reader.codec->finished()) {
    place(reader, reader.placed_verdict, "upgraded");
    return give_up(reader);
  }
  if ((reader.protocol->multiplexed || mute_sooner_) && !reader.evidence &&
      reader.other_exchanges >= (mute_sooner_ ? kMuteSoonerAfter : limits_.mute_after_exchanges))
    mute(reader, chunk.time_ns);
}

void ConnectionReaders::hand_over(Reader& reader) {
  const Handover& handover = *reader.context.handover;
  reader.protocol = handover.to;
  reader.codec = handover.to->make(reader.context);
  counters_.*reader.protocol->connections += 1;
  place(reader, reader.placed_verdict, reader.protocol->name);
  // What was said of the exchange that ended so is not said of what follows it.
  set_verdict(reader, Verdict::kWanted);
  const std::array<std::string, 2> unread = std::move(reader.context.handover->unread);
  const uint64_t time_ns = handover.time_ns;
  reader.context.handover.reset();
  // What was asked came first: in the same call as the request.
  for (const Side side : {Side::kRequest, Side::kResponse})
    if (const std::string& bytes = unread[static_cast<size_t>(side)]; !bytes.empty())
      reader.codec->feed(side, {{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, 0, time_ns},
                         sink_);
}

void ConnectionReaders::mute(Reader& reader, uint64_t time_ns) {
  end_codec(reader, EndReason::kEvicted, time_ns);
  reader.codec.reset();
  reader.ignored = true;
  reader.resample_ns =
      mute_sooner_ ? limits_.resample_last_ns
                   : std::clamp(reader.resample_ns * 2, limits_.resample_first_ns, limits_.resample_last_ns);
  reader.muted_until_ns = time_ns + reader.resample_ns;
  resamples_.emplace(reader.muted_until_ns, reader.id);
  set_verdict(reader, Verdict::kMuted);
}

void ConnectionReaders::on_clock(uint64_t monotonic_ns) {
  while (!resamples_.empty() && resamples_.begin()->first <= monotonic_ns) {
    Reader& due = *readers_.find(resamples_.begin()->second);
    resamples_.erase(resamples_.begin());
    counters_.resamples++;
    due.muted_until_ns = 0;
    due.other_exchanges = 0;
    due.ignored = false;
    due.context.mid_connection = true;
    due.codec = due.protocol->make(due.context);
    set_verdict(due, Verdict::kWanted);
  }
}

void ConnectionReaders::exchange_verdict(uint64_t connection_id, Verdict verdict) {
  Reader* const found = readers_.find(connection_id);
  if (found == nullptr) return;
  Reader& known = *found;
  // Of a watched workload every head is of interest.
  if (verdict == Verdict::kWanted || verdict == Verdict::kHeads)
    known.evidence = true;
  else
    known.other_exchanges++;
  if (!known.protocol || !known.protocol->multiplexed) {
    if (verdict == Verdict::kRepeats && !(known.codec && known.codec->allow_repeats()))
      verdict = Verdict::kTimes;
    place(known, verdict == Verdict::kRepeats ? Verdict::kTimes : verdict, known.placed_protocol);
    verdicts_.set_verdict(connection_id, verdict);
  }
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
    // The bytes decide who asks; the role may be unknown, and a wrong one must not hide a call.
    make_codec(reader, *protocol, direction, answer == FirstBytes::kRequest);
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
    place(reader, reader.placed_verdict, "other");
    give_up(reader);
    feed(reader, direction, chunk);
    return;
  }
  if (recognise_inside(reader, direction, chunk)) {
    feed(reader, direction, chunk);
    return;
  }
  // Met in the middle: these bytes may be the inside of a body. With the role known the codec looks
  // for a head within them; without, the next chunk that begins with one decides.
  const Role role = reader.given->role;
  if (role != Role::kUnknown) {
    const Direction asking = role == Role::kServer ? Direction::kRead : Direction::kWrite;
    make_codec(reader, *protocols().back(), direction, asking == direction);
    feed(reader, direction, chunk);
    return;
  }
  books_.lose("unrecognised", 0, first.size() + chunk.bytes.size());
  first.clear();
}

// Only a connection met in the middle. Bytes that an earlier guess kept are given up.
bool ConnectionReaders::recognise_inside(Reader& reader, Direction direction, const StreamChunk& chunk) {
  const std::string_view piece(reinterpret_cast<const char*>(chunk.bytes.data()), chunk.bytes.size());
  for (const Protocol* protocol : protocols()) {
    if (!protocol->recognise_inside) continue;
    FirstBytes answer = protocol->recognise_inside(piece);
    const Role role = reader.given->role;
    if (answer == FirstBytes::kEither && role != Role::kUnknown)
      answer = (role == Role::kServer) == (direction == Direction::kRead) ? FirstBytes::kRequest
                                                                          : FirstBytes::kResponse;
    if (answer != FirstBytes::kRequest && answer != FirstBytes::kResponse) continue;
    for (std::string& first : reader.first) {
      books_.lose("unrecognised", 0, first.size());
      first.clear();
    }
    reader.codec.reset();
    make_codec(reader, *protocol, direction, answer == FirstBytes::kRequest);
    return true;
  }
  return false;
}

void ConnectionReaders::on_chunk(const ConnectionFacts& facts, Direction direction,
                                 const StreamChunk& chunk) {
  Reader& known = reader(facts);
  books_.bytes_in += chunk.bytes.size();
  const bool turned = known.last_direction != direction;
  known.last_direction = direction;
  if (!known.codec && !known.ignored && !reads_port(facts)) give_up(known);
  // A verdict but "wanted" holds for a turn: say it again at each.
  if (known.ignored && turned) verdicts_.set_verdict(facts.id, Verdict::kMuted);
  // A guess that no head has confirmed.
  if (known.codec && known.context.mid_connection && !known.protocol->recognise_inside &&
      !known.codec->confirmed())
    recognise_inside(known, direction, chunk);
  if (known.codec || known.ignored)
    feed(known, direction, chunk);
  else if (!chunk.bytes.empty())
    recognise(known, direction, chunk);
}

void ConnectionReaders::on_gap(const ConnectionFacts& facts, Direction direction, uint64_t bytes,
                               uint64_t time_ns) {
  Reader& known = reader(facts);
  if (known.codec) {
    known.codec->gap(known.side(direction), bytes, time_ns, sink_);
    if (known.context.handover) {
      hand_over(known);
      known.codec->gap(known.side(direction), bytes, time_ns, sink_);
    }
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
  if (known.codec) end_side(known, known.side(direction), reason, time_ns);
}

void ConnectionReaders::end_side(Reader& reader, Side side, EndReason reason, uint64_t time_ns) {
  reader.codec->end(side, reason, time_ns, sink_);
  // What the codec had held back changed the protocol.
  if (!reader.context.handover) return;
  hand_over(reader);
  reader.codec->end(side, reason, time_ns, sink_);
}

void ConnectionReaders::end_codec(Reader& reader, EndReason reason, uint64_t time_ns) {
  // By whom: this process, or its peer.
  const bool by_peer = reason == EndReason::kPeerClosed || reason == EndReason::kReset;
  const bool is_client = reader.request_direction == Direction::kWrite;
  const Side closer = is_client != by_peer ? Side::kRequest : Side::kResponse;
  const Side last = closer == Side::kRequest ? Side::kResponse : Side::kRequest;
  end_side(reader, closer, reason, time_ns);
  const bool by_us = reason == EndReason::kEvicted || reason == EndReason::kNotSeen;
  end_side(reader, last, by_us ? reason : EndReason::kClosed, time_ns);
}

void ConnectionReaders::on_end(const ConnectionFacts& facts, EndReason reason, uint64_t time_ns) {
  Reader& known = reader(facts);
  if (known.codec) end_codec(known, reason, time_ns);
  resamples_.erase({known.muted_until_ns, known.id});
  for (const std::string& first : known.first) books_.lose("unrecognised", 0, first.size());
  --open_counts_[{known.placed_verdict, known.placed_protocol}];
  readers_.erase(facts.id);
}

}  // namespace llmtap
