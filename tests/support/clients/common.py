# SPDX-License-Identifier: Apache-2.0
"""What every Python client shares: requests made from a spec, and replies read as a client sees them.

A spec is a JSON object: base (scheme://host:port), ca, dialect, model, stream, headers, key, prompt,
prompt_bytes, calls (one after the other, on one connection where the library pools), concurrency
(so many workers, each making `calls`), include_usage, accept_encoding, request_encoding, abort_after
(events, then the client closes), resolve (host -> [address, port]), query.
"""
import hashlib
import json
import os
import socket
import sys

PATHS = {"openai_chat": "/v1/chat/completions", "openai_completions": "/v1/completions",
         "openai_responses": "/v1/responses", "openai_embeddings": "/v1/embeddings", "anthropic": "/v1/messages",
         "ollama": "/api/chat", "ollama_generate": "/api/generate"}


def load_spec():
    spec = json.loads(sys.argv[1]) if len(sys.argv) > 1 else json.load(sys.stdin)
    for name, default in {"model": "m", "stream": False, "headers": {}, "key": "sk-test-0123456789abcdefghij", "calls": 1,
                          "concurrency": 1, "include_usage": True, "abort_after": 0, "prompt_bytes": 0, "query": "",
                          "prompt": "Say hello.", "accept_encoding": "", "request_encoding": "", "resolve": {}}.items():
        spec.setdefault(name, default)
    if spec["resolve"]:
        use_addresses(spec["resolve"])
    return spec


def use_addresses(table):
    """Names of real providers, answered by the test server: only name resolution is changed."""
    original = socket.getaddrinfo

    def getaddrinfo(host, port, *rest, **named):
        name = host.decode() if isinstance(host, bytes) else host
        if name in table:
            return original(*table[name], *rest, **named)
        return original(host, port, *rest, **named)
    socket.getaddrinfo = getaddrinfo


def prompt(spec):
    size = spec.pop("first_prompt_bytes", 0) or spec["prompt_bytes"]
    if not size:
        return spec["prompt"]
    # Looks like usage, on purpose: counts must come from the provider's fields, never from text.
    trap = ' {"usage":{"prompt_tokens":1,"completion_tokens":1}} data: [DONE] '
    return (trap + "lorem ipsum " * (size // 12 + 1))[:size]


def body_of(spec):
    dialect, text = spec["dialect"], prompt(spec)
    messages = [{"role": "user", "content": text}]
    body = {"model": spec["model"]}
    if dialect == "openai_chat":
        body["messages"] = messages
        if spec["stream"] and spec["include_usage"]:
            body["stream_options"] = {"include_usage": True}
    elif dialect == "openai_completions":
        body["prompt"] = text
        if spec["stream"] and spec["include_usage"]:
            body["stream_options"] = {"include_usage": True}
    elif dialect == "openai_responses":
        body["input"] = text
    elif dialect == "openai_embeddings":
        body["input"] = [text] * spec.get("inputs", 1)
        return body
    elif dialect == "anthropic":
        body.update(max_tokens=1024, messages=messages)
    elif dialect.startswith("gemini"):
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    elif dialect == "ollama":
        body.update(messages=messages, stream=spec["stream"])
        return body
    elif dialect == "ollama_generate":
        body.update(prompt=text, stream=spec["stream"])
        return body
    if spec["stream"]:
        body["stream"] = True
    return body


def extra_fields(spec):
    """spec.body: text put into fields where providers take it, and into one that none knows."""
    forms = {"messages": None, "metadata": lambda text: {"user_id": text}, "tools": lambda text: [
        {"type": "function", "function": {"name": "f", "description": text}, "name": "f", "description": text}]}
    return {name: forms[name](text) if name in forms else text for name, text in spec.get("body", {}).items()
            if forms.get(name, str)}


def request_of(spec):
    """(url, headers, body bytes)"""
    dialect = spec["dialect"]
    query = spec["query"]
    if dialect.startswith("gemini"):
        verb = "streamGenerateContent" if spec["stream"] else "generateContent"
        path = f"/v1beta/models/{spec['model']}:{verb}"
        if spec["stream"] and dialect == "gemini":
            query = "alt=sse" + ("&" + query if query else "")
    else:
        path = PATHS[dialect]
    headers = {"content-type": "application/json"}
    if dialect == "anthropic":
        headers.update({"x-api-key": spec["key"], "anthropic-version": "2023-06-01"})
    elif dialect.startswith("gemini"):
        headers["x-goog-api-key"] = spec["key"]
    elif not dialect.startswith("ollama"):
        headers["authorization"] = "Bearer " + spec["key"]
    if spec["accept_encoding"]:
        headers["accept-encoding"] = spec["accept_encoding"]
    headers.update(spec["headers"])
    data = json.dumps({**body_of(spec), **extra_fields(spec)}).encode()
    if spec["request_encoding"] == "gzip":
        import gzip
        data, headers["content-encoding"] = gzip.compress(data), "gzip"
    elif spec["request_encoding"] == "zstd":
        import zstandard
        data, headers["content-encoding"] = zstandard.compress(data), "zstd"
    return spec["base"] + path + ("?" + query if query else ""), headers, data


class Seen:
    """What the client saw of one call; fed decoded body bytes."""

    def __init__(self, spec):
        self.spec, self.status, self.buffer = spec, 0, b""
        self.sha, self.bytes, self.events, self.streaming = hashlib.sha256(), 0, 0, False
        self.out = {"pid": os.getpid(), "id": None, "model": None, "input_tokens": None, "output_tokens": None, "cached_tokens": None,
                    "reasoning_tokens": None, "finish_reason": None, "error": None}

    def head(self, status, content_type):
        self.status = status
        self.streaming = "event-stream" in content_type or "ndjson" in content_type
        self.separator = b"\n" if "ndjson" in content_type else b"\n\n"
        return self

    def feed(self, data):
        self.bytes += len(data)
        if not self.streaming:
            self.buffer += data
            return
        self.buffer = self.buffer + data
        if b"\r\n\r\n" in self.buffer:
            self.separator = b"\r\n\r\n"
        *events, self.buffer = self.buffer.split(self.separator)
        for event in events:
            self.event(event)

    def event(self, event):
        for line in event.splitlines():
            data = line[5:].strip() if line.startswith(b"data:") else line if self.separator == b"\n" else b""
            if data and data != b"[DONE]":
                value = json.loads(data)
                if value.get("type") != "ping":
                    self.events += 1
                    self.value(value)

    def abort(self):
        limit = self.spec["abort_after"]
        return bool(limit) and self.events >= limit

    def value(self, value):
        out = self.out
        if isinstance(value, list):
            for part in value:
                self.events += 1
                self.value(part)
            return
        if value.get("error"):
            out["error"] = value["error"] if isinstance(value["error"], str) else value["error"].get("type") or value["error"].get("status")
            return
        if value.get("type") == "error":
            out["error"] = value.get("code") or "error"
            return
        inner = value.get("response") if isinstance(value.get("response"), dict) else value.get("message") if value.get("type") == "message_start" else value
        out["id"] = out["id"] or inner.get("id") or inner.get("responseId")
        out["model"] = out["model"] or inner.get("model") or inner.get("modelVersion")
        for choice in inner.get("choices") or []:
            out["finish_reason"] = choice.get("finish_reason") or out["finish_reason"]
            message = choice.get("delta") or choice.get("message") or {}
            self.text(message.get("content") or choice.get("text"))
        for candidate in inner.get("candidates") or []:
            out["finish_reason"] = candidate.get("finishReason") or out["finish_reason"]
            for part in candidate.get("content", {}).get("parts", []):
                self.text(part.get("text"))
        for part in inner.get("content") or [] if isinstance(inner.get("content"), list) else []:
            self.text(part.get("text"))
        if value.get("type") == "response.output_text.delta":
            self.text(value["delta"])
        elif isinstance(value.get("delta"), dict):
            self.text(value["delta"].get("text"))
            out["finish_reason"] = value["delta"].get("stop_reason") or out["finish_reason"]
        if inner.get("object") == "response" and not self.streaming:
            for item in inner["output"]:
                for part in item["content"]:
                    self.text(part["text"])
        if inner.get("object") == "response" and inner["status"] == "completed":
            out["finish_reason"] = "completed"
        if "done" in value:
            self.text(value["response"] if isinstance(value.get("response"), str) else (value.get("message") or {}).get("content"))
            out["finish_reason"] = value.get("done_reason") or out["finish_reason"]
            out["input_tokens"] = value.get("prompt_eval_count", out["input_tokens"])
            out["output_tokens"] = value.get("eval_count", out["output_tokens"])
        out["finish_reason"] = inner.get("stop_reason") or out["finish_reason"]
        self.usage(value.get("usage") or inner.get("usage"), inner.get("usageMetadata"))

    def usage(self, usage, google):
        out = self.out
        if usage:
            cached = usage.get("cache_read_input_tokens")
            if cached is not None:
                out["cached_tokens"] = cached
                out["input_tokens"] = usage["input_tokens"] + cached + usage.get("cache_creation_input_tokens", 0)
            elif usage.get("prompt_tokens", usage.get("input_tokens")) is not None:
                out["input_tokens"] = usage.get("prompt_tokens", usage.get("input_tokens"))
            out["output_tokens"] = usage.get("completion_tokens", usage.get("output_tokens", out["output_tokens"]))
            for details, name in (("prompt", "cached"), ("input", "cached"), ("completion", "reasoning"), ("output", "reasoning")):
                part = usage.get(details + "_tokens_details")
                if part:
                    out[name + "_tokens"] = part.get(name + "_tokens")
        if google:
            thoughts = google.get("thoughtsTokenCount", 0)
            out.update(input_tokens=google["promptTokenCount"], output_tokens=google["candidatesTokenCount"] + thoughts,
                       cached_tokens=google.get("cachedContentTokenCount", 0), reasoning_tokens=thoughts)

    def text(self, text):
        if text:
            self.sha.update(text.encode())

    def result(self, failure=None):
        if self.buffer and not failure:
            if self.streaming:
                self.event(self.buffer)
            else:
                try:
                    self.value(json.loads(self.buffer))
                except ValueError:
                    failure = "the body is no JSON"
        return {"status": self.status, **self.out, "events": self.events, "bytes": self.bytes,
                "text_sha": self.sha.hexdigest()[:16], "failure": failure}


def show(result, spec):
    print(json.dumps({"client": spec.get("client", ""), **result}), flush=True)
