// SPDX-License-Identifier: Apache-2.0
// Cases of provider_cases/*.txt: an exchange as it is on the wire, and lines of the call it makes.
//
//   === provider | operation | kind | name         kind: plain, stream, error, interrupted
//                                                   provider/server where the label is only a shape
//   # a comment
//   > POST /v1/chat/completions                     method and target, then header fields
//   > host: api.openai.com
//   {"model":…}                                     the body, JSON if no content-type says otherwise
//   < 200 text/event-stream                         status and content type, then header fields
//   data: …
//   ! client_aborted                                how it ended, if not well
//   = tokens=5/2 reported                           lines of call_text(); "= no call" if it is none
//   ~ tokens=5/1 estimated                          the same of the call that is cut off at the middle
//
// Cases that many servers share are written once:
//
//   @each provider host path                        names
//   @row groq api.groq.com /openai/v1               a value for each; the cases follow, once per row,
//   === $provider | chat | plain | name             with $name replaced
//   @end
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "exchange_text.h"

namespace llmtap::test {

struct ProviderCase {
  std::string provider, operation, kind, name, where;
  ExchangeText text;
  std::vector<std::string> want, cut_want;
  bool no_call = false;
};

class CaseReader {
 public:
  static std::vector<ProviderCase> read_folder(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().extension() == ".txt") files.push_back(entry.path());
    std::ranges::sort(files);
    CaseReader reader;
    for (const auto& file : files) reader.read(file);
    return std::move(reader.cases_);
  }

 private:
  void read(const std::filesystem::path& file) {
    std::ifstream in(file);
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      where_ = file.filename().string() + ":" + std::to_string(++number);
      take_or_repeat(line);
    }
    if (repeating_) fail("@each without @end");
    finish();
  }

  static std::vector<std::string> words(const std::string& line) {
    std::istringstream in(line);
    return {std::istream_iterator<std::string>(in), {}};
  }

  void take_or_repeat(const std::string& line) {
    if (line.starts_with("@each ")) {
      finish();
      repeating_ = true;
      names_ = words(line.substr(6));
      rows_.clear();
      repeated_.clear();
    } else if (line.starts_with("@row ")) {
      rows_.push_back(words(line.substr(5)));
      if (rows_.back().size() != names_.size()) fail("a row has a value for each name");
    } else if (line == "@end") {
      repeating_ = false;
      for (const auto& row : rows_) {
        for (const auto& [where, text] : repeated_) {
          where_ = where;
          take(with_values(text, row));
        }
        finish();
      }
    } else if (repeating_) {
      repeated_.emplace_back(where_, line);
    } else {
      take(line);
    }
  }

  std::string with_values(std::string text, const std::vector<std::string>& row) const {
    for (size_t i = 0; i < names_.size(); ++i) {
      const std::string name = "$" + names_[i];
      for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += row[i].size())
        text.replace(at, name.size(), row[i]);
    }
    return text;
  }

  [[noreturn]] void fail(const std::string& what) const { throw std::runtime_error(where_ + ": " + what); }

  void take(const std::string& line) {
    if (line.starts_with("=== ")) {
      finish();
      begin(line.substr(4));
      return;
    }
    if (line.starts_with("# ") || (!open_ && line.empty())) return;
    if (!open_) fail("text outside of a case");
    if (line.starts_with("> ")) return add_head(request_, line.substr(2));
    if (line.starts_with("< ")) return add_head(reply_, line.substr(2));
    if (line.starts_with("! ")) return set_end(line.substr(2));
    if (line == "= no call") {
      now_.no_call = true;
    } else if (line.starts_with("= ")) {
      now_.want.push_back(line.substr(2));
    } else if (line.starts_with("~ ")) {
      now_.cut_want.push_back(line.substr(2));
    } else {
      (reply_.head.empty() ? request_ : reply_).body += line + "\n";
    }
  }

  struct Message {
    std::vector<std::string> head;
    std::string body;
    bool has_type() const {
      return std::ranges::any_of(head, [](const auto& h) { return h.starts_with("content-type:"); });
    }
  };

  static void add_head(Message& message, const std::string& line) { message.head.push_back(line); }

  void begin(const std::string& title) {
    std::vector<std::string> parts;
    std::istringstream in(title);
    for (std::string part; std::getline(in, part, '|');) {
      part.erase(0, part.find_first_not_of(' '));
      part.erase(part.find_last_not_of(' ') + 1);
      parts.push_back(part);
    }
    if (parts.size() != 4) fail("a case is named by provider, operation, kind and name");
    now_ = {parts[0], parts[1], parts[2], parts[3], where_, {}, {}, {}, false};
    static constexpr const char* kKinds[] = {"plain", "stream", "error", "interrupted"};
    if (std::ranges::find(kKinds, now_.kind) == std::end(kKinds)) fail("no such kind: " + now_.kind);
    open_ = true;
  }

  void set_end(const std::string& how) {
    using How = ExchangeEnd::How;
    now_.text.defect = Defect::kTruncated;
    if (how == "client_aborted")
      now_.text.how = How::kClientAborted;
    else if (how == "server_aborted")
      now_.text.how = How::kServerAborted;
    else if (how == "no_response")
      now_.text.how = How::kNoResponse;
    else
      fail("no such end: " + how);
  }

  static std::string trimmed(std::string body) {
    while (!body.empty() && body.back() == '\n') body.pop_back();
    return body;
  }

  void finish() {
    if (!open_) return;
    if (now_.want.empty() && !now_.no_call) fail("a case wants something");
    if (!request_.head.empty()) {
      std::string& text = now_.text.request = request_.head[0] + " HTTP/1.1";
      for (size_t i = 1; i < request_.head.size(); ++i) text += "\n" + request_.head[i];
      const std::string body = trimmed(request_.body);
      if (!body.empty() && !request_.has_type()) text += "\ncontent-type: application/json";
      text += "\n\n" + body;
    }
    if (!reply_.head.empty()) {
      const std::string& first = reply_.head[0];
      const size_t space = first.find(' ');
      std::string& text = now_.text.reply = "HTTP/1.1 " + first.substr(0, space) + " X";
      const std::string type = space == std::string::npos ? "" : first.substr(space + 1);
      if (!type.empty()) text += "\ncontent-type: " + type;
      for (size_t i = 1; i < reply_.head.size(); ++i) text += "\n" + reply_.head[i];
      text += "\n\n" + trimmed(reply_.body);
      if (type.starts_with("text/event-stream") || type.starts_with("application/vnd.amazon"))
        text += "\n\n";
      else if (type == "application/x-ndjson")
        text += "\n";
    }
    cases_.push_back(std::move(now_));
    request_ = reply_ = {};
    open_ = false;
  }

  std::vector<ProviderCase> cases_;
  ProviderCase now_;
  Message request_, reply_;
  std::string where_;
  std::vector<std::string> names_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::pair<std::string, std::string>> repeated_;  // where, line
  bool open_ = false, repeating_ = false;
};

}  // namespace llmtap::test
