#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every query of dashboards/ against the families and labels that llmtap exposes, as the goldens of the
metrics and the table of families name them. Rules name a runbook that is there."""
import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOARDS = ROOT / "dashboards"
SINKS = ROOT / "tests/unit/sinks/golden"
# What Prometheus adds to what is scraped.
TARGET = {"job", "instance", "node", "pod"}
WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "sum", "min", "max", "avg",
         "count", "rate", "increase", "histogram_quantile", "topk", "bottomk", "label_replace"}


def exposed():
    """{sample name: labels}"""
    families = {"up": set()}
    for name in ("metrics.txt", "self_observation.txt"):
        text, kind = (SINKS / name).read_text(), {}
        for line in text.splitlines():
            if match := re.match(r"# TYPE (\S+) (\S+)", line):
                kind[match[1]] = match[2]
            elif match := re.match(r"(\w+)(?:\{(.*)\})? ", line):
                families.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    # Families that the goldens have no sample of.
    source = (ROOT / "userspace/sinks/metric_families.cpp").read_text()
    macros = dict(re.findall(r'#define (\w+)((?:.*\\\n)*.*)', source))

    def expand(text):
        for name, value in macros.items():
            text = re.sub(rf"\b{name}\b(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", lambda _, value=value: value.replace("\\\n", ""), text)
        return {label for label in "".join(re.findall(r'"([^"]*)"', text)).split(",") if label}

    for name, kind, labels in re.findall(r'\{"(llmtap_\w+)",\s*(k\w+),\s*((?:[A-Z]+\b|"[^"]*"|\s)+),', source):
        found = expand(expand_order(labels, macros))
        for suffix in ("_bucket", "_sum", "_count") if kind == "kHistogram" else ("",):
            known = families.setdefault(name + suffix, found | ({"le"} if suffix == "_bucket" else set()))
            if known - {"le"} != found:
                raise SystemExit(f"{name}: the golden has {sorted(known)}, metric_families.cpp {sorted(found)}")
    return families


def expand_order(labels, macros):
    """LIMIT is made of W: until nothing is left to replace."""
    for _ in macros:
        labels = re.sub(r"\b([A-Z]+)\b(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", lambda match: macros.get(match[1], match[0]).replace("\\\n", ""), labels)
    return labels


def problems_of(expression, families):
    """What of a query is not exposed."""
    text = re.sub(r"\[[^\]]*\]", "", expression)
    made = set(re.findall(r'label_replace\(.*,\s*"(\w+)",\s*"[^"]*",\s*"\w+"', text))
    problems, used = [], set()
    selectors = re.findall(r"\b([a-z_][a-z0-9_:]*)\s*(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', lambda match: match[0].replace("{", "<").replace("}", ">"), text))
    bare = re.sub(r'"[^"]*"', '""', text)
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", bare)
    plain = re.sub(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)", "", bare)
    names = set(re.findall(r"\b[a-zA-Z_][a-zA-Z0-9_:]*\b", re.sub(r"\{[^}]*\}", "", plain))) - WORDS
    for name in sorted(names):
        if name not in families:
            problems.append(f"{name} is not exposed")
        else:
            used |= families[name]
    for name, matchers in selectors:
        if name in families:
            problems += [f"{name} has no label {label}" for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)
                         if label not in families[name] | TARGET]
    for labels in grouped:
        problems += [f"no metric of it has the label {label}" for label in (part.strip() for part in labels.split(","))
                     if label not in used | TARGET | made]
    return problems + ([] if names else ["names no metric"])


def board_queries(board):
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def check_board(path, families):
    board = json.loads(path.read_text())
    problems = [] if board["uid"] == path.stem else [f"its uid is {board['uid']}"]
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set()
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            family, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
            if label not in families.get(family, ()):
                problems.append(f"variable {variable['name']}: {family} has no label {label}")
    for title, expression, legend in board_queries(board):
        used.update(re.findall(r'"\$(\w+)"', expression))
        problems += [f"{title}: {problem}" for problem in problems_of(expression, families)]
        grouped = {part.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for part in labels.split(",")}
        problems += [f"{title}: the legend shows {label}, which the query drops" for label in re.findall(r"\{\{(\w+)\}\}", legend) if label not in grouped]
        # A call through a gateway counts once.
        for family in ("llmtap_requests_total", "llmtap_tokens_total"):
            for selector in re.findall(family + r"(\{[^}]*\})?", expression):
                if 'hop="edge"' not in selector:
                    problems.append(f"{title}: {family} without hop=\"edge\"")
    problems += [f"the variable {name} is not there" for name in sorted(used - variables)]
    problems += [f"the variable {name} is not used" for name in sorted(variables - used - {"datasource"})]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    return problems + ([] if len(set(places)) == len(places) else ["two panels have one place"])


def check_rules(path, families):
    problems, runbooks = [], (BOARDS / "RUNBOOKS.md").read_text()
    anchors = {heading.strip().lower() for heading in re.findall(r"^## (.+)$", runbooks, re.M)}
    groups = yaml.safe_load(path.read_text())["groups"]
    known = dict(families)
    for rule in (rule for group in groups for rule in group["rules"]):
        name = rule.get("alert") or rule["record"]
        problems += [f"{name}: {problem}" for problem in problems_of(rule["expr"], known)]
        if "record" in rule:
            continue
        if rule["labels"]["severity"] not in ("page", "ticket", "info"):
            problems.append(f"{name}: severity {rule['labels']['severity']}")
        if not {"summary", "description", "runbook_url"} <= rule["annotations"].keys():
            problems.append(f"{name}: lacks an annotation")
        elif rule["annotations"]["runbook_url"] != f"dashboards/RUNBOOKS.md#{name.lower()}" or name.lower() not in anchors:
            problems.append(f"{name}: has no runbook")
        grouped = {part.strip() for labels in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for part in labels.split(",")}
        if grouped:
            shown = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
            problems += [f"{name}: the summary shows {label}, which the query drops" for label in shown if label not in grouped]
    return problems


def self_check(families):
    """The check finds what it is for."""
    for wrong in ("sum(llmtap_no_such_total)", 'sum(rate(llmtap_requests_total{modell="x"}[5m]))', "sum by (modell) (rate(llmtap_requests_total[5m]))",
                  "llmtap_request_duration_seconds", "1"):
        if not problems_of(wrong, families):
            raise SystemExit(f"finds nothing wrong with {wrong}")


def main():
    families = exposed()
    self_check(families)
    found, count = [], 0
    for path in sorted(BOARDS.glob("*.json")):
        count += len(list(board_queries(json.loads(path.read_text()))))
        found += [f"{path.name}: {problem}" for problem in check_board(path, families)]
    for path in sorted(BOARDS.glob("*.yaml")):
        found += [f"{path.name}: {problem}" for problem in check_rules(path, families)]
    for problem in found:
        print(f"FAIL {problem}")
    print(f"{count} queries of boards against {len(families)} samples: {len(found)} problems")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main())
