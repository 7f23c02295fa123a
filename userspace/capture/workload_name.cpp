// SPDX-License-Identifier: Apache-2.0
// Naming a process after what it runs, outside Kubernetes.
#include "capture/workload_name.h"

#include <algorithm>
#include <array>
#include <span>

#include "capture/process_facts.h"

namespace llmtap {
namespace {

constexpr size_t kContainerIdDigits = 64;
constexpr size_t kShortContainerIdDigits = 12;
constexpr size_t kMaxWorkloadBytes = 64;
constexpr size_t kMaxArguments = 1024;

// Which words of its command line an interpreter takes for itself, before the script.
struct Interpreter {
  std::string_view prefix;                      // of the executable's name, a version may follow
  std::string_view clustered;                   // one-letter options whose value is the rest or the next word
  std::span<const std::string_view> valued;     // options whose value is the next word
  std::span<const std::string_view> no_script;  // options after which there is no script
  std::span<const std::string_view> subcommands{};  // a word before the script
};

constexpr std::array<std::string_view, 1> kPythonValued{"--check-hash-based-pycs"};
constexpr std::array<std::string_view, 14> kNodeValued{"-r",
                                                       "--require",
                                                       "--import",
                                                       "--loader",
                                                       "--experimental-loader",
                                                       "-C",
                                                       "--conditions",
                                                       "--inspect-port",
                                                       "--title",
                                                       "--icu-data-dir",
                                                       "--max-http-header-size",
                                                       "--openssl-config",
                                                       "--env-file",
                                                       "--watch-path"};
constexpr std::array<std::string_view, 5> kNodeNoScript{"-e", "--eval", "-p", "--print", "-pe"};
constexpr std::array<std::string_view, 5> kBunValued{"-r", "--preload", "--cwd", "-c", "--config"};
constexpr std::array<std::string_view, 1> kRun{"run"};
constexpr std::array<std::string_view, 3> kRubyValued{"-r", "-I", "-C"};
constexpr std::array<std::string_view, 1> kRubyNoScript{"-e"};
constexpr std::array<std::string_view, 2> kPerlNoScript{"-e", "-E"};
constexpr std::array<std::string_view, 2> kPhpValued{"-d", "-c"};
constexpr std::array<std::string_view, 1> kPhpNoScript{"-r"};
constexpr std::array<std::string_view, 6> kJavaValued{"-cp", "-classpath",    "--class-path",
                                                      "-p",  "--module-path", "--add-modules"};

const std::array<Interpreter, 9> kInterpreters{{
    {"python", "WX", kPythonValued, {}},
    {"pypy", "WX", kPythonValued, {}},
    {"node", "", kNodeValued, kNodeNoScript},
    {"bun", "", kBunValued, kNodeNoScript, kRun},
    {"deno", "", kBunValued, {}, kRun},
    {"ruby", "", kRubyValued, kRubyNoScript},
    {"perl", "", {}, kPerlNoScript},
    {"php", "", kPhpValued, kPhpNoScript},
    {"java", "", kJavaValued, {}},
}};

std::string_view basename(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool contains(std::span<const std::string_view> words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

const Interpreter* find_interpreter(std::string_view exe) {
  const std::string_view name = basename(exe);
  for (const Interpreter& interpreter : kInterpreters)
    if (name.starts_with(interpreter.prefix) &&
        name.find_first_not_of("0123456789.-", interpreter.prefix.size()) == std::string_view::npos)
      return &interpreter;
  return nullptr;
}

// A label is a name: anything else in it (control characters, spaces, quotes) is replaced.
std::string label(std::string_view text) {
  std::string name(text.substr(0, kMaxWorkloadBytes));
  for (char& c : name) {
    const bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-' || c == '@' || c == '+' || c == ':';
    if (!keep) c = '_';
  }
  return name;
}

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// The last run of exactly 64 hex digits: docker-ID.scope, cri-containerd-ID.scope, /docker/ID, /ID.
std::string find_container_id(std::string_view path) {
  std::string found;
  for (size_t at = 0; at < path.size();) {
    size_t end = at;
    while (end < path.size() && is_hex(path[end])) ++end;
    if (end - at == kContainerIdDigits) found = path.substr(at, end - at);
    at = end + 1;
  }
  return found;
}

// The innermost service; user@1000.service is a manager of services, not one.
std::string find_unit(std::string_view path) {
  std::string found;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    if (part.ends_with(".service") && !part.starts_with("user@")) found = part;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return found;
}

std::string python_module(std::string_view option, const std::vector<std::string>& arguments, size_t at,
                          bool& stop) {
  // Python's short options may be joined: -um litellm, -Imlitellm.
  for (size_t i = 1; i < option.size(); ++i) {
    if (option[i] == 'c') {
      stop = true;
      return {};
    }
    if (option[i] == 'W' || option[i] == 'X') return {};
    if (option[i] != 'm') continue;
    stop = true;
    if (i + 1 < option.size()) return std::string(option.substr(i + 1));
    return at + 1 < arguments.size() ? arguments[at + 1] : std::string();
  }
  return {};
}

}  // namespace

std::vector<std::string> split_arguments(std::string_view cmdline) {
  std::vector<std::string> words;
  while (!cmdline.empty() && words.size() < kMaxArguments) {
    const size_t end = std::min(cmdline.find('\0'), cmdline.size());
    words.emplace_back(cmdline.substr(0, end));
    cmdline.remove_prefix(std::min(end + 1, cmdline.size()));
  }
  return words;
}

std::string interpreter_script(std::string_view exe, const std::vector<std::string>& arguments) {
  const Interpreter* const interpreter = find_interpreter(exe);
  if (!interpreter) return {};
  const bool python = interpreter->prefix.starts_with("py");
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    if (word == "--")
      return i + 1 < arguments.size() ? std::string(basename(arguments[i + 1])) : std::string();
    if (word == "-" || word.empty()) return {};  // from standard input
    if (!word.starts_with('-')) {
      if (contains(interpreter->subcommands, word)) continue;
      return std::string(basename(word));
    }
    if (contains(interpreter->no_script, word)) return {};
    if (interpreter->prefix == "java" && word == "-jar") continue;  // its value stands where the script does
    if (python && !word.starts_with("--")) {
      bool stop = false;
      std::string module = python_module(word, arguments, i, stop);
      if (stop) return module;
    }
    const bool cluster = word.size() >= 2 && word[1] != '-' &&
                         interpreter->clustered.find(word.back()) != std::string_view::npos;
    if (contains(interpreter->valued, word) || cluster) ++i;
  }
  return {};
}

CgroupFacts parse_cgroup(std::string_view text) {
  CgroupFacts facts;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    // "hierarchy:controllers:path"; the unified hierarchy is 0 and wins, a v1 node has name=systemd.
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view path = line.substr(second + 1);
    if (facts.container_id.empty()) facts.container_id = find_container_id(path);
    if (facts.unit.empty()) facts.unit = find_unit(path);
    if (facts.path.empty() || line.starts_with("0::")) facts.path = path;
  }
  return facts;
}

std::string workload_name(const CgroupFacts& cgroup, std::string_view script, std::string_view exe,
                          std::string_view comm) {
  if (!cgroup.container_id.empty()) return cgroup.container_id.substr(0, kShortContainerIdDigits);
  for (const std::string_view candidate : {std::string_view(cgroup.unit), script, basename(exe), comm})
    if (!candidate.empty()) return label(candidate);
  return "unknown";
}

}  // namespace llmtap
