// SPDX-License-Identifier: Apache-2.0
#include "protocols/http2/field_list.h"

#include <charconv>

#include "base/ascii.h"

namespace llmtap::http2 {
namespace {

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string_view first_of(std::span<const HeaderField> fields, std::string_view name) {
  for (const HeaderField& field : fields)
    if (field.name == name) return field.value;
  return {};
}

}  // namespace

void FieldList::clear() {
  static constexpr size_t kKeptBytes = 16 * 1024;
  if (text_.capacity() > kKeptBytes) std::string().swap(text_);
  text_.clear();
  places_.clear();
  unknown_fields_ = 0;
  oversized_ = false;
}

void FieldList::on_field(const HpackField& field) {
  if (!field.name_known || !field.value_known) {
    ++unknown_fields_;
    return;
  }
  const std::string_view value = trimmed(field.value);
  // A block of one-byte references to long entries is as large as this makes it, and no larger.
  if (places_.size() >= limits_.header_fields ||
      text_.size() + field.name.size() + value.size() > limits_.head_bytes) {
    oversized_ = true;
    return;
  }
  places_.push_back({static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(field.name.size()),
                     static_cast<uint32_t>(value.size())});
  text_.append(field.name).append(value);
}

Head FieldList::head() const {
  Head head;
  head.fields.reserve(places_.size());
  const std::string_view text = text_;
  std::string_view status, scheme;
  for (const Place& place : places_) {
    const HeaderField field{text.substr(place.begin, place.name),
                            text.substr(place.begin + place.name, place.value)};
    if (!field.name.starts_with(':')) {
      head.fields.push_back(field);
      continue;
    }
    std::string_view* known = field.name == ":method"      ? &head.method
                              : field.name == ":path"      ? &head.path
                              : field.name == ":authority" ? &head.authority
                              : field.name == ":scheme"    ? &scheme
                              : field.name == ":status"    ? &status
                              : field.name == ":protocol"  ? &head.protocol
                                                           : nullptr;
    if (!known || known->data() || !head.fields.empty())
      head.malformed = true;
    else
      *known = field.value;
  }
  if (status.data()) {
    head.status = number_of<int>(status).value_or(0);
    if (head.status < 100 || head.status > 999) {
      head.status = 0;
      head.malformed = true;
    }
  }
  head.content_length = number_of<uint64_t>(first_of(head.fields, "content-length"));
  // RFC 9113 8.3.1: a gateway that translates may send Host alone.
  if (head.authority.empty()) head.authority = first_of(head.fields, "host");
  return head;
}

BodyShape body_shape(std::span<const HeaderField> fields) {
  BodyShape shape;
  shape.framing = framing_by_content_type(first_of(fields, "content-type"));
  for (const HeaderField& field : fields)
    if (field.name == "content-encoding") shape.codings.add(field.value);
  if (shape.framing == BodyFraming::kGrpc) {
    const std::string_view coding = first_of(fields, "grpc-encoding");
    if (!coding.empty()) shape.message_coding = coding_by_name(coding);
  }
  return shape;
}

SniffedBody sniff_body(std::string_view bytes) {
  static constexpr std::string_view kEventStarts[] = {"data:", "event:", "id:", "retry:", ": ", ":\n", ":\r"};
  SniffedBody sniffed;
  for (const std::string_view start : kEventStarts)
    if (bytes.starts_with(start)) {
      sniffed.shape.framing = BodyFraming::kSse;
      sniffed.content_type = "text/event-stream";
      return sniffed;
    }
  if (bytes.starts_with("\x1f\x8b\x08"))
    sniffed.shape.codings.add("gzip");
  else if (bytes.starts_with("\x28\xb5\x2f\xfd"))
    sniffed.shape.codings.add("zstd");
  else if (const size_t begin = bytes.find_first_not_of(" \t\r\n");
           begin != std::string_view::npos && (bytes[begin] == '{' || bytes[begin] == '['))
    sniffed.content_type = "application/json";
  return sniffed;
}

}  // namespace llmtap::http2
