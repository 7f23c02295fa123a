// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "protocols/http2/frame.h"
#include "redaction/body_redactor.h"
#include "redaction/byte_ranges.h"
#include "redaction/connection_terms.h"
#include "redaction/hpack_redactor.h"
#include "redaction/websocket_redactor.h"

namespace llmtap {

// One direction of an HTTP/2 connection from its begin (RFC 9113): the headers of frames stay, and all that
// is numbers; header blocks as HpackRedactor leaves them; DATA as the body of its stream's content type, or
// as the frames of the WebSocket that the stream became. Text in other frames is overwritten.
class Http2Redactor {
 public:
  // `client`: what comes is the connection preface, behind its first word and blank.
  Http2Redactor(bool client, std::shared_ptr<ConnectionTerms> terms);

  // In place. Adds to `opaque` what is of no use but its length, positions counted from `offset`.
  void redact(std::span<uint8_t> bytes, size_t offset, ByteRanges& opaque);
  // `bytes` were lost, 0: unknown how many. Inside a DATA frame that costs the rest of this body; else
  // nothing behind it is certain, and header fields could refer to what was lost.
  void gap(uint64_t bytes);

 private:
  enum class State : uint8_t { kPreface, kHeader, kPrefix, kContent, kPadding, kLost };
  enum class Payload : uint8_t { kNumbers, kText, kBlock, kBody };

  // What a block says of its stream.
  struct Head : http2::HpackFieldSink {
    void on_field(const http2::HpackField& field) override;
    std::string type, method, protocol;
    DeflateTerms deflate;
    int status = 0;
    bool coded = false;
  };
  struct Stream {
    explicit Stream(MemoryShare&& share) : memory(std::move(share)) {}
    MemoryShare memory;
    BodyRedactor body;
    std::unique_ptr<WebSocketRedactor> socket;
  };

  bool header_byte(uint8_t byte);
  bool begin_frame();
  void begin_content();
  void content(std::span<uint8_t> bytes, size_t offset, ByteRanges& opaque);
  void body(std::span<uint8_t> bytes, size_t offset, ByteRanges& opaque);
  void end_content();
  void end_frame();
  void end_block();
  Stream* open(uint32_t number);
  std::shared_ptr<DeflateTerms> open_tunnel(uint32_t number);

  const bool client_;
  std::shared_ptr<ConnectionTerms> terms_;
  MemoryShare memory_;
  HpackRedactor hpack_;
  State state_;
  size_t have_ = 0;  // of the preface, the header or the prefix
  std::array<uint8_t, http2::kFrameHeaderBytes> header_{};
  bool first_frame_ = true;
  http2::FrameHeader frame_;
  Payload payload_ = Payload::kNumbers;
  uint32_t left_ = 0, padding_ = 0;
  bool in_block_ = false, promised_ = false, end_stream_ = false;
  uint32_t block_stream_ = 0;
  Head head_;
  std::map<uint32_t, Stream> streams_;
};

}  // namespace llmtap
