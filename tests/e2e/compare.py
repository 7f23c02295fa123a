# SPDX-License-Identifier: Apache-2.0
"""Compares three accounts of the same calls: the server's ledger, the client's own, llmtap's log."""
import collections
import re

from rows import ROUTES

# The classes of finish reasons beside the providers' words.
FINISH = {"stop": "stop", "end_turn": "stop", "STOP": "stop", "completed": "stop", "tool_calls": "tool", "tool_use": "tool"}


def client_problems(row, ledger, seen):
    """Differences between the ledger and what the client's library said."""
    problems = []
    if len(seen) != row.total:
        problems.append(f"the client made {len(seen)} calls, not {row.total}")
    failures = [one["failure"] for one in seen if one["failure"]]
    if bool(failures) != row.client_fails:
        problems.append(f"the client's failures: {failures[:3]}")
    if row.own_server or row.client_fails or row.spec.get("abort_after"):
        return problems
    if len(ledger) != row.total:
        problems.append(f"the server answered {len(ledger)} calls, not {row.total}")
    by_id = {entry["id"]: entry for entry in ledger if entry["id"]}
    for one in seen:
        entry = by_id.get(one["id"]) or (ledger[0] if ledger else None)
        if entry is None:
            continue
        pairs = [("status", one["status"], entry["status"])]
        if entry["usage"]:
            pairs += [(name, one[name], entry[name]) for name in ("input_tokens", "output_tokens")]
            pairs.append(("model", one["model"], entry["model"]))
        problems += [f"client's {name} is {mine!r}, the ledger's {theirs!r}" for name, mine, theirs in pairs if mine != theirs]
    return problems


def line_problems(line, entry, outcomes, floods=False):
    """Differences between one line of llmtap's log and the ledger's entry of that call."""
    want = {"status": entry["status"], "requested_model": entry["requested_model"], "stream": entry["stream"],
            "operation": entry["operation"], "request_bytes": entry["request_bytes"]}
    complete = entry["end"] == "complete"
    if entry["status"] == 200:
        # Converse does not say which model answered.
        if entry["dialect"] != "bedrock_converse":
            want["response_model"] = entry["model"]
    if complete:
        want["response_bytes"] = entry["response_bytes"]
        if entry["status"] == 200 and entry["stream"]:
            want["stream_chunks"] = entry["chunks"]
            want["tool_calls"] = entry["tool_calls"]
    problems = []
    if entry["usage"]:
        want["input_tokens"] = entry["input_tokens"]
        want["output_tokens"] = entry["output_tokens"]
        for name in ("cached_tokens", "cache_write_tokens"):
            if entry[name] and line.get(name) != entry[name] and supports(entry["dialect"], name):
                want[name] = entry[name]
        if entry["reasoning_tokens"] and supports(entry["dialect"], "reasoning_tokens"):
            want["reasoning_tokens"] = entry["reasoning_tokens"]
        if line.get("token_source") not in ("reported", "gateway"):
            problems.append(f"token_source is {line.get('token_source')!r} though usage was sent")
    elif line.get("token_source") == "reported" and complete:
        problems.append("token_source is 'reported' though no usage was sent")
    if complete and entry["finish_reason"]:
        got = line.get("finish_reason")
        got = got[0] if isinstance(got, list) and got else got
        if got not in (entry["finish_reason"], FINISH[entry["finish_reason"]]):
            want["finish_reason"] = entry["finish_reason"]
    problems += [f"{name} is {line.get(name)!r}, the ledger says {value!r}" for name, value in want.items() if line.get(name) != value]
    if line.get("outcome") not in outcomes:
        problems.append(f"outcome is {line.get('outcome')!r}, not {' or '.join(outcomes)}")
    if complete and not floods and (line.get("incomplete") or line.get("capture_complete") is False):
        problems.append(f"incomplete: {line.get('incomplete')!r}")
    if entry["status"] == 200 and complete:
        problems += time_problems(line, entry)
    return problems


def supports(dialect, name):
    """Whether the dialect's replies can carry this number at all."""
    if dialect.startswith("ollama"):
        return False
    if name == "reasoning_tokens":
        return dialect not in ("anthropic", "openai_embeddings", "bedrock_converse")
    if name == "cache_write_tokens":
        return dialect == "anthropic"
    return dialect != "openai_embeddings"


def time_problems(line, entry):
    """Order of the marks; no absolute time."""
    ttfb, ttft, duration = line.get("ttfb_ms"), line.get("ttft_ms"), line.get("duration_ms")
    problems = []
    if duration is None or duration <= 0:
        problems.append(f"duration_ms is {duration!r}")
    elif entry["stream"]:
        if ttft is None:
            problems.append("ttft_ms is missing")
        elif not 0 <= ttft <= duration:
            problems.append(f"ttft_ms {ttft} is not within duration_ms {duration}")
        elif ttfb is not None and ttft < ttfb:
            problems.append(f"ttft_ms {ttft} is before ttfb_ms {ttfb}")
    return problems


def row_problems(row, model, ledger, lines, pids):
    """Everything wrong with llmtap's lines of one row. pids: who -> set of process ids."""
    problems = []
    expected = ROUTES[row.via]
    by_hop = collections.defaultdict(list)
    who_of = {pid: who for who, ids in pids.items() for pid in ids}
    for line in lines:
        hop = (who_of.get(line.get("pid"), f"unknown process {line.get('pid')} ({line.get('process')})"), line.get("direction"))
        by_hop[hop].append(line)
    for hop in by_hop:
        if hop not in expected:
            problems.append(f"{len(by_hop[hop])} lines of {' '.join(map(str, hop))}, which takes no part")
    by_id = {entry["id"]: entry for entry in ledger if entry["id"]}
    for hop in expected:
        found = by_hop.get(hop, [])
        if len(found) != row.total:
            problems.append(f"{' '.join(hop)}: {len(found)} lines for {row.total} calls")
        outcomes = row.outcomes.get(hop[0], (row.outcome,))
        outcomes = (outcomes,) if isinstance(outcomes, str) else outcomes
        rest = [entry for entry in ledger if not entry["id"] or entry["status"] != 200]
        for line in sorted(found, key=lambda one: one.get("time", "")):
            entry = by_id.get(line.get("response_id")) if line.get("response_id") else None
            if entry is None:
                entry = rest.pop(0) if rest else ledger[0] if len(ledger) == 1 else None
            if entry is None:
                if not row.own_server:
                    problems.append(f"{' '.join(hop)}: response_id {line.get('response_id')!r} is in no reply of the server")
                elif line.get("outcome") not in outcomes:
                    problems.append(f"{' '.join(hop)}: outcome is {line.get('outcome')!r}, not {' or '.join(outcomes)}")
                continue
            problems += [f"{' '.join(hop)}: {problem}" for problem in line_problems(line, entry, outcomes, row.floods)]
    edges = [line for line in lines if line.get("hop") == "edge"]
    if len(edges) != row.total or any((who_of.get(line["pid"]), line["direction"]) != expected[-1] for line in edges):
        where = collections.Counter((who_of.get(line["pid"]), line["direction"], line.get("hop")) for line in lines)
        problems.append(f"hop=edge: {len(edges)} lines for {row.total} calls, by process: {dict(where)}")
    return problems


SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def samples(text):
    """(name, labels, value) of a Prometheus text."""
    for line in text.splitlines():
        match = SAMPLE.match(line)
        if match:
            yield match[1], dict(LABEL.findall(match[2] or "")), float(match[3])


def total(text, name, where):
    return sum(value for found, labels, value in samples(text) if found == name and where(labels))
