#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What stands beside plain calls: beside.py --llmtap build/dev/llmtap

The openai SDK tries again, downloads the results of a batch twice, and a client calls a tool over MCP.
Retries must name their first attempt, the batch's tokens must count once, and the tool's call must be
in the families of MCP and in none of the models'."""
import argparse
import http.server
import json
import os
import subprocess
import threading

from compare import samples, total
from harness import CLIENTS, Failure, Stack, client_python, get, lines_of, need, run_main, scratch, stop, wait_for

CLIENT = """
import http.client, json, os, sys, openai
spec = json.loads(sys.argv[1])
client = openai.OpenAI(api_key="sk-test", base_url=spec["base"] + "/v1", max_retries=2)
ask = [{"role": "user", "content": "say something"}]
reply = client.chat.completions.create(model=spec["model"], messages=ask)
texts = [client.files.content("file-abcdef0123456789").text for _ in range(2)]
usages = [json.loads(line)["response"]["body"]["usage"] for line in texts[0].splitlines()]
tool = http.client.HTTPConnection("127.0.0.1", spec["port"])
message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": spec["model"], "arguments": {"q": "x"}}}
tool.request("POST", "/mcp", json.dumps(message), {"content-type": "application/json", "accept": "application/json, text/event-stream"})
tool.getresponse().read()
print(json.dumps({"pid": os.getpid(), "model": reply.model, "prompt_tokens": sum(u["prompt_tokens"] for u in usages),
                  "completion_tokens": sum(u["completion_tokens"] for u in usages)}))
"""


def reply_body(model, prompt, completion):
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}}


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    failures = 2

    def send(self, status, kind, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("retry-after-ms", "10")
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):  # pylint: disable=invalid-name
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/mcp":
            answer = {"jsonrpc": "2.0", "id": body["id"], "result": {"content": [{"type": "text", "text": "ok"}], "isError": False}}
            return self.send(200, "text/event-stream", f"event: message\ndata: {json.dumps(answer)}\n\n")
        if Provider.failures:
            Provider.failures -= 1
            return self.send(500, "application/json", json.dumps({"error": {"message": "down", "type": "server_error"}}))
        return self.send(200, "application/json", json.dumps(reply_body(body["model"], 7, 3)))

    def do_GET(self):  # pylint: disable=invalid-name
        lines = [{"id": f"batch_req_{i}", "custom_id": str(i), "error": None,
                  "response": {"status_code": 200, "request_id": str(i), "body": reply_body("gpt-4o-mini", 11 + i, 5)}} for i in range(3)]
        self.send(200, "application/octet-stream", "\n".join(json.dumps(line) for line in lines) + "\n")

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def problems_of(told, lines, metrics, model):
    mine = [line for line in lines if line["pid"] == told["pid"] and line["direction"] == "outbound"]
    attempts = [line for line in mine if line["requested_model"] == model]
    files = [line for line in mine if line["route"] == "/v1/files/{id}/content"]
    tools = [line for line in mine if line["operation"] == "mcp"]
    found = []

    def expect(what, got, want):
        if got != want:
            found.append(f"{what}: {got}, not {want}")
    expect("attempts", [line["status"] for line in attempts], [500, 500, 200])
    if len(attempts) == 3:
        first = attempts[0]["request_id"]
        expect("retry_of", [line.get("retry_of") for line in attempts], [None, first, first])
    expect("tokens of the batch", [(line["input_tokens"], line["output_tokens"]) for line in files],
           [(told["prompt_tokens"], told["completion_tokens"]), (None, None)])
    expect("results of the batch", [line.get("batch_results") for line in files], [3, None])
    if files and not files[0]["cost_usd"]:
        found.append("the batch has no cost")
    expect("tools", [(line["mcp_method"], line["mcp_tool"], line["outcome"]) for line in tools], [("tools/call", model, "ok")])
    labels = {"direction": "outbound", "method": "tools/call", "tool": model, "status": "ok"}
    expect("llmtap_mcp_calls_total", total(metrics, "llmtap_mcp_calls_total", lambda seen: labels.items() <= seen.items()), 1)
    models = [name for name, seen, _ in samples(metrics) if seen.get("operation") == "mcp" and "in_flight" not in name]
    expect("families of models with MCP in them", models, [])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "attaching probes needs root")
    need((CLIENTS / "installed").exists(), "the clients are not installed: run scripts/setup-clients")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    model = f"beside{os.getpid()}"
    with scratch("beside") as folder, Stack(folder) as stack:
        tap = stack.llmtap(arguments.llmtap)
        port = server.server_address[1]
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and not name.startswith("OPENAI_")}
        run = subprocess.run([client_python(), "-c", CLIENT, json.dumps({"base": f"http://127.0.0.1:{port}", "port": port, "model": model})],
                             capture_output=True, text=True, timeout=120, env=environment, stdin=subprocess.DEVNULL, check=False)
        if run.returncode:
            raise Failure(run.stderr[-2000:])
        told = json.loads(run.stdout)
        # Six exchanges at both ends; the tool's call is the last.
        wait_for("the log", lambda: sum(line.get("operation") == "mcp" and line.get("mcp_tool") == model for line in lines_of(tap["log"])) >= 2,
                 30, tap["process"])
        problems = problems_of(told, lines_of(tap["log"]), get(tap["port"], "/metrics")[1], model)
        if stop(tap["process"]):
            problems.append("llmtap ended with an error")
        print(*(["FAIL " + problem for problem in problems] or ["ok: retries, a batch, a tool"]), sep="\n")
        return 1 if problems else 0


if __name__ == "__main__":
    run_main(main)
