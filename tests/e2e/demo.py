#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration's part after the build; scripts/demo starts it."""
import argparse
import collections
import signal
import sys

from compare import row_problems
from harness import CLIENTS, Failure, Stack, get, lines_of, need, stop, wait_for
from rows import ROUTES, Row

OPENAI, ANTHROPIC, GOOGLE = "api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com"


def tokens(given, out, cached=0, **more):
    return {"input-tokens": given, "output-tokens": out, "cached-tokens": cached, "first-delay-ms": 40, "delay-ms": 4, **more}


# (row, host, model)
CALLS = [
    (Row("curl", "curl", "openai_chat", via="nginx", plan=tokens(1200, 180)), OPENAI, "gpt-4o-mini"),
    (Row("curl, streamed", "curl", "anthropic", True, via="nginx", plan=tokens(5200, 310, 4096, chunks=40)), ANTHROPIC, "claude-sonnet-4-5"),
    (Row("Python requests", "requests", "openai_responses", True, via="nginx", plan=tokens(800, 220, 512, chunks=30, **{"reasoning-tokens": 64})), OPENAI, "gpt-5"),
    (Row("Python httpx", "httpx", "gemini", True, via="nginx", plan=tokens(950, 140, chunks=12)), GOOGLE, "gemini-2.5-flash"),
    (Row("openai SDK (Python)", "openai_sdk", "openai_chat", True, via="nginx", plan=tokens(2100, 400, 1024, chunks=60)), OPENAI, "gpt-4o"),
    (Row("openai SDK (Python), 3 at once", "openai_sdk_async", "openai_chat", via="nginx", plan=tokens(300, 50), concurrency=3), OPENAI, "gpt-4o-mini"),
    (Row("anthropic SDK (Python)", "anthropic_sdk", "anthropic", True, via="nginx", plan=tokens(3100, 256, 2048, chunks=50)), ANTHROPIC, "claude-haiku-4-5"),
    (Row("Node fetch", "node_fetch", "openai_chat", True, via="nginx", plan=tokens(640, 90, chunks=20)), OPENAI, "gpt-4o-mini"),
    (Row("openai SDK (Node)", "node_openai", "openai_chat", via="nginx", plan=tokens(450, 75)), OPENAI, "gpt-4o"),
    (Row("anthropic SDK (Node)", "node_anthropic", "anthropic", True, via="nginx", plan=tokens(700, 120, chunks=25)), ANTHROPIC, "claude-haiku-4-5"),
    (Row("Python requests, refused", "requests", "openai_chat", via="nginx", plan={"status": 429, "retry-after": 7}, outcome="rate_limited"), OPENAI, "gpt-4o"),
]

COLUMNS = [("", 46), ("provider", 10), ("model", 26), ("status", 6), ("in", 6), ("out", 5), ("cached", 6), ("cost $", 9), ("ttft ms", 8), ("total ms", 9), ("chunks", 6)]
# (family, what a line must hold to be shown)
FAMILIES = (("llmtap_requests_total", 'hop="edge"'), ("llmtap_tokens_total", 'hop="edge"'), ("llmtap_cost_usd_total", ""),
            ("llmtap_time_to_first_token_seconds_count", 'direction="outbound"'), ("llmtap_events_lost_total", ""))


def spec_of(row, host, model, nginx, ca, number):
    # Node and Python's anyio take only an address from the resolver: they need the port in the URL.
    port = f":{nginx['tls_port']}" if row.client.startswith("node") or row.client.endswith("async") else ""
    headers = {f"x-test-{name}": str(value) for name, value in row.plan.items()}
    return {"client": row.client, "base": f"https://{host}{port}", "ca": ca, "dialect": row.dialect, "model": model, "stream": row.stream,
            "calls": row.calls, "concurrency": row.concurrency, "resolve": {host: ["127.0.0.1", nginx["tls_port"]]},
            "headers": {**headers, "x-test-id": f"demo{number}"}}


def text(value, digits=None):
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if digits is not None and isinstance(value, (int, float)) else str(value)


def show_line(title, line):
    cells = [title, text(line.get("provider")), text(line.get("model")), text(line.get("status")), text(line.get("input_tokens")),
             text(line.get("output_tokens")), text(line.get("cached_tokens")), text(line.get("cost_usd"), 6), text(line.get("ttft_ms"), 1),
             text(line.get("duration_ms"), 1), text(line.get("stream_chunks") if line.get("stream") else None)]
    print("  ".join(f"{cell[:width]:<{width}}" if at < 3 else f"{cell:>{width}}" for at, (cell, (_, width)) in enumerate(zip(cells, COLUMNS))))


def show_calls(done):
    print("\nEvery call once, as its client saw it; below it the same call at each further process of this node.\n")
    print("  ".join(f"{name:<{width}}" if at < 3 else f"{name:>{width}}" for at, (name, width) in enumerate(COLUMNS)))
    for row, lines, who_of in done:
        chains = collections.defaultdict(dict)
        unnamed = collections.Counter()
        for line in lines:
            hop = (who_of.get(line.get("pid")), line.get("direction"))
            # A refused call has no response id: its n-th line at each hop belongs to the n-th call.
            key = line.get("response_id") or f"#{unnamed[hop]}"
            unnamed[hop] += not line.get("response_id")
            chains[key][hop] = line
        for chain in chains.values():
            for number, hop in enumerate(ROUTES[row.via]):
                if hop in chain:
                    line = chain[hop]
                    who = f"{line.get('process') or hop[0]}[{line.get('pid')}] {hop[1]}"
                    edge = " *" if line.get("hop") == "edge" else ""
                    show_line(f"{row.name}: {who}{edge}" if number == 0 else f"{'   ' * number}└ {who}{edge}", line)
    print("\n  * the hop that sums count (hop=\"edge\"): each call exactly once")


def show_metrics(metrics, port):
    print("\nFrom /metrics (sums over hop=\"edge\" count each call once):\n")
    for family, part in FAMILIES:
        found = [line for line in metrics.splitlines() if line.startswith(family + "{") and part in line and not line.endswith(" 0")
                 and 'token_kind="content"' not in line]
        for line in found[:5]:
            print("  " + (line if len(line) < 230 else line[:200] + " … " + line[-24:]))
        if len(found) > 5:
            print(f"  … {len(found) - 5} more of {family}")
    print(f"""
To look further while it runs (scripts/demo --stay, or `llmtap run` on your own node):
  curl http://127.0.0.1:{port}/metrics        everything that is counted
  llmtap calls --address 127.0.0.1:{port}     the last calls
  llmtap doctor                              what of this node can be seen, and what not
""")


def check(done, ledger):
    problems = []
    numbers = 0
    for number, (row, lines, who_of) in enumerate(done):
        entries = [entry for entry in ledger if entry["test_id"] == f"demo{number}"]
        pids = collections.defaultdict(set)
        for pid, who in who_of.items():
            pids[who].add(pid)
        problems += [f"{row.name}: {problem}" for problem in row_problems(row, "", entries, lines, pids)]
        numbers += len(lines)
    return problems, numbers


def demonstrate(arguments, stack):
    server = stack.server()
    nginx = stack.nginx(server)
    # Agents run long: the probe finds this program's TLS when it starts, not at its first call.
    stack.start(["node", "-e", "setInterval(() => {}, 1e6)"], "node")
    tap = stack.llmtap(arguments.llmtap)
    print(f"llmtap runs as pid {tap['process'].pid} and is attached; an LLM server (pid {server['pid']}) answers behind nginx "
          f"(pid {min(nginx['pids'])}), TLS on both sides.\nCalling with {len(CALLS)} clients …", flush=True)
    done, want = [], 0
    for number, (row, host, model) in enumerate(CALLS):
        seen = stack.client(spec_of(row, host, model, nginx, stack.ca, number))
        failures = [one["failure"] for one in seen if one["failure"]]
        if failures:
            raise Failure(f"{row.name}: {failures[0]}")
        who_of = {one["pid"]: "client" for one in seen} | {server["pid"]: "server"} | {pid: "nginx" for pid in nginx["pids"]}
        before = want
        want += row.total * len(ROUTES[row.via])
        mine = {pid for pid in who_of}
        try:
            wait_for("the log", lambda: sum(line.get("pid") in all_pids(done) | mine for line in lines_of(tap["log"])) >= want, 10, tap["process"])
        except Failure as failure:
            print(f"  {row.name}: {failure}")
        lines = [line for line in lines_of(tap["log"]) if line.get("pid") in all_pids(done) | mine]
        done.append((row, lines[before:] if len(lines) >= before else [], who_of))
        want = len(lines)
    metrics = get(tap["port"], "/metrics")[1]
    ledger = lines_of(server["ledger"])
    show_calls(done)
    show_metrics(metrics, tap["port"])
    problems, numbers = check(done, ledger)
    if arguments.stay:
        print("Running until Ctrl-C …", flush=True)  # scripts/demo passes it on as SIGTERM
        signal.pause()
    status = stop(tap["process"])
    if status:
        problems.append(f"llmtap ended with {status}: {tap['stderr'].read_text()[-2000:]}")
    for problem in problems:
        print(f"DIFFERENT: {problem}")
    if not problems:
        print(f"The server's own ledger of {len(ledger)} calls agrees with every number in these {numbers} lines.")
    return 1 if problems else 0


def all_pids(done):
    return {pid for _, _, who_of in done for pid in who_of}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--stay", action="store_true")
    arguments = parser.parse_args()
    need((CLIENTS / "installed").exists(), "run scripts/setup-clients first", 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with Stack(arguments.folder) as stack:
            return demonstrate(arguments, stack)
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
