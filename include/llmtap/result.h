// SPDX-License-Identifier: Apache-2.0
// The one way to say "this can fail and the caller can act on it". Bytes that are bad are parse
// outcomes with counters, our own bugs are LLMTAP_CHECK; neither is a Result.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace llmtap {

// What went wrong, outermost context first: "attach SSL_read: symbol not found". `hint` is what the
// user can do about it; printed on its own line.
struct Error {
  std::string message;
  std::string hint = {};
};

struct Ok {};

template <typename T = void>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using Base = std::expected<T, Error>;
  using Base::Base;
  Result(Error error) : Base(std::unexpected(std::move(error))) {}  // NOLINT(google-explicit-constructor)
  Result(Ok)                                                        // NOLINT(google-explicit-constructor)
    requires std::is_void_v<T>
  {}

  // Puts "what: " before the message of a failure.
  Result context(std::string_view what) && {
    if (!this->has_value()) this->error().message.insert(0, std::string(what) + ": ");
    return std::move(*this);
  }
  Result hint(std::string_view what_to_do) && {
    if (!this->has_value() && this->error().hint.empty()) this->error().hint = what_to_do;
    return std::move(*this);
  }
};

// The value of a success, for LLMTAP_TRY; may be discarded.
template <typename T>
T take_value(Result<T>&& result) {
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace llmtap

// The value of `expression`, or return its error from the enclosing function.
#define LLMTAP_TRY(expression)                                                                  \
  __extension__({                                                                               \
    auto&& llmtap_result_ = (expression);                                                       \
    if (!llmtap_result_.has_value()) return ::llmtap::Error(std::move(llmtap_result_).error()); \
    ::llmtap::take_value(std::move(llmtap_result_));                                            \
  })
