// SPDX-License-Identifier: Apache-2.0
// The fields of one header block, collected in bounded memory, and read as the head of a message
// (RFC 9113 8.3).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llmtap/limits.h"
#include "llmtap/message.h"
#include "protocols/body_reader.h"
#include "protocols/http2/hpack_decoder.h"

namespace llmtap::http2 {

// Views point into the list.
struct Head {
  std::string_view method, path, authority, protocol;
  int status = 0;
  std::optional<uint64_t> content_length;
  std::vector<HeaderField> fields;  // pseudo-header fields excluded
  bool malformed = false;  // a pseudo-header field twice, unknown or behind others; no number as status
};

class FieldList : public HpackFieldSink {
 public:
  explicit FieldList(const Limits& limits) : limits_(limits) {}
  void on_field(const HpackField& field) override;
  // Nothing of the block was delivered before.
  void clear();
  Head head() const;

  bool has_unknown() const { return unknown_fields_ > 0; }
  size_t unknown_fields() const { return unknown_fields_; }
  bool oversized() const { return oversized_; }
  bool empty() const { return places_.empty() && unknown_fields_ == 0; }

 private:
  struct Place {
    uint32_t begin, name, value;  // offset and lengths in text_
  };

  const Limits& limits_;
  std::string text_;
  std::vector<Place> places_;
  size_t unknown_fields_ = 0;
  bool oversized_ = false;
};

struct BodyShape {
  BodyFraming framing = BodyFraming::kPlain;
  CodingList codings;
  Coding message_coding = Coding::kIdentity;  // of gRPC messages
};
// By the fields of a head.
BodyShape body_shape(std::span<const HeaderField> fields);
// By its first bytes, when the fields are not known.
struct SniffedBody {
  BodyShape shape;
  std::string_view content_type;  // empty: the bytes do not say
};
SniffedBody sniff_body(std::string_view first_bytes);

}  // namespace llmtap::http2
