// SPDX-License-Identifier: Apache-2.0
#include "sinks/exposition.h"

#include <charconv>
#include <cmath>
#include <cstdint>

#include "base/ascii.h"

namespace llmtap {
namespace {

std::string_view take_until(std::string_view& rest, char separator) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view head = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return trimmed(head);
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char text[32];
    // Whole numbers in full up to 2^53: counters of bytes stay readable.
    const bool whole = std::nearbyint(value) == value && std::abs(value) < 9007199254740992.0;
    const auto end = whole ? std::to_chars(text, text + sizeof text, static_cast<int64_t>(value))
                           : std::to_chars(text, text + sizeof text, value);
    out.append(text, end.ptr);
  }
}

// `le` is part of a series' identity: written as Go's client library does (strconv 'g', shortest),
// so that boundaries match those of other exporters. OpenMetrics asks for floats to look like floats.
void append_bound(std::string& out, double bound, ExpositionFormat format) {
  if (std::isinf(bound)) {
    out += "+Inf";
    return;
  }
  char text[32];
  const bool exponent = bound != 0 && (std::abs(bound) < 1e-4 || std::abs(bound) >= 1e21);
  const auto end = std::to_chars(text, text + sizeof text, bound,
                                 exponent || (bound >= 1e6 && std::nearbyint(bound) == bound)
                                     ? std::chars_format::scientific
                                     : std::chars_format::fixed);
  const std::string_view written(text, static_cast<size_t>(end.ptr - text));
  out += written;
  if (format == ExpositionFormat::kOpenMetrics && written.find_first_of(".e") == std::string_view::npos)
    out += ".0";
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void append_labels(std::string& out, const prometheus::ClientMetric& metric, const double* bound,
                   ExpositionFormat format) {
  if (metric.label.empty() && !bound) return;
  char separator = '{';
  for (const auto& label : metric.label) {
    out += separator;
    out += label.name;
    out += "=\"";
    append_escaped(out, label.value, true);
    out += '"';
    separator = ',';
  }
  if (bound) {
    out += separator;
    out += "le=\"";
    append_bound(out, *bound, format);
    out += '"';
  }
  out += '}';
}

void append_exemplar(std::string& out, const std::vector<Exemplar>* exemplars, size_t index,
                     ExpositionFormat format) {
  if (format != ExpositionFormat::kOpenMetrics || !exemplars || index >= exemplars->size()) return;
  const Exemplar& exemplar = (*exemplars)[index];
  if (exemplar.trace_id.empty()) return;
  out += " # {trace_id=\"";
  append_escaped(out, exemplar.trace_id, true);
  out += "\"} ";
  append_number(out, exemplar.value);
  if (exemplar.timestamp_seconds > 0) {
    char text[32];
    const auto end =
        std::to_chars(text, text + sizeof text, exemplar.timestamp_seconds, std::chars_format::fixed, 3);
    out += ' ';
    out.append(text, end.ptr);
  }
}

std::string_view type_name(prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter: return "counter";
    case prometheus::MetricType::Histogram: return "histogram";
    default: return "gauge";
  }
}

void append_metric(std::string& out, std::string_view name, prometheus::MetricType type,
                   const prometheus::ClientMetric& metric, const std::vector<Exemplar>* exemplars,
                   ExpositionFormat format) {
  if (type != prometheus::MetricType::Histogram) {
    out += name;
    append_labels(out, metric, nullptr, format);
    out += ' ';
    append_number(out, type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value);
    if (type == prometheus::MetricType::Counter) append_exemplar(out, exemplars, 0, format);
    out += '\n';
    return;
  }
  for (size_t i = 0; i < metric.histogram.bucket.size(); ++i) {
    const auto& bucket = metric.histogram.bucket[i];
    out += name;
    out += "_bucket";
    append_labels(out, metric, &bucket.upper_bound, format);
    out += ' ';
    append_number(out, static_cast<double>(bucket.cumulative_count));
    append_exemplar(out, exemplars, i, format);
    out += '\n';
  }
  for (const bool sum : {true, false}) {
    out += name;
    out += sum ? "_sum" : "_count";
    append_labels(out, metric, nullptr, format);
    out += ' ';
    append_number(out,
                  sum ? metric.histogram.sample_sum : static_cast<double>(metric.histogram.sample_count));
    out += '\n';
  }
}

}  // namespace

ExpositionFormat negotiate_format(std::string_view accept) {
  double open_metrics = 0, text = 0;
  while (!accept.empty()) {
    std::string_view range = take_until(accept, ',');
    const std::string_view type = take_until(range, ';');
    double quality = 1;
    bool known_version = true;
    while (!range.empty()) {
      std::string_view parameter = take_until(range, ';');
      const std::string_view key = take_until(parameter, '=');
      if (key == "q") {
        if (std::from_chars(parameter.data(), parameter.data() + parameter.size(), quality).ec != std::errc{})
          quality = 0;
      } else if (key == "version" && type == "application/openmetrics-text") {
        known_version = parameter == "1.0.0" || parameter == "0.0.1";
      }
    }
    if (type == "application/openmetrics-text" && known_version)
      open_metrics = std::max(open_metrics, quality);
    if (type == "text/plain" || type == "text/*" || type == "*/*") text = std::max(text, quality);
  }
  return open_metrics > 0 && open_metrics >= text ? ExpositionFormat::kOpenMetrics : ExpositionFormat::kText;
}

std::string expose(std::span<const CollectedFamily> families, ExpositionFormat format) {
  std::string out;
  for (const CollectedFamily& collected : families) {
    const prometheus::MetricFamily& family = collected.family;
    // OpenMetrics names a counter's family without the suffix of its sample.
    std::string_view meta = family.name;
    if (format == ExpositionFormat::kOpenMetrics && family.type == prometheus::MetricType::Counter &&
        meta.ends_with("_total"))
      meta.remove_suffix(6);
    out.append("# HELP ").append(meta).append(" ");
    append_escaped(out, family.help, format == ExpositionFormat::kOpenMetrics);
    out.append("\n# TYPE ").append(meta).append(" ").append(type_name(family.type)).append("\n");
    for (size_t i = 0; i < family.metric.size(); ++i)
      append_metric(out, family.name, family.type, family.metric[i],
                    i < collected.exemplars.size() ? &collected.exemplars[i] : nullptr, format);
  }
  if (format == ExpositionFormat::kOpenMetrics) out += "# EOF\n";
  return out;
}

std::string_view content_type(ExpositionFormat format) {
  return format == ExpositionFormat::kOpenMetrics ? kOpenMetricsContentType : kTextContentType;
}

}  // namespace llmtap
