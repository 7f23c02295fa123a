# SPDX-License-Identifier: Apache-2.0
"""The replies of the test LLM server, byte for byte in the form that each provider sends.

A dialect turns (Plan, request) into either one JSON body or a sequence of stream events. Every event
is a tuple (bytes, bears_content, is_terminator); the server counts them for its ledger.
"""
import base64
import json
import random
import struct
import zlib

WORDS = ("the quick brown fox jumps over a lazy dog while seven wizards bottle jugs of ale and "
         "grüße from köln 東京 end").split()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Plan:
    """What a reply shall look like. Each field is set by a header x-test-NAME, or by a part of the
    model's name: m-chunks50-delay5ms-in100-out50."""

    # name: (default, spelling inside a model name)
    FIELDS = {
        "chunks": (10, "chunks"), "delay_ms": (0, "delay"), "first_delay_ms": (0, "first"),
        "input_tokens": (21, "in"), "output_tokens": (10, "out"), "cached_tokens": (0, "cached"),
        "cache_write_tokens": (0, "cwrite"), "reasoning_tokens": (0, "reasoning"),
        "tool_calls": (0, "tools"), "status": (200, "err"), "error_after": (0, "errmid"),
        "abort_after": (0, "abortmid"), "pad": (0, "pad"), "usage": (1, "usage"),
        "litellm": (0, "litellm"), "ratelimit": (0, "ratelimit"), "retry_after": (0, "retryafter"),
        "ping_every": (0, "ping"), "kill_after": (0, "kill"),
    }
    TEXTS = ("encoding", "framing", "error_type", "error_echo", "response_model", "id", "provider")
    ENCODINGS = ("gzip", "deflate", "br", "zstd")

    def __init__(self, headers, model):
        for name, (default, _) in self.FIELDS.items():
            setattr(self, name, default)
        for name in self.TEXTS:
            setattr(self, name, "")
        by_spelling = {spelling: name for name, (_, spelling) in self.FIELDS.items()}
        for part in model.split("-"):
            if part in self.ENCODINGS:
                self.encoding = part
            elif part == "nousage":
                self.usage = 0
            elif part in ("length", "close", "chunked"):
                self.framing = part
            else:
                word = part.rstrip("ms").rstrip("0123456789") if part.endswith("ms") else part.rstrip("0123456789")
                digits = part[len(word):].removesuffix("ms")
                if word in by_spelling and digits.isdigit():
                    setattr(self, by_spelling[word], int(digits))
        for name in self.FIELDS:
            value = headers.get("x-test-" + name.replace("_", "-"))
            if value is not None:
                setattr(self, name, int(value))
        for name in self.TEXTS:
            setattr(self, name, headers.get("x-test-" + name.replace("_", "-"), getattr(self, name)))
        self.model = self.response_model or {
            "gpt-4o-mini": "gpt-4o-mini-2024-07-18", "gpt-4o": "gpt-4o-2024-08-06",
            "claude-sonnet-4-5": "claude-sonnet-4-5-20250929"}.get(model, model)

    def words(self):
        """The content pieces of the reply; the same for the same plan."""
        pad = "x" * self.pad
        for i in range(max(1, self.chunks)):
            yield WORDS[i % len(WORDS)] + pad + " "

    def text(self):
        return "".join(self.words())


class Ids:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def new(self, prefix):
        return prefix + "%024x" % self.random.getrandbits(96)


class Dialect:
    name = operation = ""
    content_type = "text/event-stream"
    id_prefix = ""
    line_end = "\n"

    def event(self, value, name=None):
        head = f"event: {name}{self.line_end}" if name else ""
        return f"{head}data: {compact(value)}{self.line_end * 2}".encode()

    def finish(self, plan):
        return "stop"

    def stream_prefix(self):
        return b""

    def ping(self):
        return b": keep-alive\n\n"


class OpenAiChat(Dialect):
    name, operation, id_prefix = "openai_chat", "chat", "chatcmpl-"

    def usage(self, plan):
        return {"prompt_tokens": plan.input_tokens, "completion_tokens": plan.output_tokens,
                "total_tokens": plan.input_tokens + plan.output_tokens,
                "prompt_tokens_details": {"cached_tokens": plan.cached_tokens, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": plan.reasoning_tokens, "audio_tokens": 0,
                                              "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}

    def finish(self, plan):
        return "tool_calls" if plan.tool_calls else "stop"

    def usage_reported(self, plan, body, stream):
        if not plan.usage:
            return False
        # 2: as those providers do that send it whether it was asked for or not.
        return not stream or plan.usage == 2 or bool((body.get("stream_options") or {}).get("include_usage"))

    def reply(self, plan, body, rid):
        message = {"role": "assistant", "content": plan.text(), "refusal": None, "annotations": []}
        if plan.tool_calls:
            message["content"] = None
            message["tool_calls"] = [{"id": f"call_{i}", "type": "function", "function": {
                "name": f"tool_{i}", "arguments": compact({"q": plan.text()})}} for i in range(plan.tool_calls)]
        value = {"id": rid, "object": "chat.completion", "created": 1767323045, "model": plan.model,
                 "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish(plan)}]}
        if plan.usage:
            value["usage"] = self.usage(plan)
        value.update(service_tier="default", system_fingerprint="fp_test")
        return value

    def chunk(self, plan, rid, choices, usage, include):
        value = {"id": rid, "object": "chat.completion.chunk", "created": 1767323045, "model": plan.model,
                 "service_tier": "default", "system_fingerprint": "fp_test", "choices": choices}
        if include:
            value["usage"] = usage
        value["obfuscation"] = "o" * 7
        return self.event(value)

    def stream(self, plan, body, rid):
        include = self.usage_reported(plan, body, True)

        def choice(delta, finish=None):
            return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        yield self.chunk(plan, rid, choice({"role": "assistant", "content": "", "refusal": None}), None, include), False, False
        if plan.tool_calls:
            for i in range(plan.tool_calls):
                head = {"index": i, "id": f"call_{i}", "type": "function",
                        "function": {"name": f"tool_{i}", "arguments": ""}}
                yield self.chunk(plan, rid, choice({"tool_calls": [head]}), None, include), True, False
                arguments = compact({"q": plan.text()})
                step = max(1, len(arguments) // max(1, plan.chunks))
                for at in range(0, len(arguments), step):
                    piece = {"index": i, "function": {"arguments": arguments[at:at + step]}}
                    yield self.chunk(plan, rid, choice({"tool_calls": [piece]}), None, include), True, False
        else:
            for word in plan.words():
                yield self.chunk(plan, rid, choice({"content": word}), None, include), True, False
        yield self.chunk(plan, rid, choice({}, self.finish(plan)), None, include), False, False
        if include:
            yield self.chunk(plan, rid, [], self.usage(plan), include), False, False
        yield b"data: [DONE]\n\n", False, True

    def error(self, plan, message):
        kind = plan.error_type or {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(
            plan.status, "server_error" if plan.status >= 500 else "invalid_request_error")
        return {"error": {"message": message, "type": kind, "param": None, "code": kind}}

    def stream_error(self, plan, message):
        return self.event(self.error(plan, message)), False, False


class OpenAiCompletions(OpenAiChat):
    name, operation, id_prefix = "openai_completions", "text_completion", "cmpl-"

    def reply(self, plan, body, rid):
        value = {"id": rid, "object": "text_completion", "created": 1767323045, "model": plan.model,
                 "choices": [{"index": 0, "text": plan.text(), "logprobs": None, "finish_reason": "stop"}]}
        if plan.usage:
            value["usage"] = self.usage(plan)
        return value

    def stream(self, plan, body, rid):
        include = self.usage_reported(plan, body, True)

        def event(choices, usage):
            value = {"id": rid, "object": "text_completion", "created": 1767323045, "model": plan.model, "choices": choices}
            if include:
                value["usage"] = usage
            return self.event(value)
        for word in plan.words():
            yield event([{"index": 0, "text": word, "logprobs": None, "finish_reason": None}], None), True, False
        yield event([{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}], None), False, False
        if include:
            yield event([], self.usage(plan)), False, False
        yield b"data: [DONE]\n\n", False, True


class OpenAiResponses(Dialect):
    name, operation, id_prefix = "openai_responses", "responses", "resp_"

    def usage(self, plan):
        return {"input_tokens": plan.input_tokens, "input_tokens_details": {"cached_tokens": plan.cached_tokens},
                "output_tokens": plan.output_tokens,
                "output_tokens_details": {"reasoning_tokens": plan.reasoning_tokens},
                "total_tokens": plan.input_tokens + plan.output_tokens}

    def finish(self, plan):
        return "completed"

    def usage_reported(self, plan, body, stream):
        return bool(plan.usage)

    def item(self, plan, rid, text, status):
        content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}] if text is not None else []
        return {"id": "msg_" + rid[5:], "type": "message", "status": status, "role": "assistant", "content": content}

    def reply(self, plan, body, rid, status="completed", output=True):
        value = {"id": rid, "object": "response", "created_at": 1767323045, "status": status, "background": False,
                 "error": None, "incomplete_details": None, "instructions": body.get("instructions"),
                 "max_output_tokens": None, "model": plan.model,
                 "output": [self.item(plan, rid, plan.text(), "completed")] if output else [],
                 "parallel_tool_calls": True, "previous_response_id": body.get("previous_response_id"),
                 "reasoning": {"effort": None, "summary": None}, "service_tier": "default", "store": True,
                 "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
                 "top_p": 1.0, "truncation": "disabled"}
        value["usage"] = self.usage(plan) if plan.usage and status == "completed" else None
        value.update(user=None, metadata={})
        return value

    def stream(self, plan, body, rid):
        number = 0

        def event(name, **fields):
            nonlocal number
            value = {"type": name, "sequence_number": number, **fields}
            number += 1
            return self.event(value, name)
        at = {"item_id": "msg_" + rid[5:], "output_index": 0, "content_index": 0}
        yield event("response.created", response=self.reply(plan, body, rid, "in_progress", False)), False, False
        yield event("response.in_progress", response=self.reply(plan, body, rid, "in_progress", False)), False, False
        yield event("response.output_item.added", output_index=0, item=self.item(plan, rid, None, "in_progress")), False, False
        yield event("response.content_part.added", **at, part={"type": "output_text", "annotations": [], "text": ""}), False, False
        for word in plan.words():
            yield event("response.output_text.delta", **at, delta=word, logprobs=[], obfuscation="o" * 5), True, False
        text = plan.text()
        yield event("response.output_text.done", **at, text=text, logprobs=[]), False, False
        yield event("response.content_part.done", **at, part={"type": "output_text", "annotations": [], "text": text}), False, False
        yield event("response.output_item.done", output_index=0, item=self.item(plan, rid, text, "completed")), False, False
        yield event("response.completed", response=self.reply(plan, body, rid)), False, True

    error = OpenAiChat.error

    def stream_error(self, plan, message):
        kind = plan.error_type or "server_error"
        return self.event({"type": "error", "code": kind, "message": message, "param": None, "sequence_number": 9}, "error"), False, False


class OpenAiEmbeddings(OpenAiChat):
    name, operation, id_prefix = "openai_embeddings", "embeddings", ""

    def finish(self, plan):
        return None

    def reply(self, plan, body, rid):
        inputs = body.get("input")
        count = len(inputs) if isinstance(inputs, list) else 1
        vector = [round(((i * 37) % 2000 - 1000) / 1000, 6) for i in range(256)]
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack("<256f", *vector)).decode()
        return {"object": "list", "data": [{"object": "embedding", "index": i, "embedding": vector} for i in range(count)],
                "model": plan.model, "usage": {"prompt_tokens": plan.input_tokens, "total_tokens": plan.input_tokens}}


class Anthropic(Dialect):
    name, operation, id_prefix = "anthropic", "messages", "msg_"

    def base_usage(self, plan):
        # Anthropic's input_tokens leaves out what was read from or written to the cache.
        return {"input_tokens": plan.input_tokens - plan.cached_tokens - plan.cache_write_tokens,
                "cache_creation_input_tokens": plan.cache_write_tokens, "cache_read_input_tokens": plan.cached_tokens,
                "cache_creation": {"ephemeral_5m_input_tokens": plan.cache_write_tokens, "ephemeral_1h_input_tokens": 0},
                "service_tier": "standard"}

    def finish(self, plan):
        return "tool_use" if plan.tool_calls else "end_turn"

    def usage_reported(self, plan, body, stream):
        return bool(plan.usage)

    def tool(self, i, value):
        return {"type": "tool_use", "id": f"toolu_{i}", "name": f"tool_{i}", "input": value}

    def reply(self, plan, body, rid):
        content = [self.tool(i, {"q": plan.text()}) for i in range(plan.tool_calls)]
        value = {"model": plan.model, "id": rid, "type": "message", "role": "assistant",
                 "content": content or [{"type": "text", "text": plan.text()}],
                 "stop_reason": self.finish(plan), "stop_sequence": None}
        if plan.usage:
            value["usage"] = {**self.base_usage(plan), "output_tokens": plan.output_tokens}
        return value

    def event(self, value, name=None):
        # The provider pads with spaces before the last brace.
        return f"event: {value['type']}\ndata: {compact(value)[:-1]}{' ' * 5}}}\n\n".encode()

    def ping(self):
        return b'event: ping\ndata: {"type": "ping"}\n\n'

    def stream(self, plan, body, rid):
        message = {"model": plan.model, "id": rid, "type": "message", "role": "assistant", "content": [],
                   "stop_reason": None, "stop_sequence": None}
        if plan.usage:
            message["usage"] = {**self.base_usage(plan), "output_tokens": 1}
        yield self.event({"type": "message_start", "message": message}), False, False
        blocks = plan.tool_calls or 1
        for i in range(blocks):
            block = self.tool(i, {}) if plan.tool_calls else {"type": "text", "text": ""}
            yield self.event({"type": "content_block_start", "index": i, "content_block": block}), bool(plan.tool_calls), False
            if plan.tool_calls:
                arguments = compact({"q": plan.text()})
                step = max(1, len(arguments) // max(1, plan.chunks))
                for at in range(0, len(arguments), step):
                    delta = {"type": "input_json_delta", "partial_json": arguments[at:at + step]}
                    yield self.event({"type": "content_block_delta", "index": i, "delta": delta}), True, False
            else:
                for word in plan.words():
                    delta = {"type": "text_delta", "text": word}
                    yield self.event({"type": "content_block_delta", "index": i, "delta": delta}), True, False
            yield self.event({"type": "content_block_stop", "index": i}), False, False
        last = {"type": "message_delta", "delta": {"stop_reason": self.finish(plan), "stop_sequence": None}}
        last["usage"] = {"output_tokens": plan.output_tokens} if plan.usage else {}
        yield self.event(last), False, False
        yield self.event({"type": "message_stop"}), False, True

    def error(self, plan, message):
        kind = plan.error_type or {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
                                   429: "rate_limit_error", 529: "overloaded_error"}.get(plan.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_test"}

    def stream_error(self, plan, message):
        value = {"type": "error", "error": {"type": plan.error_type or "overloaded_error", "message": message}}
        return self.event(value), False, False


class Gemini(Dialect):
    name, operation, id_prefix, line_end = "gemini", "generate_content", "gen-", "\r\n"

    def usage(self, plan, output):
        usage = {"promptTokenCount": plan.input_tokens, "candidatesTokenCount": output,
                 "totalTokenCount": plan.input_tokens + output + plan.reasoning_tokens,
                 "promptTokensDetails": [{"modality": "TEXT", "tokenCount": plan.input_tokens}]}
        if plan.cached_tokens:
            usage["cachedContentTokenCount"] = plan.cached_tokens
        if plan.reasoning_tokens:
            usage["thoughtsTokenCount"] = plan.reasoning_tokens
        return usage

    def finish(self, plan):
        return "STOP"

    def usage_reported(self, plan, body, stream):
        return bool(plan.usage)

    def candidate(self, plan, rid, text, output, finish=None):
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        value = {"candidates": [candidate]}
        if plan.usage:
            value["usageMetadata"] = self.usage(plan, output)
        value.update(modelVersion=plan.model, responseId=rid)
        return value

    def reply(self, plan, body, rid):
        # candidatesTokenCount leaves out the thoughts; the plan's output counts them.
        return self.candidate(plan, rid, plan.text(), plan.output_tokens - plan.reasoning_tokens, "STOP")

    def values(self, plan, rid):
        total = plan.output_tokens - plan.reasoning_tokens
        count = max(1, plan.chunks)
        for i, word in enumerate(plan.words()):
            last = i == count - 1
            yield self.candidate(plan, rid, word, total if last else max(1, total * (i + 1) // count), "STOP" if last else None)

    def stream(self, plan, body, rid):
        for value in self.values(plan, rid):
            yield self.event(value), True, False

    def error(self, plan, message):
        status = plan.error_type or {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED",
                                     404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(plan.status, "INTERNAL")
        return {"error": {"code": plan.status if plan.status != 200 else 503, "message": message, "status": status}}

    def stream_error(self, plan, message):
        return self.event(self.error(plan, message)), False, False


class GeminiArray(Gemini):
    """streamGenerateContent without alt=sse: one JSON array, an element at a time."""
    content_type = "application/json; charset=UTF-8"

    def stream(self, plan, body, rid):
        first = True
        for value in self.values(plan, rid):
            yield (b"[" if first else b",\r\n") + json.dumps(value, indent=2, ensure_ascii=False).encode(), True, False
            first = False

    def stream_end(self):
        return b"]"

    def stream_error(self, plan, message):
        return b",\r\n" + compact(self.error(plan, message)).encode(), False, False


class Ollama(Dialect):
    name, operation, content_type = "ollama", "chat", "application/x-ndjson"
    key = "message"

    def usage_reported(self, plan, body, stream):
        return bool(plan.usage)

    def line(self, plan, text, done):
        value = {"model": plan.model, "created_at": "2026-01-02T03:04:05.678901234Z"}
        value.update({"message": {"role": "assistant", "content": text}} if self.key == "message" else {"response": text})
        value["done"] = done
        if done:
            value["done_reason"] = "stop"
            value.update(total_duration=900000000, load_duration=1000000)
            if plan.usage:
                value.update(prompt_eval_count=plan.input_tokens, prompt_eval_duration=20000000,
                             eval_count=plan.output_tokens, eval_duration=50000000)
        return value

    def reply(self, plan, body, rid):
        return self.line(plan, plan.text(), True)

    def stream(self, plan, body, rid):
        for word in plan.words():
            yield compact(self.line(plan, word, False)).encode() + b"\n", True, False
        yield compact(self.line(plan, "", True)).encode() + b"\n", False, False

    def ping(self):
        return b""

    def error(self, plan, message):
        return {"error": message}

    def stream_error(self, plan, message):
        return compact(self.error(plan, message)).encode() + b"\n", False, False


class OllamaGenerate(Ollama):
    operation, key = "text_completion", "response"


class BedrockConverse(Dialect):
    name, operation, content_type = "bedrock_converse", "converse", "application/vnd.amazon.eventstream"

    def usage(self, plan):
        return {"inputTokens": plan.input_tokens - plan.cached_tokens, "outputTokens": plan.output_tokens,
                "cacheReadInputTokens": plan.cached_tokens, "totalTokens": plan.input_tokens + plan.output_tokens}

    def usage_reported(self, plan, body, stream):
        return bool(plan.usage)

    def finish(self, plan):
        return "end_turn"

    def message(self, value, kind, message_type="event"):
        """One message of the event stream; kind is the event's or the exception's type."""
        def header(name, text):
            return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(text)) + text.encode()
        headers = (header(f":{message_type}-type", kind) + header(":content-type", "application/json")
                   + header(":message-type", message_type))
        payload = compact(value).encode()
        prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
        data = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
        return data + struct.pack(">I", zlib.crc32(data))

    def reply(self, plan, body, rid):
        return {"metrics": {"latencyMs": 430}, "output": {"message": {"role": "assistant", "content": [{"text": plan.text()}]}},
                "stopReason": "end_turn", "usage": self.usage(plan)}

    def stream(self, plan, body, rid):
        yield self.message({"p": "abc", "role": "assistant"}, "messageStart"), False, False
        for word in plan.words():
            yield self.message({"contentBlockIndex": 0, "delta": {"text": word}, "p": "abcdefgh"}, "contentBlockDelta"), True, False
        yield self.message({"contentBlockIndex": 0, "p": "ab"}, "contentBlockStop"), False, False
        yield self.message({"p": "a", "stopReason": "end_turn"}, "messageStop"), False, False
        yield self.message({"metrics": {"latencyMs": 430}, "p": "abcd", "usage": self.usage(plan)}, "metadata"), False, False

    def ping(self):
        return b""

    def error(self, plan, message):
        return {"message": message}

    def stream_error(self, plan, message):
        return self.message({"message": message}, plan.error_type or "throttlingException", "exception"), False, False


class BedrockInvoke(Anthropic):
    """Anthropic's events, each in the base64 of a chunk."""
    operation, content_type = "chat", "application/vnd.amazon.eventstream"

    def event(self, value, name=None):
        if value["type"] == "message_stop":
            value = {**value, "amazon-bedrock-invocationMetrics": self.metrics}
        wrapped = {"bytes": base64.b64encode(compact(value).encode()).decode(), "p": "abcdefgh"}
        return BedrockConverse().message(wrapped, "chunk")

    def stream(self, plan, body, rid):
        self.metrics = {"inputTokenCount": plan.input_tokens - plan.cached_tokens, "outputTokenCount": plan.output_tokens,
                        "cacheReadInputTokenCount": plan.cached_tokens, "invocationLatency": 430, "firstByteLatency": 100}
        yield from super().stream(plan, body, rid)

    ping, error, stream_error = BedrockConverse.ping, BedrockConverse.error, BedrockConverse.stream_error
    message = BedrockConverse.message


class Cohere(Dialect):
    name, operation = "cohere", "chat"

    def usage(self, plan):
        # What the tokenizer saw is more than what is billed.
        return {"billed_units": {"input_tokens": plan.input_tokens, "output_tokens": plan.output_tokens},
                "tokens": {"input_tokens": plan.input_tokens + 60, "output_tokens": plan.output_tokens + 2}}

    def usage_reported(self, plan, body, stream):
        return bool(plan.usage)

    def finish(self, plan):
        return "COMPLETE"

    def reply(self, plan, body, rid):
        value = {"id": "c-1", "finish_reason": self.finish(plan),
                 "message": {"role": "assistant", "content": [{"type": "text", "text": plan.text()}]}}
        return {**value, "usage": self.usage(plan)} if plan.usage else value

    def stream(self, plan, body, rid):
        def event(name, content=False, **fields):
            return self.event({"type": name, **fields}, name), content, False
        yield event("message-start", id="c-1", delta={"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}})
        yield event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
        for word in plan.words():
            yield event("content-delta", True, index=0, delta={"message": {"content": {"text": word}}})
        yield event("content-end", index=0)
        yield event("message-end", delta={"finish_reason": self.finish(plan), **({"usage": self.usage(plan)} if plan.usage else {})})

    def error(self, plan, message):
        return {"id": "c-1", "message": message}

    def stream_error(self, plan, message):
        return self.event({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": message}}, "message-end"), False, False


def route(method, path, query, body):
    """(dialect, model, stream) of a request, or None."""
    model = body.get("model", "") if isinstance(body, dict) else ""
    stream = bool(body.get("stream")) if isinstance(body, dict) else False
    if method != "POST":
        return None
    if path.endswith("/chat/completions"):
        return OpenAiChat(), model, stream
    if path.endswith("/completions"):
        return OpenAiCompletions(), model, stream
    if path.endswith("/responses"):
        return OpenAiResponses(), model, stream
    if path.endswith("/embeddings"):
        return OpenAiEmbeddings(), model, False
    if path.startswith("/model/"):
        model, verb = path.removeprefix("/model/").rsplit("/", 1)
        return BedrockConverse() if verb.startswith("converse") else BedrockInvoke(), model, verb.endswith("-stream")
    if path.endswith("/v2/chat"):
        return Cohere(), model, stream
    if path.endswith("/messages"):
        return Anthropic(), model, stream
    if path.endswith("/api/chat") or path.endswith("/api/generate"):
        dialect = Ollama() if path.endswith("chat") else OllamaGenerate()
        return dialect, model, bool(body.get("stream", True))
    if "/models/" in path and ":" in path:
        model, verb = path.rsplit("/models/", 1)[1].rsplit(":", 1)
        if verb == "generateContent":
            return Gemini(), model, False
        if verb == "streamGenerateContent":
            return Gemini() if "alt=sse" in query else GeminiArray(), model, True
    return None
