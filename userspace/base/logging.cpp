// SPDX-License-Identifier: Apache-2.0
#include "base/logging.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

namespace llmtap {
namespace {

struct Level {
  std::string_view name;
  spdlog::level::level_enum level;
};
constexpr Level kLevels[] = {{"trace", spdlog::level::trace}, {"debug", spdlog::level::debug},
                             {"info", spdlog::level::info},   {"warn", spdlog::level::warn},
                             {"error", spdlog::level::err},   {"off", spdlog::level::off}};

// Length of the valid UTF-8 sequence at the front (RFC 3629: no overlong form, no surrogate), 0: none.
size_t utf8_length(std::string_view text) {
  const auto at = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto tail = [&](size_t i) { return (at(i) & 0xC0u) == 0x80u; };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!tail(1) || !tail(2)) return 0;
    if ((first == 0xE0 && at(1) < 0xA0) || (first == 0xED && at(1) > 0x9F)) return 0;
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if ((first == 0xF0 && at(1) < 0x90) || (first == 0xF4 && at(1) > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

Result<> set_up_logging(std::string_view level) {
  for (const Level& known : kLevels) {
    if (known.name != level) continue;
    try {
      // A stderr that is gone (closed pipe) must not end the daemon: spdlog's handler would print to it.
      spdlog::set_error_handler([](const std::string&) {});
      auto logger =
          std::make_shared<spdlog::logger>("llmtap", std::make_shared<spdlog::sinks::stderr_sink_mt>());
      logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
      logger->set_level(known.level);
      logger->flush_on(spdlog::level::trace);
      spdlog::set_default_logger(std::move(logger));
      return Ok{};
    } catch (const std::exception& exception) {
      return Error{std::string("cannot set up logging: ") + exception.what()};
    }
  }
  return Error{"unknown log level \"" + printable(level) + "\"",
               "valid: trace, debug, info, warn, error, off"};
}

std::string failure_text(const Error& error) {
  std::string text = "llmtap: " + error.message + "\n";
  size_t begin = 0;
  while (begin < error.hint.size()) {
    const size_t end = std::min(error.hint.find('\n', begin), error.hint.size());
    text += "    " + error.hint.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return text;
}

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text[0]);
    // C1 controls (U+0080..U+009F) steer some terminals as ESC does.
    const bool control = length == 0 || (length == 1 && (first < 0x20 || first == 0x7F)) ||
                         (length == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0);
    if (control)
      result += '?';
    else
      result.append(text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

}  // namespace llmtap
