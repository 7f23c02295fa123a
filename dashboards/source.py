#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the boards beside it: `source.py` writes, `source.py --check` fails if a board is not up to date."""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
CALLS = 'namespace=~"$namespace",workload=~"$workload",provider=~"$provider",model=~"$model"'
WORKLOAD = 'namespace=~"$namespace",workload=~"$workload"'
# Both ends of a call on one node are counted, and a gateway's call to its provider as well: the edge counts once.
EDGE = CALLS + ',hop="edge"'
FAILED = EDGE + ',outcome!~"ok|client_aborted"'
BROKEN = WORKLOAD + ',status_code=~"5.."'


def rate(family, by, selector):
    return f"sum by ({by}) (rate({family}{{{selector}}}[$__rate_interval]))"


def total(family, selector):
    return f"sum(rate({family}{{{selector}}}[$__rate_interval]))"


def quantile(q, family, selector, by=""):
    return f"histogram_quantile({q}, {rate(family + '_bucket', 'le' + by, selector)})"


def quantiles(family, selector):
    return [(f"p{int(q * 100)}", quantile(q, family, selector)) for q in (0.5, 0.95, 0.99)]


OVERVIEW = [
    ("stat", "LLM calls/s", "reqps", [("", total("llmtap_requests_total", EDGE))], 6),
    ("stat", "Calls that failed", "percentunit",
     [("", f'{total("llmtap_requests_total", FAILED)} / {total("llmtap_requests_total", EDGE)}')], 6),
    ("stat", "p95 of LLM calls", "s", [("", quantile(0.95, "llmtap_request_duration_seconds", CALLS))], 6),
    ("stat", "LLM calls in flight", "short", [("", f'sum(llmtap_in_flight_requests{{{WORKLOAD},provider=~"$provider"}})')], 6),
    ("timeseries", "Duration", "s", quantiles("llmtap_request_duration_seconds", CALLS), 12),
    ("timeseries", "Time to first token", "s", quantiles("llmtap_time_to_first_token_seconds", CALLS + ',token_kind="any"'), 12),
    ("timeseries", "Calls/s by model", "reqps", [("{{model}}", rate("llmtap_requests_total", "model", EDGE))], 12),
    ("timeseries", "Failed calls/s by outcome and status", "reqps",
     [("{{outcome}} {{status_code}}", rate("llmtap_requests_total", "outcome,status_code", EDGE + ',outcome!="ok"'))], 12),
    ("timeseries", "Tokens/s by model and direction", "short",
     [("{{model}} {{type}}", rate("llmtap_tokens_total", "model,type", EDGE + ',type=~"input|output"'))], 12),
    # Cost is booked at one hop of each chain of calls already.
    ("timeseries", "USD/hour by model", "currencyUSD", [("{{model}}", f"sum by (model) (rate(llmtap_cost_usd_total{{{CALLS}}}[1h])) * 3600")], 12),
    ("timeseries", "Time per output token, p95 by model", "s",
     [("{{model}}", quantile(0.95, "llmtap_time_per_output_token_seconds", CALLS, ",model"))], 12),
    ("timeseries", "Rate limited calls/s", "reqps", [("{{origin}} {{limit_type}}", rate("llmtap_rate_limited_total", "origin,limit_type", CALLS))], 12),
    ("timeseries", "Left of the rate limits", "percentunit",
     [("{{provider}} {{model}} {{kind}}",
       f"min by (provider,model,kind) (llmtap_ratelimit_remaining{{{CALLS}}} / llmtap_ratelimit_limit{{{CALLS}}})")], 12),
    ("timeseries", "Finish reasons/s", "reqps", [("{{reason}}", rate("llmtap_finish_reasons_total", "reason", CALLS))], 12),
    ("stat", "HTTP requests/s", "reqps", [("", total("llmtap_http_requests_total", WORKLOAD))], 6),
    ("stat", "HTTP replies of 5xx", "percentunit",
     [("", f'{total("llmtap_http_requests_total", BROKEN)} / {total("llmtap_http_requests_total", WORKLOAD)}')], 6),
    ("stat", "p95 of HTTP requests", "s", [("", quantile(0.95, "llmtap_http_request_duration_seconds", WORKLOAD))], 6),
    ("stat", "HTTP requests in flight", "short", [("", f"sum(llmtap_http_in_flight_requests{{{WORKLOAD}}})")], 6),
    ("timeseries", "HTTP requests/s by class", "reqps",
     [("{{class}}", 'sum by (class) (label_replace(rate(llmtap_http_requests_total{' + WORKLOAD + '}[$__rate_interval]), "class", "${1}xx", "status_code", "(.).*"))')], 12),
    ("bargauge", "Routes with the most requests/s", "reqps", [("{{route}}", f'topk(10, {rate("llmtap_http_requests_total", "route", WORKLOAD)})')], 6),
    ("bargauge", "Slowest routes, p95", "s",
     [("{{route}}", f'topk(10, {quantile(0.95, "llmtap_http_request_duration_seconds", WORKLOAD, ",route")})')], 6),
]

PROBE = [
    ("stat", "Nodes observed", "short", [("", "count(llmtap_build_info)")], 6),
    ("stat", "Connections in clear", "percentunit",
     [("", 'sum(rate(llmtap_coverage_connections_total{visibility="clear"}[$__rate_interval])) / sum(rate(llmtap_coverage_connections_total[$__rate_interval]))')], 6),
    ("stat", "Events lost/s", "short", [("", "sum(rate(llmtap_events_lost_total[$__rate_interval]))")], 6),
    ("stat", "CPU of the busiest probe", "percentunit", [("", "max(sum by (instance) (rate(llmtap_probe_cpu_seconds_total[$__rate_interval])))")], 6),
    ("timeseries", "Coverage by workload, lowest ten", "percentunit",
     [("{{workload}}", f"bottomk(10, min by (workload) (llmtap_capture_coverage_ratio{{{WORKLOAD}}}))")], 12),
    ("timeseries", "Processes by what can be read", "short",
     [("{{runtime}} {{state}} {{reason}}", "sum by (runtime,state,reason) (llmtap_coverage_processes)")], 12),
    ("timeseries", "Attached targets", "short", [("{{kind}}", "sum by (kind) (llmtap_attached_targets)")], 12),
    ("timeseries", "Attach failures", "short", [("{{kind}} {{reason}}", "sum by (kind,reason) (increase(llmtap_attach_failures_total[$__rate_interval]))")], 12),
    ("timeseries", "Events/s", "short", [("{{source}}", "sum by (source) (rate(llmtap_events_total[$__rate_interval]))")], 12),
    ("timeseries", "Lost events and bytes/s", "short",
     [("events {{source}} {{reason}}", "sum by (source,reason) (rate(llmtap_events_lost_total[$__rate_interval]))"),
      ("bytes {{stage}} {{reason}}", "sum by (stage,reason) (rate(llmtap_bytes_lost_total[$__rate_interval]))"),
      ("skipped runs", "sum (rate(llmtap_probe_skipped_runs_total[$__rate_interval]))")], 12),
    ("timeseries", "Share of the time in which processes without LLM calls are left out", "percentunit",
     [("{{instance}}", "sum by (instance) (rate(llmtap_unfollowed_seconds_total[$__rate_interval]))")], 12),
    ("timeseries", "Incomplete calls/s", "reqps", [("{{workload}} {{reason}}", rate("llmtap_exchanges_incomplete_total", "workload,reason", WORKLOAD))], 12),
    ("timeseries", "Parse errors/s", "short", [("{{protocol}} {{stage}}", "sum by (protocol,stage) (rate(llmtap_parse_errors_total[$__rate_interval]))")], 12),
    ("timeseries", "CPU by part", "percentunit", [("{{instance}} {{part}}", "sum by (instance,part) (rate(llmtap_probe_cpu_seconds_total[$__rate_interval]))")], 12),
    ("timeseries", "Resident memory", "bytes", [("{{instance}}", "max by (instance) (llmtap_probe_resident_bytes)")], 12),
    ("timeseries", "Ring buffers, fullest", "percentunit", [("{{ring}}", "max by (ring) (llmtap_ring_usage_ratio)")], 12),
    ("timeseries", "Queues, longest", "short", [("{{queue}}", "max by (queue) (llmtap_queue_length)"),
                                                ("export {{signal}}", "max by (signal) (llmtap_export_queue_length)")], 12),
    ("timeseries", "Series and series refused", "short",
     [("{{family}}", "topk(10, sum by (family) (llmtap_series))"), ("refused {{family}}/s", "sum by (family) (rate(llmtap_series_dropped_total[$__rate_interval])) > 0")], 12),
    ("timeseries", "Exports/s by result", "short", [("{{signal}} {{result}}", "sum by (signal,result) (rate(llmtap_export_total[$__rate_interval]))")], 12),
    ("timeseries", "Open connections", "short", [("{{protocol}} {{verdict}}", "sum by (protocol,verdict) (llmtap_connections)")], 12),
]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def variable(name, family):
    return {"name": name, "type": "query", "datasource": SOURCE, "query": {"query": f"label_values({family}, {name})", "refId": name},
            "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}


def board(uid, title, panels, variables):
    placed, x, y = [], 0, 0
    for number, (kind, name, unit, queries, width) in enumerate(panels, 1):
        height = 4 if kind == "stat" else 8
        if x + width > 24:
            x, y = 0, y + previous
        placed.append({"id": number, "type": kind, "title": name, "datasource": SOURCE, "gridPos": {"x": x, "y": y, "w": width, "h": height},
                       "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                       "targets": [{"refId": chr(65 + index), "expr": expression, "legendFormat": legend, "datasource": SOURCE,
                                    **({"instant": True} if kind == "bargauge" else {})} for index, (legend, expression) in enumerate(queries)]})
        x, previous = x + width, height
    return {"uid": uid, "title": title, "tags": ["llmtap"], "schemaVersion": 39, "editable": True, "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"}, "panels": placed,
            "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}, *variables]}}


def boards():
    calls = [variable(name, "llmtap_requests_total") for name in ("namespace", "workload", "provider", "model")]
    observed = [variable(name, "llmtap_capture_coverage_ratio") for name in ("namespace", "workload")]
    return {"llm-overview": board("llm-overview", "LLM overview", OVERVIEW, calls), "llm-probe": board("llm-probe", "Probe health", PROBE, observed)}


def main():
    old = []
    for name, content in boards().items():
        path, text = HERE / f"{name}.json", json.dumps(content, indent=1) + "\n"
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            old.append(path.name)
    for name in old:
        print(f"dashboards: {name} is not up to date: run dashboards/source.py", file=sys.stderr)
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
