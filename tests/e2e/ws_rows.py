#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""End-to-end rows on WebSockets: ws_rows.py --llmtap build/dev/llmtap [--only TEXT] [-v]

Python's websockets and node's ws talk to a server of ours that keeps a ledger. What llmtap says of each
response, at the client and at the server, must be the ledger's, each exactly once.
"""
import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile

from harness import CLIENTS, SUPPORT, Failure, Stack, client_python, lines_of, need, stop, wait_for

PYTHON_CLIENT = """
import asyncio, json, ssl, sys
from websockets.asyncio.client import connect
spec = json.loads(sys.argv[1])
async def main():
    context = ssl.create_default_context(cafile=spec["ca"]) if spec["ca"] else None
    async with connect(spec["url"], ssl=context, compression=spec["compression"], additional_headers={"Authorization": "Bearer sk-test-0123456789"}) as socket:
        for message in spec["messages"]:
            await socket.send(json.dumps(message))
            while json.loads(await socket.recv())["type"] not in ("response.done", "response.completed"):
                pass
asyncio.run(main())
"""

NODE_CLIENT = """
const {createRequire} = require('module'), fs = require('fs'), spec = JSON.parse(process.argv[1]);
const WebSocket = createRequire(spec.modules + '/')('ws');
const socket = new WebSocket(spec.url, {ca: spec.ca ? fs.readFileSync(spec.ca) : undefined, perMessageDeflate: spec.compression ? spec.options : false,
                                        headers: {Authorization: 'Bearer sk-test-0123456789'}});
let next = 0;
const go = () => next < spec.messages.length ? socket.send(JSON.stringify(spec.messages[next++])) : socket.close();
socket.on('open', go);
socket.on('message', (data) => { if (/^response.(done|completed)$/.test(JSON.parse(data).type)) go(); });
"""

Row = collections.namedtuple("Row", "name client api tls compression options", defaults=({},))
ROWS = [
    Row("python websockets, Responses over TLS, deflate", "python", "responses", True, "deflate"),
    Row("python websockets, Realtime over TLS, deflate", "python", "realtime", True, "deflate"),
    Row("python websockets, Responses in clear text", "python", "responses", False, None),
    Row("node ws, Responses over TLS", "node", "responses", True, None),
    Row("node ws, Responses over TLS, deflate", "node", "responses", True, "deflate", {"threshold": 0}),
    Row("node ws, Realtime, deflate without context takeover", "node", "realtime", True, "deflate",
        {"threshold": 0, "serverNoContextTakeover": True, "clientNoContextTakeover": True}),
]


def messages(row, model):
    """A warm-up, then three responses of which each names the one before."""
    if row.api == "realtime":
        return [{"type": "response.create", "response": {"instructions": "again"}}] * 4
    text = [{"role": "user", "content": "say something " * 20}]
    ask = {"type": "response.create", "model": model, "instructions": "Be short."}
    return [{**ask, "generate": False}] + [{**ask, "previous_response_id": f"resp_x{i}", "input": text} for i in range(3)]


def call(stack, server, row, model):
    port = server["tls_port" if row.tls else "plain_port"]
    path = f"/v1/realtime?model={model}" if row.api == "realtime" else "/v1/responses"
    spec = json.dumps({"url": f"{'wss' if row.tls else 'ws'}://127.0.0.1:{port}{path}", "ca": stack.ca if row.tls else None,
                       "compression": row.compression, "options": row.options, "messages": messages(row, model), "modules": str(CLIENTS / "node")})
    command = [client_python(), "-c", PYTHON_CLIENT, spec] if row.client == "python" else ["node", "-e", NODE_CLIENT, spec]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = process.communicate(timeout=120)
    if process.returncode:
        raise Failure(f"{row.client} ended with {process.returncode}: {output.decode(errors='replace')[-1000:]}")
    return process.pid


def problems_of(lines, ledger, pids):
    found = []
    for who, pid, direction in (("client", pids[0], "outbound"), ("server", pids[1], "inbound")):
        mine = {line.get("response_id"): line for line in lines if line["pid"] == pid}
        count = sum(line["pid"] == pid for line in lines)
        if count != len(ledger):
            found.append(f"{who}: {count} lines for {len(ledger)} responses")
        for entry in ledger:
            line = mine.get(entry["id"])
            if line is None:
                found.append(f"{who}: no line of {entry['id']}")
                continue
            want = {"direction": direction, "outcome": "ok", "status": 200, "stream": True, "operation": entry["operation"],
                    "requested_model": entry["model"], "response_model": entry["model"], "input_tokens": entry["input_tokens"],
                    "output_tokens": entry["output_tokens"], "token_source": "reported"}
            found += [f"{who}: {name} is {line.get(name)!r}, the ledger says {value!r}" for name, value in want.items() if line.get(name) != value]
            if line.get("incomplete"):
                found.append(f"{who}: incomplete is {line['incomplete']!r}")
            if entry["operation"] != "warmup" and not 0 <= (line.get("ttft_ms") or -1) <= line["duration_ms"]:
                found.append(f"{who}: ttft_ms is {line.get('ttft_ms')!r} of {line['duration_ms']!r}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "attaching probes needs root")
    need((CLIENTS / "node/node_modules/ws").exists(), "no clients: run scripts/setup-clients")
    folder, bad, done = tempfile.mkdtemp(prefix="llmtap-ws-"), 0, []
    try:
        with Stack(folder) as stack:
            ledger = stack.folder / "ws.ledger"
            process = stack.start([client_python(), SUPPORT / "ws_server.py", "--certs", stack.certs, "--ledger", ledger], "ws")
            server = wait_for("the server listens", lambda: lines_of(stack.folder / "ws.out"), 20, process)[0]
            # A library that is on the node for the first time is found by its mapping: its first call may pass.
            stack.start(["node", "-e", "setInterval(() => {}, 1e6)"], "node")
            tap = stack.llmtap(arguments.llmtap)
            for index, row in enumerate(row for row in ROWS if arguments.only in row.name):
                model, problems = f"ws{os.getpid()}r{index}", []

                def of_model(path):
                    return [line for line in lines_of(path) if model in (line.get("model"), line.get("requested_model"))]
                try:
                    pid = call(stack, server, row, model)
                    wait_for("the log", lambda: len(of_model(tap["log"])) >= 8, 20, tap["process"])
                    problems = problems_of(of_model(tap["log"]), of_model(ledger), (pid, server["pid"]))
                except (Failure, subprocess.TimeoutExpired) as failure:
                    problems = [f"{failure}: {len(of_model(tap['log']))} lines in the log"]
                done.append(row)
                bad += bool(problems)
                if problems or arguments.verbose:
                    print(f"{'FAIL' if problems else 'ok  '} {row.name}", *problems[:10], sep="\n       ")
            if stop(tap["process"]):
                raise Failure(tap["stderr"].read_text()[-3000:])
    except Failure as failure:
        print(f"FAIL {failure}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(done)} rows, {bad} failures")
    return 1 if bad or not done else 0


if __name__ == "__main__":
    sys.exit(main())
