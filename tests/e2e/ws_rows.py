#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""End-to-end rows on WebSockets: ws_rows.py --llmtap build/dev/llmtap [--only TEXT] [-v]

Python's websockets, node's ws and the providers' SDKs talk to a server of ours that keeps a ledger. What
llmtap says of each response, at the client and at the server, must be the ledger's, each exactly once.
"""
import argparse
import collections
import functools
import json
import os
import subprocess

from books import settle
from harness import CLIENTS, SUPPORT, Failure, Stack, client_python, lines_of, need, run_main, scratch, stop, told, wait_for

FORGETFUL = {"threshold": 0, "serverNoContextTakeover": True, "clientNoContextTakeover": True}
Row = collections.namedtuple("Row", "name client api tls compression options note", defaults=(True, None, {}, ""))
ROWS = [
    Row("websockets responses deflate", "python", "responses", True, "deflate"),
    Row("websockets realtime deflate", "python", "realtime", True, "deflate"),
    Row("websockets responses plain", "python", "responses", False),
    Row("websockets lanes", "python", "lanes", True, "deflate"),
    Row("websockets live", "python", "live", True, "deflate"),
    Row("ws responses", "node", "responses"),
    Row("ws responses deflate", "node", "responses", True, "deflate", {"threshold": 0}),
    Row("ws realtime deflate without context takeover", "node", "realtime", True, "deflate", FORGETFUL),
    Row("openai_sdk realtime", "openai_sdk", "realtime"),
    Row("openai_sdk responses", "openai_sdk", "responses"),
    Row("genai_sdk live", "genai_sdk", "live"),
    Row("node_openai realtime", "node_openai", "realtime"),
    Row("node_openai responses", "node_openai", "responses"),
    Row("ws responses over HTTP/2", "node_http2", "responses"),
    Row("websockets without an LLM", "python", "chat", True, "deflate"),
]
# Its connection is open, and its first response given, when llmtap starts.
MIDDLE = Row("websockets met in the middle", "python", "responses")
LIVE_PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=AIzaTest0123456789"


def messages(row, model):
    """Four responses; of the Responses API a warm-up, then three of which each names the one before."""
    if row.api == "realtime":
        again = {"type": "response.create", "response": {"instructions": "again"}}
        return [again, again, {"type": "response.create", "response": {"metadata": {"end": "cancelled"}}}, again]
    turn = {"role": "user", "parts": [{"text": "say something"}]}
    if row.api == "live":
        if row.client == "genai_sdk":
            return [{"turns": turn, "turn_complete": True}] * 4
        return [{"setup": {"model": f"models/{model}"}}] + [{"clientContent": {"turns": [turn], "turnComplete": True}}] * 4
    if row.api == "chat":
        return [{"echo": number, "type": "response.message"} for number in range(20)]
    text = [{"role": "user", "content": "say something " * 20}]
    ask = {"type": "response.create", "model": model, "instructions": "Be short."}
    if row.api == "lanes":
        return [{**ask, "input": text, "stream_id": lane} for lane in ("a", "b", "a", "c")]
    return [{**ask, "input": [], "generate": False}] + [{**ask, "previous_response_id": f"resp_x{i}", "input": text} for i in range(3)]


def path_of(row, model):
    return {"realtime": f"/v1/realtime?model={model}", "live": LIVE_PATH, "chat": "/chat"}.get(row.api, "/v1/responses")


def start(stack, server, row, model, **more):
    port = server["tls_port" if row.tls else "plain_port"]
    spec = {"client": row.client, "api": row.api, "url": f"{'wss' if row.tls else 'ws'}://127.0.0.1:{port}", "path": path_of(row, model), "model": model,
            "ca": stack.ca if row.tls else None, "compression": row.compression, "options": row.options, "messages": messages(row, model),
            "headers": {"Authorization": "Bearer sk-test-0123456789"}, "at_once": row.api == "lanes", "certs": str(stack.certs), **more}
    script = SUPPORT / "clients" / ("ws.mjs" if row.client.startswith("node") else "ws.py")
    environment = {**os.environ, "SSL_CERT_FILE": stack.ca, "NODE_EXTRA_CA_CERTS": stack.ca, "LLMTAP_NODE_MODULES": str(CLIENTS / "node"), "NO_PROXY": "*"}
    command = ["node" if row.client.startswith("node") else client_python(), str(script), json.dumps(spec)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def finish(process, row):
    output, _ = process.communicate(timeout=120)
    if process.returncode:
        raise Failure(f"{row.client} ended with {process.returncode}: {output.decode(errors='replace')[-1500:]}")
    return process.pid


def call(stack, server, row, model, **more):
    return finish(start(stack, server, row, model, **more), row)


def line_problems(who, direction, line, entry):
    want = {"direction": direction, "outcome": entry["outcome"], "status": 200, "stream": True, "operation": entry["operation"],
            "requested_model": entry["model"], "input_tokens": entry["input_tokens"], "output_tokens": entry["output_tokens"],
            "cached_tokens": entry["cached_tokens"], "token_source": "reported"}
    if entry["id"]:
        want["response_model"] = entry["model"]
    found = [f"{who}: {name} is {line.get(name)!r}, the ledger says {value!r}" for name, value in want.items() if line.get(name) != value]
    if line.get("incomplete"):
        found.append(f"{who}: incomplete is {line['incomplete']!r}")
    marks = ["ttft_ms"] if entry["audio"] is False else ["ttft_ms", "first_audio_ms", "first_text_ms"] if entry["audio"] else []
    found += [f"{who}: {mark} is {line.get(mark)!r} of {line['duration_ms']!r}" for mark in marks if not 0 <= (line.get(mark) or -1) <= line["duration_ms"]]
    return found


def problems_of(lines, ledger, pids):
    """Gemini Live has no response ids: the prompts' tokens, which no two share, stand for them."""
    found = []
    for who, pid, direction in (("client", pids[0], "outbound"), ("server", pids[1], "inbound")):
        mine = [line for line in lines if line["pid"] == pid and line["direction"] == direction]
        if len(mine) != len(ledger):
            found.append(f"{who}: {len(mine)} lines for {len(ledger)} responses")
        for entry in ledger:
            name = "response_id" if entry["id"] else "input_tokens"
            line = next((line for line in mine if line.get(name) == (entry["id"] or entry["input_tokens"])), None)
            found += line_problems(who, direction, line, entry) if line else [f"{who}: no line of {entry['id'] or entry['input_tokens']}"]
    return found


def run_row(stack, tap, server, ledger, row, model):
    def of_model(path):
        return [line for line in lines_of(path) if model in (line.get("model"), line.get("requested_model"))]
    try:
        pid = call(stack, server, row, model, ledger=str(ledger))
        if row.api == "chat":
            # What comes behind it is seen when it has been read.
            call(stack, server, row._replace(api="responses"), model)
        if row.api == "chat":
            wait_for("the log", lambda: len(of_model(tap["log"])) >= 8, 20, tap["process"])
            return [f"a call of {line['operation']}" for line in lines_of(tap["log"]) if line["pid"] == pid]
        # Both ends of HTTP/2 are in one process.
        pids = (pid, pid if row.client == "node_http2" else server["pid"])
        wait_for("the log", lambda: len(of_model(tap["log"])) >= 8, 20, tap["process"])
        return problems_of(of_model(tap["log"]), of_model(ledger), pids)
    except (Failure, subprocess.TimeoutExpired) as failure:
        lines = [{name: line.get(name) for name in ("pid", "direction", "operation", "response_id", "outcome", "incomplete")} for line in of_model(tap["log"])]
        return [str(failure), *map(str, lines)]


def exact(line, entry):
    return not line_problems("", line["direction"], line, entry)


def run_middle(tap, server, ledger, model, process, gate):
    try:
        gate.touch()
        pid = finish(process, MIDDLE)

        def lines():
            return [line for line in lines_of(tap["log"]) if model in (line.get("model"), line.get("requested_model"))]
        entries = {line["id"]: line for line in lines_of(ledger) if line["model"] == model}
        last = list(entries)[-1]
        wait_for("the log", lambda: sum(line.get("response_id") == last for line in lines()) == 2, 20, tap["process"])
        # Until the kernel is told that the connection is wanted, it copies the begin of each message: that is said.
        found = [f"{line['direction']}: {line}" for line in lines() if not line.get("incomplete") and not exact(line, entries[line["response_id"]])]
        found += [f"{who}: the last call is no line of {pid}" for who, pid in (("client", pid), ("server", server["pid"]))
                  if not any(line["pid"] == pid and line.get("response_id") == last and not line.get("incomplete") for line in lines())]
        return found
    except (Failure, subprocess.TimeoutExpired) as failure:
        return [str(failure), *(str(line) for line in lines_of(tap["log"]) if line["pid"] == process.pid)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "attaching probes needs root")
    need((CLIENTS / "node/node_modules/ws").exists(), "no clients: run scripts/setup-clients")
    bad, done = 0, []
    with scratch("ws") as folder, Stack(folder) as stack:
        ledger = stack.folder / "ws.ledger"
        process = stack.start([client_python(), SUPPORT / "ws_server.py", "--certs", stack.certs, "--ledger", ledger], "ws")
        server = wait_for("the server listens", lambda: lines_of(stack.folder / "ws.out"), 20, process)[0]
        # A library that is on the node for the first time is found by its mapping: its first call may pass.
        stack.start(["node", "-e", "setInterval(() => {}, 1e6)"], "node")
        early, gate, early_model = None, stack.folder / "gate", f"ws{os.getpid()}early"
        if arguments.only in MIDDLE.name:
            early = start(stack, server, MIDDLE, early_model, gate=str(gate),
                          messages=messages(MIDDLE, early_model) * 3)
            need(early.stdout.readline() == b"answered\n", "the early client got no answer", 1)
        tap = stack.llmtap(arguments.llmtap)
        rows = [(MIDDLE, lambda: run_middle(tap, server, ledger, early_model, early, gate))] if early else []
        rows += [(row, functools.partial(run_row, stack, tap, server, ledger, row, f"ws{os.getpid()}r{index}"))
                 for index, row in enumerate(row for row in ROWS if arguments.only in row.name)]
        for row, run in rows:
            done.append(row)
            bad += told(row.name, run(), arguments.verbose)
        unsettled = settle(tap["port"])
        if unsettled:
            raise Failure(f"the books: {unsettled}")
        if stop(tap["process"]):
            raise Failure(tap["stderr"].read_text()[-3000:])
    print(f"{len(done)} rows, {bad} failures")
    return 1 if bad or not done else 0


if __name__ == "__main__":
    run_main(main)
