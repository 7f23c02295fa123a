// SPDX-License-Identifier: Apache-2.0
// The short fields of a multipart/form-data body (RFC 7578): audio and images are uploaded as such, and
// only a part says which model they are for.
#pragma once

#include <string>
#include <string_view>

namespace llmtap {

class MultipartFields {
 public:
  void feed(std::string_view bytes);
  const std::string& model() const { return model_; }
  bool stream() const { return stream_ == "true"; }

 private:
  // Longer lines are of files.
  static constexpr size_t kMaxLine = 256;
  void end_line();

  std::string line_, boundary_, model_, stream_;
  std::string* wanted_ = nullptr;  // the field whose part this is
  bool in_head_ = false, long_line_ = false, first_ = true;
};

}  // namespace llmtap
