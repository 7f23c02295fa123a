// SPDX-License-Identifier: Apache-2.0
#include "pipeline/config.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "base/logging.h"
#include "base/nearest.h"
#include "pipeline/config_values.h"

namespace llmtap {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr int kMaxDepth = 16;  // an alias can make a map contain itself

constexpr std::string_view kReferenceHint = "all keys: llmtap run --print-config-reference";

Error at(const std::string& where, const std::string& what, std::string hint = std::string(kReferenceHint)) {
  return Error{where + ": " + what, std::move(hint)};
}

Error unknown_key(const std::string& where, const std::string& name) {
  const std::string nearest = nearest_config_key(name);
  return at(where, "unknown key \"" + printable(name) + "\"",
            (nearest.empty() ? "" : nearest + "\n") + std::string(kReferenceHint));
}

bool is_section(std::string_view name) {
  const std::string prefix = std::string(name) + ".";
  return std::ranges::any_of(config_keys(), [&](const ConfigKey& key) {
    if (key.name.starts_with(prefix)) return true;
    const size_t open = key.name.find('<');  // compat.<profile>: any word
    return open != std::string_view::npos && prefix.starts_with(key.name.substr(0, open)) &&
           std::ranges::count(prefix, '.') == std::ranges::count(key.name.substr(0, open), '.') + 1;
  });
}

// Walks the document; nested maps and dotted keys are the same.
class YamlReader {
 public:
  YamlReader(Config& config, std::string name) : config_(config), name_(std::move(name)) {}

  Result<> read(const YAML::Node& node, const std::string& prefix, int depth) {
    if (depth > kMaxDepth) return at(where(node), "nested too deeply");
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return at(where(entry.first), "a key must be a word");
      LLMTAP_TRY(read_entry(entry.first, entry.second, prefix + entry.first.Scalar(), depth));
    }
    return Ok{};
  }

 private:
  Result<> read_entry(const YAML::Node& key_node, const YAML::Node& node, const std::string& name,
                      int depth) {
    const std::string place = where(key_node);
    const ConfigKey* key = find_config_key(name);
    if (!key) {
      if (!is_section(name)) return unknown_key(place, name);
      if (node.IsNull()) return Ok{};  // all of its keys are comments
      if (!node.IsMap()) return at(place, name + ": is a section of keys, not a value");
      return read(node, name + ".", depth + 1);
    }
    const auto [previous, first] = lines_.emplace(name, place);
    if (!first) return at(place, name + ": is set twice, first at " + previous->second);
    if (node.IsNull()) return at(place, name + ": has no value; leave the line out for the default");
    ConfigValue value;
    LLMTAP_TRY(to_value(node, value).context(place + ": " + name));
    if (const auto problem = assign(config_, *key, value)) return at(where(node), name + ": " + *problem);
    return Ok{};
  }

  Result<> to_value(const YAML::Node& node, ConfigValue& value) {
    if (node.IsScalar()) {
      value.text = node.Scalar();
    } else if (node.IsMap()) {
      value.shape = ConfigValue::Shape::kMap;
      return to_pairs(node, value.map);
    } else if (node.size() > 0 &&
               std::all_of(node.begin(), node.end(), [](const auto& n) { return n.IsMap(); })) {
      value.shape = ConfigValue::Shape::kRows;
      for (const auto& row : node) LLMTAP_TRY(to_pairs(row, value.rows.emplace_back()));
    } else {
      value.shape = ConfigValue::Shape::kList;
      for (const auto& item : node) {
        if (!item.IsScalar())
          return Error{"line " + std::to_string(item.Mark().line + 1) + ": expected a plain value"};
        value.list.push_back(item.Scalar());
      }
    }
    return Ok{};
  }

  static Result<> to_pairs(const YAML::Node& node, std::vector<std::pair<std::string, std::string>>& pairs) {
    for (const auto& entry : node) {
      if (!entry.first.IsScalar() || !entry.second.IsScalar())
        return Error{"line " + std::to_string(entry.first.Mark().line + 1) + ": expected name: value"};
      pairs.emplace_back(entry.first.Scalar(), entry.second.Scalar());
    }
    return Ok{};
  }

  std::string where(const YAML::Node& node) const {
    const YAML::Mark mark = node.Mark();
    if (mark.is_null()) return name_;
    return name_ + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
  }

  Config& config_;
  std::string name_;
  std::map<std::string, std::string> lines_;
};

// YAML forbids tabs in indentation; its parsers then complain about something else.
std::optional<size_t> tab_indented_line(std::string_view text) {
  size_t line = 1;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const size_t content = text.find_first_not_of(" \t\r");
    const size_t tab = text.find('\t');
    if (tab < content && content < end && text[content] != '#') return line;
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
  }
  return std::nullopt;
}

class Nothing : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}
};

// 0, 1, or 2 for more. To yaml-cpp a comma where a value should be begins one document after the other,
// without end and without reading on: LoadAll() takes all memory.
int count_documents(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Nothing nothing;
  int documents = 0;
  while (documents < 2 && parser.HandleNextDocument(nothing)) ++documents;
  return documents;
}

bool has_suffix(std::string_view name, std::string_view part) {
  const size_t found = name.find(part);
  return found != std::string_view::npos &&
         (found + part.size() == name.size() || name[found + part.size()] == '_');
}

// Kubernetes sets these in every container of a namespace that has a Service named llmtap or llmtap-…:
// {NAME}_SERVICE_HOST, {NAME}_SERVICE_PORT[_{PORT NAME}], {NAME}_PORT[_{NUMBER}_{PROTOCOL}[_…]].
bool is_service_link(std::string_view name, std::string_view value) {
  if (has_suffix(name, "_SERVICE_HOST") || has_suffix(name, "_SERVICE_PORT")) return true;
  if (name.ends_with("_PORT") && value.find("://") != std::string_view::npos) return true;
  const size_t port = name.find("_PORT_");
  return port != std::string_view::npos && port + 6 < name.size() && name[port + 6] >= '0' &&
         name[port + 6] <= '9';
}

// Variables that other parts of the project read.
bool is_reserved(std::string_view name) {
  return name == "LLMTAP_CONFIG" || name == "LLMTAP_UPDATE_GOLDEN" || name.starts_with("LLMTAP_TEST_");
}

}  // namespace

Result<> apply_yaml(Config& config, const std::string& text, const std::string& name) {
  if (const auto line = tab_indented_line(text))
    return at(name + ":" + std::to_string(*line), "a tab in the indentation; YAML takes spaces only");
  if (text.find('\0') != std::string::npos) return at(name, "is not YAML: it holds a NUL byte");
  try {
    const int documents = count_documents(text);
    if (documents == 0) return Ok{};
    if (documents > 1)
      return at(name, "holds several YAML documents, or a comma in front of a key; expected one document");
    const YAML::Node document = YAML::Load(text);
    if (document.IsNull()) return Ok{};
    if (!document.IsMap())
      return at(name + ":" + std::to_string(document.Mark().line + 1) + ":" +
                    std::to_string(document.Mark().column + 1),
                "expected `key: value` lines");
    return YamlReader(config, name).read(document, "", 0);
  } catch (const YAML::Exception& exception) {
    const std::string place = exception.mark.is_null()
                                  ? name
                                  : name + ":" + std::to_string(exception.mark.line + 1) + ":" +
                                        std::to_string(exception.mark.column + 1);
    return at(place, "is not YAML: " + exception.msg);
  } catch (const std::exception& exception) {
    return at(name, std::string("is not YAML: ") + exception.what());
  }
}

Result<> apply_setting(Config& config, const Setting& setting) {
  const ConfigKey* key = find_config_key(setting.key);
  if (!key) return unknown_key(setting.origin, setting.key);
  if (const auto problem = assign(config, *key, ConfigValue::of(setting.value)))
    return at(setting.origin, setting.key + ": " + *problem);
  return Ok{};
}

Result<> apply_environment(Config& config, std::span<const std::pair<std::string, std::string>> environment) {
  for (const auto& [name, value] : environment)
    if (name == "LOG_FORMAT")
      LLMTAP_TRY(apply_setting(config, {"log.requests.format", value, "environment LOG_FORMAT"}));
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("LLMTAP_") || is_reserved(name) || is_service_link(name, value)) continue;
    const std::string origin = "environment " + printable(name);
    const ConfigKey* found = nullptr;
    std::string key_name;
    for (const ConfigKey& key : config_keys()) {
      key_name = std::string(key.name);
      if (const size_t open = key_name.find('<'); open != std::string::npos) {
        const std::string head = environment_name(key_name.substr(0, open));
        const std::string tail = environment_name(key_name.substr(key_name.find('>') + 1)).substr(7);
        if (name.size() > head.size() + tail.size() && name.starts_with(head) && name.ends_with(tail))
          found = &key;
      } else if (environment_name(key_name) == name) {
        found = &key;
      }
      if (found) break;
    }
    if (!found) {
      std::vector<std::string> names;
      for (const ConfigKey& key : config_keys()) names.push_back(environment_name(key.name));
      const std::vector<std::string_view> views(names.begin(), names.end());
      const std::string_view near = nearest(name, views);
      const std::string hint =
          (near.empty() ? "" : "did you mean " + std::string(near) + "?\n") + std::string(kReferenceHint);
      return at(origin, "no key has this name", hint);
    }
    if (const auto problem = assign(config, *found, ConfigValue::of(value)))
      return at(origin, key_name + ": " + *problem);
  }
  return Ok{};
}

Result<Config> load_config(const ConfigSources& sources) {
  Config config;
  if (!sources.file.empty()) {
    std::ifstream file(sources.file, std::ios::binary);
    if (!file)
      return at(sources.file, std::strerror(errno), "the file of --config must exist and be readable");
    std::string text(kMaxFileBytes + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (file.bad()) return at(sources.file, "cannot be read: " + std::string(std::strerror(errno)));
    if (file.gcount() == 0 && !file.eof())
      return at(sources.file, "cannot be read (a directory?)",
                "the file of --config must exist and be readable");
    text.resize(static_cast<size_t>(file.gcount()));
    if (text.size() > kMaxFileBytes) return at(sources.file, "is larger than 1 MiB");
    LLMTAP_TRY(apply_yaml(config, text, sources.file));
  }
  LLMTAP_TRY(apply_environment(config, sources.environment));
  for (const Setting& setting : sources.settings) LLMTAP_TRY(apply_setting(config, setting));
  return config;
}

}  // namespace llmtap
