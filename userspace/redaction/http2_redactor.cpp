// SPDX-License-Identifier: Apache-2.0
#include "redaction/http2_redactor.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"

namespace llmtap {
namespace {

using http2::FrameType;

constexpr uint8_t kFiller = 'x';
constexpr size_t kPrefaceBytesBefore = 4;  // "PRI "
constexpr Limits kLimits;
// What is kept at most. Of an entry of the header table, with what the standard counts for it.
constexpr size_t kDirectionBytes = 4096, kStreamBytes = 1024, kTunnelBytes = 256, kTableFactor = 3;

}  // namespace

Http2Redactor::Http2Redactor(bool client, std::shared_ptr<ConnectionTerms> terms)
    : client_(client),
      terms_(std::move(terms)),
      memory_(terms_->budgets->kept),
      hpack_(kLimits.http2_table_bytes),
      state_(client ? State::kPreface : State::kHeader),
      have_(client ? kPrefaceBytesBefore : 0) {
  if (!memory_.resize(kDirectionBytes)) state_ = State::kLost;
}

void Http2Redactor::Head::on_field(const http2::HpackField& field) {
  if (!field.name_known) return;
  if (!field.value_known) {
    coded |= field.name == "content-encoding";  // somehow
    return;
  }
  std::string value = lowered(trimmed(field.value));
  if (field.name == ":status")
    status = parse_integer<int>(value).value_or(0);
  else if (field.name == ":method")
    method = field.value;
  else if (field.name == ":protocol")
    protocol = value;
  else if (field.name == "content-type")
    type = trimmed(value.substr(0, value.find(';')));
  else if (field.name == "content-encoding")
    coded |= !value.empty() && value != "identity";
  else if (field.name == "sec-websocket-extensions")
    deflate.agree(value);
}

void Http2Redactor::redact(std::span<uint8_t> bytes, size_t offset, ByteRanges& opaque) {
  for (size_t i = 0; i < bytes.size();) {
    const std::span<uint8_t> rest = bytes.subspan(i);
    if (state_ == State::kLost) {
      streams_.clear();
      std::ranges::fill(rest, kFiller);
      return opaque.add(offset + i, rest.size());
    }
    if (state_ == State::kContent || state_ == State::kPadding) {
      uint32_t& left = state_ == State::kContent ? left_ : padding_;
      const size_t used = std::min<size_t>(left, rest.size());
      if (state_ == State::kContent)
        content(rest.first(used), offset + i, opaque);
      else
        std::ranges::fill(rest.first(used), uint8_t{0});
      i += used;
      if (state_ == State::kLost) continue;
      left -= static_cast<uint32_t>(used);
      if (left > 0) continue;
      if (state_ == State::kContent)
        end_content();
      else
        end_frame();
      continue;
    }
    if (header_byte(rest[0]))
      ++i;
    else
      state_ = State::kLost;
  }
}

// Of preface, header or prefix. False: not HTTP/2.
bool Http2Redactor::header_byte(uint8_t byte) {
  if (state_ == State::kPreface) {
    if (byte != static_cast<uint8_t>(http2::kConnectionPreface[have_])) return false;
    if (++have_ < http2::kConnectionPreface.size()) return true;
    state_ = State::kHeader;
    have_ = 0;
    return true;
  }
  if (state_ == State::kPrefix) {
    if (have_ == 0 && frame_.has(http2::kPadded) && payload_ != Payload::kNumbers &&
        payload_ != Payload::kText)
      padding_ = byte;
    if (++have_ == http2::prefix_bytes(frame_)) begin_content();
    return state_ != State::kLost;
  }
  // Nothing shows that it is HTTP/2 but that it begins with SETTINGS: byte by byte, so that no other
  // protocol's bytes are kept.
  static constexpr std::array<uint8_t, http2::kFrameHeaderBytes> kFirst{0, 1, 255, 4, 0, 0, 0, 0, 0};
  if (first_frame_ && (have_ == 3 ? byte != kFirst[have_] : byte > kFirst[have_])) return false;
  header_[have_++] = byte;
  return have_ < http2::kFrameHeaderBytes || begin_frame();
}

bool Http2Redactor::begin_frame() {
  frame_ = http2::parse_frame_header(header_.data());
  have_ = 0;
  first_frame_ = false;
  if (!http2::valid(frame_)) return false;
  const bool continues = frame_.type == FrameType::kContinuation;
  // RFC 9113 6.10.
  if (continues != in_block_ || (continues && frame_.stream != block_stream_)) return false;
  padding_ = 0;
  left_ = frame_.length - http2::prefix_bytes(frame_);
  switch (frame_.type) {
    case FrameType::kData: payload_ = Payload::kBody; break;
    case FrameType::kHeaders:
    case FrameType::kPushPromise:
      in_block_ = true;
      promised_ = frame_.type == FrameType::kPushPromise;
      end_stream_ = !promised_ && frame_.has(http2::kEndStream);
      block_stream_ = frame_.stream;
      head_ = {};
      hpack_.begin_block();
      [[fallthrough]];
    case FrameType::kContinuation: payload_ = Payload::kBlock; break;
    case FrameType::kPriority:
    case FrameType::kRstStream:
    case FrameType::kSettings:
    case FrameType::kWindowUpdate: payload_ = Payload::kNumbers; break;
    default: payload_ = Payload::kText;
  }
  state_ = State::kPrefix;
  if (http2::prefix_bytes(frame_) == 0) begin_content();
  return state_ != State::kLost;
}

void Http2Redactor::begin_content() {
  have_ = 0;
  if (padding_ > left_) {
    state_ = State::kLost;
    return;
  }
  left_ -= padding_;
  state_ = State::kContent;
  if (left_ == 0) end_content();
}

void Http2Redactor::content(std::span<uint8_t> bytes, size_t offset, ByteRanges& opaque) {
  if (payload_ == Payload::kText) std::ranges::fill(bytes, kFiller);
  if (payload_ == Payload::kBody) body(bytes, offset, opaque);
  if (payload_ != Payload::kBlock) return;
  const size_t kept = hpack_.redact(bytes, head_);
  const bool within = memory_.resize(kDirectionBytes + kTableFactor * hpack_.table_bytes());
  if (kept == bytes.size() && within) return;
  if (!within) hpack_ = HpackRedactor(0);
  state_ = State::kLost;
  std::ranges::fill(bytes.subspan(kept), kFiller);
  opaque.add(offset + kept, bytes.size() - kept);
}

void Http2Redactor::body(std::span<uint8_t> bytes, size_t offset, ByteRanges& opaque) {
  const auto found = streams_.find(frame_.stream);
  if (found != streams_.end() && found->second.socket)
    return found->second.socket->redact(bytes, offset, opaque);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = found == streams_.end() ? kFiller : found->second.body.push(bytes[i]);
    if (found == streams_.end() || found->second.body.opaque()) opaque.add(offset + i);
  }
}

void Http2Redactor::end_content() {
  state_ = State::kPadding;
  if (padding_ == 0) end_frame();
}

void Http2Redactor::end_frame() {
  state_ = State::kHeader;
  if (in_block_ && frame_.has(http2::kEndHeaders)) end_block();
  const bool over = frame_.type == FrameType::kData && frame_.has(http2::kEndStream);
  if (over || frame_.type == FrameType::kRstStream) streams_.erase(frame_.stream);
}

// Its own oldest ones make room. None: there is no room at all, and its body is a gap.
Http2Redactor::Stream* Http2Redactor::open(uint32_t number) {
  if (streams_.size() >= kLimits.http2_streams) streams_.erase(streams_.begin());
  MemoryShare memory(terms_->budgets->kept);
  while (!memory.resize(kStreamBytes)) {
    if (streams_.empty()) return nullptr;
    streams_.erase(streams_.begin());
  }
  return &streams_.try_emplace(number, std::move(memory)).first->second;
}

// Null: there is no room.
std::shared_ptr<DeflateTerms> Http2Redactor::open_tunnel(uint32_t number) {
  auto& tunnels = terms_->tunnels;
  if (tunnels.size() >= kLimits.http2_streams) tunnels.erase(tunnels.begin());
  MemoryShare memory(terms_->budgets->kept);
  if (!memory.resize(kTunnelBytes)) return nullptr;
  const auto terms = std::make_shared<DeflateTerms>();
  tunnels.erase(number);
  tunnels.try_emplace(number, std::move(memory), terms);
  return terms;
}

void Http2Redactor::end_block() {
  in_block_ = false;
  if (!hpack_.between_fields()) {
    state_ = State::kLost;
    return;
  }
  // Trailers, and interim replies (RFC 9113 8.1), have no body.
  const bool interim = head_.status >= 100 && head_.status < 200;
  if (end_stream_) {
    streams_.erase(block_stream_);
  } else if (!promised_ && !interim && !streams_.contains(block_stream_)) {
    Stream* const stream = open(block_stream_);
    if (!stream) return;
    RecordingBudgets& budgets = *terms_->budgets;
    if (client_ && head_.method == "CONNECT") {
      stream->body.lose();
      if (head_.protocol != "websocket") return;
      if (auto terms = open_tunnel(block_stream_))
        stream->socket = std::make_unique<WebSocketRedactor>(std::move(terms), budgets);
      return;
    }
    const auto tunnel = client_ ? terms_->tunnels.end() : terms_->tunnels.find(block_stream_);
    if (tunnel != terms_->tunnels.end() && head_.status >= 200 && head_.status < 300) {
      *tunnel->second.terms = head_.deflate;
      stream->socket = std::make_unique<WebSocketRedactor>(tunnel->second.terms, budgets);
      terms_->tunnels.erase(tunnel);
      return;
    }
    stream->body.begin(head_.type, head_.coded);
  }
}

void Http2Redactor::gap(uint64_t bytes) {
  const bool inside = state_ == State::kContent && payload_ == Payload::kBody;
  if (!inside || bytes == 0 || bytes > left_) {
    state_ = State::kLost;
    return;
  }
  if (const auto found = streams_.find(frame_.stream); found != streams_.end()) {
    found->second.body.lose();
    if (found->second.socket) found->second.socket->lose();
  }
  left_ -= static_cast<uint32_t>(bytes);
  if (left_ == 0) end_content();
}

}  // namespace llmtap
