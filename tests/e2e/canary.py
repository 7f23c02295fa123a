#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts a secret everywhere a call can hold one, and looks for it in everything that llmtap says.

Each place gets its own secret, so that a finding names its place. Prompts and completions count as
secrets too. The same on WebSockets, where keys lie in subprotocols too. Looked at: /metrics, /api/calls, the request log, standard error and output.
"""
import argparse
import base64
import os
import urllib.parse

import ws_rows
from books import settle
from harness import CLIENTS, SUPPORT, Stack, client_python, get, lines_of, need, run_main, scratch, stop, wait_for

# Credentials by name, and names that no list knows.
HEADERS = ("authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "x-amz-security-token",
           "x-portkey-api-key", "x-portkey-config", "helicone-auth", "x-litellm-api-key", "mcp-session-id", "x-auth-token",
           "x-access-token", "x-company-thing", "x-litellm-tags", "x-litellm-end-user-id", "openai-organization", "openai-project",
           "referer", "x-forwarded-for-user", "idempotency-key", "user-agent", "x-request-id")
QUERIES = ("key", "access_token", "token", "sig", "session_id", "anything")
BODY = ("messages", "system", "user", "metadata", "safety_identifier", "tools", "unknown")
# A header whose value is an identifier that llmtap is meant to show; a credential in it is masked by its form.
FORMS = {"user-agent": "sk-proj-{}", "x-request-id": "sk-ant-api03-{}"}


class Secrets:
    def __init__(self):
        self.places = {}

    def new(self, place, form="{}"):
        text = f"CANARY{len(self.places):04d}x{os.urandom(8).hex()}"
        self.places[text] = place
        return form.format(text)

    def found(self, name, text):
        hits = []
        decoded = urllib.parse.unquote(text)
        for secret, place in self.places.items():
            encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
            if secret in text or secret in decoded or secret.lower() in text or encoded in text:
                at = max(text.find(secret) - 120, 0)
                hits.append(f"{name} shows the secret of {place}: {text[at:at + 260]!r}")
        return hits


def specs(secrets, base, ca):
    for status in (200, 401, 429, 500):
        for stream in (False, True):
            for dialect in ("openai_chat", "anthropic", "openai_responses", "gemini", "ollama"):
                place = f"{dialect}{' stream' if stream else ''} {status}"
                headers = {name: secrets.new(f"header {name} of {place}", FORMS.get(name, "{}")) for name in HEADERS}
                headers.update({"x-test-status": str(status), "x-test-error-echo": secrets.new(f"error message of {place}"),
                                "x-test-response-model": "m", "x-test-id": "canary"})
                if stream and status == 200:
                    headers["x-test-error-after"] = "3"
                query = "&".join(f"{name}={secrets.new(f'query {name} of {place}')}" for name in QUERIES)
                yield {"client": "http.client", "base": base, "ca": ca, "dialect": dialect, "stream": stream, "model": f"canary{os.getpid()}",
                       "headers": headers, "query": query, "prompt": secrets.new(f"prompt of {place}"), "key": secrets.new(f"key of {place}"),
                       "body": {name: secrets.new(f"body field {name} of {place}") for name in BODY}}


def on_websockets(secrets, stack, server, model):
    """Responses asked for, secrets in each."""
    calls = 0
    for tls in (True, False):
        for api, path in (("realtime", f"/v1/realtime?model={model}"), ("responses", "/v1/responses?"), ("live", ws_rows.LIVE_PATH.partition("key=")[0])):
            place = f"{api} on a WebSocket{'' if tls else ' in clear text'}"

            def new(what):
                return secrets.new(f"{what} of {place}")
            query = "&".join(f"{name}={new(f'query {name}')}" for name in QUERIES)
            headers = {name: secrets.new(f"header {name} of {place}", FORMS.get(name, "{}")) for name in HEADERS}
            protocols = ["realtime", f"openai-insecure-api-key.{new('the subprotocol')}", f"openai-organization.{new('an organisation in a subprotocol')}"]
            body = {name: new(f"body field {name}") for name in BODY}
            if api == "realtime":
                messages = [{"type": "session.update", "session": {"instructions": new("session")}},
                            {"type": "input_audio_buffer.append", "audio": new("audio")},
                            {"type": "response.create", "response": {"instructions": new("prompt"), "metadata": {"user": new("user")}}},
                            {"type": "response.create", "response": {"metadata": {"error": new("error message")}}}]
            elif api == "responses":
                messages = [{"type": "response.create", "model": model, "instructions": new("prompt"), **body,
                             "input": [{"role": "user", "content": new("input")}], "prompt_cache_key": new("cache key")}]
            else:
                turn = {"role": "user", "parts": [{"text": new("prompt")}]}
                messages = [{"setup": {"model": f"models/{model}", "systemInstruction": {"parts": [{"text": new("system")}]}}},
                            {"clientContent": {"turns": [turn], "turnComplete": True}, **body}]
            for compression in (None, "deflate"):
                ws_rows.call(stack, server, ws_rows.Row(place, "python", api, tls, compression), model, path=f"{path}{'&' if '=' in path else ''}{query}",
                             headers=headers, subprotocols=protocols, messages=messages, at_once=api == "realtime", answers=2 if api == "realtime" else None)
                calls += 2 if api == "realtime" else 1
    return calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--keep")
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "attaching probes needs root")
    need((CLIENTS / "installed").exists(), "the clients are not installed: run scripts/setup-clients")
    secrets, problems = Secrets(), []
    # A word of every completion that the server makes.
    secrets.places["jumps"] = "the completion"
    secrets.places["word word"] = "the completion on a WebSocket"
    secrets.places["UklGUklG"] = "the voice on a WebSocket"
    with scratch("canary", arguments.keep) as folder, Stack(folder) as stack:
        server = stack.server()
        tap = stack.llmtap(arguments.llmtap)
        calls = 0
        for scheme in ("https", "http"):
            port = server["tls_port" if scheme == "https" else "plain_port"]
            for spec in specs(secrets, f"{scheme}://127.0.0.1:{port}", stack.ca if scheme == "https" else None):
                stack.client(spec)
                calls += 1
        model = f"canary{os.getpid()}"
        process = stack.start([client_python(), SUPPORT / "ws_server.py", "--certs", stack.certs, "--ledger", stack.folder / "ws.ledger"], "ws")
        calls += on_websockets(secrets, stack, wait_for("the server listens", lambda: lines_of(stack.folder / "ws.out"), 20, process)[0], model)
        want = 2 * calls
        # Nothing seen would be nothing leaked: every call must be in the log.
        wait_for(f"the log has {want} lines", lambda: sum(line.get("requested_model") == model for line in lines_of(tap["log"])) >= want, 30, tap["process"])
        pages = {path: get(tap["port"], path) for path in ("/metrics", "/api/calls")}
        openmetrics = get(tap["port"], "/metrics", "application/openmetrics-text; version=1.0.0")
        problems += settle(tap["port"])
        status = stop(tap["process"])
        if status:
            problems.append(f"llmtap ended with {status}")
        for path, (code, text) in pages.items():
            if code != 200:
                problems.append(f"{path} answered {code}")
            problems += secrets.found(path, text)
        problems += secrets.found("/metrics as OpenMetrics", openmetrics[1])
        for name, path in (("the request log", tap["log"]), ("standard error", tap["stderr"]), ("standard output", stack.folder / "llmtap.out")):
            problems += secrets.found(name, path.read_text(errors="replace"))
    for problem in problems[:40]:
        print(f"FAIL {problem}")
    print(f"{len(secrets.places)} secrets, {len(problems)} findings")
    return 1 if problems else 0


if __name__ == "__main__":
    run_main(main)
