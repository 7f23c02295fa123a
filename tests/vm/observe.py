#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs in a guest: llmtap between curl and a server that keeps a ledger, once per condition.

  observe.py --llmtap BINARY [--crowd BINARY] --results DIR --row NAME CONDITION...

Conditions: all; tls (no plain HTTP: the kernel lets nobody read it); no-tracefs (not mounted, and not
mountable for want of CAP_SYS_ADMIN); plain (the same where uprobes want CAP_SYS_ADMIN too); crowd (crowd.py:
other calls, on busy CPUs). Each writes DIR/NAME[ CONDITION].json: what doctor says, what was counted, and the
differences from the ledger.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from compare import row_problems, samples, total  # noqa: E402
from harness import Failure, Stack, get, lines_of, stop, wait_for  # noqa: E402
from rows import Row  # noqa: E402

import crowd  # noqa: E402

# Emulated guests are ten times slower.
PATIENCE = 240
CALLS = [
    ("tls", "openai_chat", "/v1/chat/completions", False, 1),
    ("tls", "anthropic", "/v1/messages", True, 20),
    ("plain", "openai_chat", "/v1/chat/completions", True, 20),
    ("plain", "anthropic", "/v1/messages", False, 1),
]


def prepare(condition):
    """What the condition changes in this guest; returns words to start llmtap with."""
    if condition not in ("no-tracefs", "plain"):
        return []
    for path in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing", "/sys/kernel/debug"):
        while os.path.ismount(path):
            subprocess.run(["umount", "-l", path], check=True)
    # Debian's kernels want CAP_SYS_ADMIN for every perf event above 2.
    pathlib.Path("/proc/sys/kernel/perf_event_paranoid").write_text("2")
    return ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]


def curl(stack, server, number, call):
    via, dialect, path, stream, chunks = call
    model = f"vm{number}-in{1000 + number}-out{70 + number}-chunks{chunks}"
    base = f"http://127.0.0.1:{server['plain_port']}" if via == "plain" else f"https://127.0.0.1:{server['tls_port']}"
    body = {"model": model, "stream": stream, "max_tokens": 100, "messages": [{"role": "user", "content": "word " * 200}]}
    if stream and dialect == "openai_chat":
        body["stream_options"] = {"include_usage": True}
    with subprocess.Popen(["curl", "-sS", "--noproxy", "*", "--max-time", str(PATIENCE), "--cacert", stack.ca, "-H", "content-type: application/json",
                           "-d", json.dumps(body), base + path], stdout=subprocess.PIPE) as run:
        out = run.stdout.read()
    if run.returncode or not out:
        raise Failure(f"curl ended with {run.returncode}")
    row = Row(f"curl {via} {dialect}{' stream' if stream else ''}", "curl", dialect, stream, "plain" if via == "plain" else "tls")
    return row, model, run.pid


def observe(arguments, condition, words):
    doctor = subprocess.run([*words, arguments.llmtap, "doctor", "--json"], stdout=subprocess.PIPE, check=False, timeout=PATIENCE)
    facts = json.loads(doctor.stdout)["facts"]
    result = {"kernel": os.uname().release, "condition": condition, "facts": facts, "problems": []}
    if condition == "crowd":
        crowd.observe(arguments, result, PATIENCE)
        return result
    folder = tempfile.mkdtemp(prefix="llmtap-vm-", dir="/run")
    problems = result["problems"]
    try:
        with Stack(folder) as stack:
            server = stack.server()
            tap = stack.llmtap(arguments.llmtap, words=words)
            done = [curl(stack, server, number, call) for number, call in enumerate(CALLS) if condition not in ("tls", "plain") or call[0] == condition]

            def log():
                return lines_of(tap["log"])
            try:
                wait_for("the log", lambda: len(log()) >= 2 * len(done), 20, tap["process"])
            except Failure as failure:
                problems.append(f"{failure}: {len(log())} of {2 * len(done)} lines")
            metrics = get(tap["port"], "/metrics")[1]
            if stop(tap["process"], PATIENCE) != 0:
                problems.append(f"llmtap ended with {tap['process'].returncode}: {tap['stderr'].read_text()[-500:]}")
            ledger, lines = lines_of(server["ledger"]), log()
            for row, model, pid in done:
                mine = [entry for entry in ledger if entry["requested_model"] == model]
                told = [line for line in lines if line.get("requested_model") == model]
                found = row_problems(row, model, mine, told, {"client": {pid}, "server": {server["pid"]}})
                problems += [f"{row.name}: {one}" for one in found]
            edge = {"hop": "edge"}
            result["calls"] = total(metrics, "llmtap_requests_total", lambda labels: edge.items() <= labels.items())
            result["losses"] = [[name, labels.get("stage", ""), labels["reason"], value] for name, labels, value in samples(metrics)
                                if name in ("llmtap_events_lost_total", "llmtap_bytes_lost_total") and value
                                and labels["reason"] != "not_llm"]  # /readyz, asked by us
            if result["calls"] != len(done):
                problems.append(f"{result['calls']:g} calls at the edge in /metrics, not {len(done)}")
            for kind in ("input", "output"):
                ours = total(metrics, "llmtap_tokens_total", lambda labels, kind=kind: labels.get("hop") == "edge" and labels["type"] == kind)
                theirs = sum(entry[kind + "_tokens"] for entry in ledger)
                result[kind + "_tokens"] = ours
                if ours != theirs:
                    problems.append(f"{ours:g} {kind} tokens in /metrics, the ledger has {theirs}")
            if result["losses"]:
                problems.append(f"events lost: {result['losses']}")
    except (Failure, subprocess.TimeoutExpired) as failure:
        problems.append(str(failure))
    errors = pathlib.Path(folder, "llmtap.err")
    if problems and errors.exists():  # for whoever looks into it, not for the table
        print(errors.read_text()[-4000:], file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--crowd", help="the load of that condition")
    parser.add_argument("--results", required=True)
    parser.add_argument("--row", required=True)
    parser.add_argument("conditions", nargs="+", choices=("all", "tls", "plain", "no-tracefs", "crowd"))
    arguments = parser.parse_args()
    failed = False
    for condition in arguments.conditions:
        name = arguments.row + (f" {condition}" if condition in ("no-tracefs", "crowd") else "")
        result = {"row": name, **observe(arguments, condition, prepare(condition))}
        pathlib.Path(arguments.results, name.replace(" ", "_") + ".json").write_text(json.dumps(result, indent=1) + "\n")
        width = max(len(fact["name"]) for fact in result["facts"])
        print(f"{name} ({result['kernel']})")
        for fact in result["facts"]:
            print(f"  {fact['status']:<9} {fact['name']:<{width}}  {fact['detail']}")
        for problem in result["problems"]:
            print(f"  FAIL {problem}")
        if "sent" in result:
            print(f"  {result['calls']} of {result['sent']} calls whole; {result['unseen']:g} records unseen, {result['skipped']} runs skipped")
        elif not result["problems"]:
            print(f"  {result['calls']:g} calls, {result['input_tokens']:g} + {result['output_tokens']:g} tokens, exact; nothing lost")
        failed |= bool(result["problems"])
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
