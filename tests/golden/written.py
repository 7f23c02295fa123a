#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goldens that are written, not recorded: bytes and calls by the providers' documents, without a secret
in them. `written.py LLMTAP` checks that each folder holds what is written here and that its replay is the
calls that are stated here; `written.py --write` writes the folders' input.events."""
import json
import math
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from check import replay  # noqa: E402
from wire import (END_EOF, H2_PREFACE, H2_SETTINGS, Connection, Hpack, Recording, WebSocket, h2_data,  # noqa: E402
                  h2_headers, h2_reset, http1)

GOLDENS = {}


def golden(name, *calls):
    """`calls`: what each must say, in the order in which they end."""
    def add(write):
        GOLDENS[name] = (write, calls)
        return write
    return add


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def sse(value, name=None):
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + (
        value if isinstance(value, bytes) else compact(value)) + b"\n\n"


def post(host, path, length, *more):
    return [(":method", "POST"), (":scheme", "https"), (":authority", host), (":path", path),
            ("content-type", "application/json"), *more, ("content-length", str(length))]


# --- OpenAI Realtime (wire formats 4.1; the API reference of its events) ---

def realtime(recording, **how):
    socket = WebSocket(Connection(recording), "api.openai.com", "/v1/realtime?model=gpt-realtime", **how)
    socket.reply({"type": "session.created", "session": {"id": "sess_1", "model": "gpt-realtime-2025-08-28"}})
    socket.ask({"type": "session.update", "session": {"instructions": "Be brief."}})
    socket.ask({"type": "input_audio_buffer.append", "audio": "AAAA"})
    # The server begins a response when the speaker pauses.
    socket.reply({"type": "response.created", "response": {"id": "resp_1", "object": "realtime.response",
                                                           "status": "in_progress", "usage": None}})
    socket.reply({"type": "response.output_audio_transcript.delta", "response_id": "resp_1", "delta": "Hello"})
    socket.reply({"type": "response.output_audio.delta", "response_id": "resp_1", "delta": "UklGRg=="})
    socket.reply({"type": "response.done", "response": {
        "id": "resp_1", "object": "realtime.response", "status": "completed",
        "usage": {"total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
                  "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
                  "output_token_details": {"text_tokens": 30, "audio_tokens": 91}}}})
    # The client asks, and the one who speaks breaks in: what was generated is billed.
    socket.ask({"type": "response.create", "response": {"max_output_tokens": 40}})
    socket.reply({"type": "response.created", "response": {"id": "resp_2", "object": "realtime.response",
                                                           "status": "in_progress"}})
    socket.reply({"type": "response.output_text.delta", "response_id": "resp_2", "delta": "Well"})
    socket.reply({"type": "response.done", "response": {
        "id": "resp_2", "object": "realtime.response", "status": "cancelled",
        "status_details": {"type": "cancelled", "reason": "turn_detected"},
        "usage": {"total_tokens": 11, "input_tokens": 9, "output_tokens": 2}}})
    socket.ask({"type": "response.create"})
    socket.reply({"type": "response.created", "response": {"id": "resp_3", "object": "realtime.response",
                                                           "status": "in_progress"}})
    socket.reply({"type": "response.done", "response": {
        "id": "resp_3", "object": "realtime.response", "status": "failed",
        "status_details": {"type": "failed", "error": {"type": "server_error", "code": "rate_limit_exceeded"}}}})
    socket.close()


REALTIME = (
    {"provider": "openai", "operation": "realtime", "outcome": "ok", "response_id": "resp_1", "input_tokens": 132,
     "output_tokens": 121, "cached_tokens": 64, "requested_model": "gpt-realtime",
     "response_model": "gpt-realtime-2025-08-28", "finish_reason": "completed", "stream": True, "token_source": "reported"},
    {"operation": "realtime", "outcome": "client_aborted", "response_id": "resp_2", "input_tokens": 9,
     "output_tokens": 2, "token_source": "reported"},
    {"operation": "realtime", "outcome": "stream_error", "response_id": "resp_3", "error_type": "rate_limit",
     "input_tokens": None})


@golden("openai-realtime", *REALTIME)
def _(recording):
    realtime(recording)


@golden("openai-realtime-deflate", *REALTIME)
def _(recording):
    realtime(recording, deflate=True)


@golden("openai-realtime-h2", *REALTIME)
def _(recording):
    realtime(recording, http2=True)


@golden("openai-realtime-cut", {"operation": "realtime", "outcome": "truncated", "response_id": "resp_1",
                                "token_source": "estimated", "input_tokens": None, "output_tokens": 3})
def _(recording):
    connection = Connection(recording)
    socket = WebSocket(connection, "api.openai.com", "/v1/realtime?model=gpt-realtime")
    socket.reply({"type": "session.created", "session": {"id": "sess_1", "model": "gpt-realtime-2025-08-28"}})
    socket.reply({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}})
    # Twelve characters, 3.9 to a token.
    socket.reply({"type": "response.output_audio_transcript.delta", "response_id": "resp_1", "delta": "123456789012"})
    connection.end(END_EOF)
    connection.end()


# What was said is written down by a model of its own: a call beside the response, none of it added there.
@golden("openai-realtime-transcription",
        {"provider": "openai", "operation": "audio_transcription", "requested_model": "gpt-4o-transcribe",
         "outcome": "ok", "input_tokens": 38, "output_tokens": 10, "token_source": "reported",
         # (10 text + 28 audio) x 2.5e-6 + 10 x 1e-5
         "cost_usd": 0.000195},
        {"operation": "realtime", "response_id": "resp_1", "response_model": "gpt-realtime-2", "outcome": "ok",
         "input_tokens": 20, "output_tokens": 10,
         # 1 x 4e-6 + 19 audio x 3.2e-5 + 10 x 1.6e-5
         "cost_usd": 0.000772})
def _(recording):
    socket = WebSocket(Connection(recording), "api.openai.com", "/v1/realtime?model=gpt-realtime-2")
    socket.reply({"type": "session.created", "session": {
        "type": "realtime", "id": "sess_1", "model": "gpt-realtime-2", "audio": {"input": {"transcription": None}}}})
    socket.ask({"type": "session.update", "session": {"type": "realtime", "audio": {"input": {
        "transcription": {"model": "gpt-4o-transcribe", "language": "en"}}}}})
    socket.reply({"type": "response.created", "response": {"id": "resp_1", "object": "realtime.response",
                                                           "status": "in_progress"}})
    written_down = "conversation.item.input_audio_transcription."
    socket.reply({"type": written_down + "delta", "event_id": "e1", "item_id": "item_1", "content_index": 0,
                  "delta": "Hello"})
    socket.reply({"type": "response.output_audio.delta", "response_id": "resp_1", "delta": "UklGRg=="})
    socket.reply({"type": written_down + "completed", "event_id": "e2", "item_id": "item_1", "content_index": 0,
                  "transcript": "Hello", "usage": {"type": "tokens", "total_tokens": 48, "input_tokens": 38,
                                                   "input_token_details": {"text_tokens": 10, "audio_tokens": 28},
                                                   "output_tokens": 10}})
    socket.reply({"type": "response.done", "response": {
        "id": "resp_1", "object": "realtime.response", "status": "completed",
        "usage": {"total_tokens": 30, "input_tokens": 20, "output_tokens": 10,
                  "input_token_details": {"text_tokens": 1, "audio_tokens": 19},
                  "output_token_details": {"text_tokens": 10, "audio_tokens": 0}}}})
    socket.close()


# --- Responses over WebSocket ---

@golden("openai-responses-websocket",
        {"provider": "openai", "operation": "responses", "route": "/v1/responses#ws", "outcome": "ok",
         "response_id": "resp_1", "requested_model": "gpt-5.5", "response_model": "gpt-5.5-2026", "input_tokens": 30,
         "output_tokens": 5, "cached_tokens": 20, "reasoning_tokens": 1, "finish_reason": "completed"},
        {"operation": "responses", "status": 400, "outcome": "client_error", "error_type": "invalid_request",
         "error_code": "previous_response_not_found", "input_tokens": None})
def _(recording):
    socket = WebSocket(Connection(recording), "api.openai.com", "/v1/responses")
    socket.ask({"type": "response.create", "model": "gpt-5.5", "instructions": "Be short.",
                "input": [{"role": "user", "content": "hi"}]})
    response = {"id": "resp_1", "object": "response", "status": "in_progress", "model": "gpt-5.5-2026"}
    socket.reply({"type": "response.created", "response": response})
    socket.reply({"type": "response.output_text.delta", "delta": "Hello"})
    socket.reply({"type": "response.completed", "response": response | {
        "status": "completed",
        "usage": {"input_tokens": 30, "input_tokens_details": {"cached_tokens": 20}, "output_tokens": 5,
                  "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 35}}})
    socket.ask({"type": "response.create", "model": "gpt-5.5", "previous_response_id": "resp_gone", "input": "x"})
    socket.reply({"type": "error", "status": 400, "error": {
        "type": "invalid_request_error", "code": "previous_response_not_found", "message": "no"}})
    socket.close()


# --- Gemini Live (wire formats 4.4): JSON in binary frames, usage behind the turn ---

@golden("gemini-live",
        {"provider": "gcp.gemini", "operation": "realtime", "requested_model": "gemini-live", "outcome": "ok",
         "input_tokens": 7, "output_tokens": 11, "reasoning_tokens": 2},
        {"operation": "realtime", "outcome": "ok", "tool_calls": 1, "input_tokens": 20, "output_tokens": 1},
        {"operation": "realtime", "outcome": "client_aborted", "input_tokens": 32, "output_tokens": 5,
         "cached_tokens": 8, "reasoning_tokens": 1})
def _(recording):
    socket = WebSocket(Connection(recording), "generativelanguage.googleapis.com",
                       "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent")
    socket.ask({"setup": {"model": "models/gemini-live"}})
    socket.reply({"setupComplete": {}}, opcode=2)
    socket.ask({"clientContent": {"turns": [{"role": "user", "parts": [{"text": "hi"}]}], "turnComplete": True}})
    socket.reply({"serverContent": {"modelTurn": {"parts": [{"text": "Hello"}]}}}, opcode=2)
    socket.reply({"serverContent": {"turnComplete": True}}, opcode=2)
    socket.reply({"usageMetadata": {"promptTokenCount": 7, "responseTokenCount": 9, "thoughtsTokenCount": 2,
                                    "totalTokenCount": 18}}, opcode=2)
    # What a tool said goes on with the turn that asked for it.
    socket.ask({"realtimeInput": {"text": "look"}})
    socket.reply({"toolCall": {"functionCalls": [{"id": "f1", "name": "look", "args": {}}]}}, opcode=2)
    socket.ask({"toolResponse": {"functionResponses": []}})
    socket.reply({"serverContent": {"turnComplete": True},
                  "usageMetadata": {"promptTokenCount": 20, "responseTokenCount": 1, "totalTokenCount": 21}}, opcode=2)
    socket.ask({"realtimeInput": {"text": "go on"}})
    socket.reply({"serverContent": {"modelTurn": {"parts": [{"text": "Well"}]}}}, opcode=2)
    socket.reply({"serverContent": {"interrupted": True}}, opcode=2)
    socket.reply({"serverContent": {"turnComplete": True}, "usageMetadata": {
        "promptTokenCount": 30, "cachedContentTokenCount": 8, "responseTokenCount": 4, "thoughtsTokenCount": 1,
        "toolUsePromptTokenCount": 2, "totalTokenCount": 37}}, opcode=2)
    socket.close()


# --- HTTP/2: two calls on one connection, the second's head mostly indices; one that the client resets ---

@golden("openai-chat-h2",
        {"provider": "openai", "operation": "chat", "outcome": "ok", "http_version": "2", "status": 200,
         "input_tokens": 11, "output_tokens": 2, "requested_model": "gpt-5.5", "response_model": "gpt-5.5-2026",
         "content_chunks": 1, "stream": True, "connection_reused": False, "provider_request_id": "req_1",
         # 11 x 5e-6 + 2 x 3e-5
         "cost_usd": 0.000115, "ttfb_ms": 10, "ttft_ms": 20, "duration_ms": 40},
        {"operation": "chat", "status": 429, "outcome": "rate_limited", "error_type": "quota",
         "error_code": "insufficient_quota", "connection_reused": True, "requested_model": "gpt-5.5"},
        {"operation": "chat", "outcome": "client_aborted", "token_source": "estimated", "input_tokens": 6,
         "output_tokens": 2})
def _(recording):
    connection, client, server = Connection(recording), Hpack(), Hpack()
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-5.5-2026"}

    def request(number, **more):
        body = compact({"model": "gpt-5.5", "messages": [{"role": "user", "content": "12345678"}], **more})
        head = h2_headers(client, number, post("api.openai.com", "/v1/chat/completions", len(body)))
        connection.ask((H2_PREFACE if number == 1 else b"") + head + h2_data(number, body, True))

    request(1, stream=True, stream_options={"include_usage": True})
    connection.reply(H2_SETTINGS + h2_headers(server, 1, [
        (":status", "200"), ("content-type", "text/event-stream"), ("x-request-id", "req_1")]))
    connection.reply(h2_data(1, sse(chunk | {"choices": [{"index": 0, "delta": {"content": "Hi"}}], "usage": None})))
    connection.reply(h2_data(1, sse(chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                                             "usage": None})))
    connection.reply(h2_data(1, sse(chunk | {"choices": [], "usage": {
        "prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}}) + sse(b"[DONE]"), True))
    request(3)
    connection.reply(h2_headers(server, 3, [(":status", "429"), ("content-type", "application/json")]) + h2_data(
        3, compact({"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}}), True))
    request(5, stream=True)
    connection.reply(h2_headers(server, 5, [(":status", "200"), ("content-type", "text/event-stream")]))
    connection.reply(h2_data(5, sse(chunk | {"choices": [{"index": 0, "delta": {"content": "12345678"}}]})))
    connection.ask(h2_reset(5))
    connection.end()


@golden("anthropic-messages-h2",
        {"provider": "anthropic", "operation": "messages", "outcome": "ok", "http_version": "2", "input_tokens": 109,
         "cached_tokens": 100, "cache_write_tokens": 0, "output_tokens": 12, "finish_reason": "end_turn",
         # 9 x 1e-6 + 100 x 1e-7 + 12 x 5e-6
         "response_id": "msg_1", "cost_usd": 7.9e-05})
def _(recording):
    connection = Connection(recording)
    body = compact({"model": "claude-haiku-4-5", "max_tokens": 10, "stream": True,
                    "messages": [{"role": "user", "content": "hi"}]})
    connection.ask(H2_PREFACE + h2_headers(Hpack(), 1, post(
        "api.anthropic.com", "/v1/messages", len(body), ("anthropic-version", "2023-06-01"))) + h2_data(1, body, True))
    connection.reply(H2_SETTINGS + h2_headers(Hpack(), 1, [(":status", "200"),
                                                           ("content-type", "text/event-stream; charset=utf-8")]))
    connection.reply(h2_data(1, sse({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": [],
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 0,
                  "output_tokens": 1}}}, "message_start")))
    # An event may be cut anywhere between DATA frames.
    delta = sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
                "content_block_delta")
    connection.reply(h2_data(1, delta[:25]))
    connection.reply(h2_data(1, delta[25:]))
    connection.reply(h2_data(1, sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                                     "usage": {"output_tokens": 12}}, "message_delta")))
    connection.reply(h2_data(1, sse({"type": "message_stop"}, "message_stop"), True))
    connection.end()


# --- gRPC: the messages are protobuf, which is not read; the exchange and its times are ---

@golden("xai-grpc", {"provider": "x_ai", "host": "api.x.ai", "path": "/xai_api.Chat/GetCompletion", "status": 200,
                     "outcome": "ok", "http_version": "2", "input_tokens": None, "output_tokens": None,
                     "cost_usd": None})
def _(recording):
    connection, server = Connection(recording), Hpack()
    asked, answered = b"\x0a\x02hi\x12\x06grok-4", b"\x0a\x05Hello\x18\x05"
    connection.ask(H2_PREFACE + h2_headers(Hpack(), 1, [
        (":method", "POST"), (":scheme", "https"), (":authority", "api.x.ai"), (":path", "/xai_api.Chat/GetCompletion"),
        ("te", "trailers"), ("content-type", "application/grpc")]) + h2_data(
            1, b"\0" + len(asked).to_bytes(4, "big") + asked, True))
    connection.reply(H2_SETTINGS + h2_headers(server, 1, [(":status", "200"), ("content-type", "application/grpc")]))
    connection.reply(h2_data(1, b"\0" + len(answered).to_bytes(4, "big") + answered))
    connection.reply(h2_headers(server, 1, [("grpc-status", "0")], True))
    connection.end()


def written(name):
    recording = Recording()
    GOLDENS[name][0](recording)
    return recording.file()


def same(got, want):
    if isinstance(want, float) and isinstance(got, float):
        return math.isclose(got, want, rel_tol=1e-9)  # sums of prices
    return got == want


def problems(llmtap, name):
    path = HERE / name / "input.events"
    # zlib's releases compress differently.
    if not path.exists() or (path.read_bytes() != written(name) and not name.endswith("-deflate")):
        return [f"{name}/input.events is not what is written here: written.py --write"]
    calls, wanted = json.loads(replay(llmtap, path)), GOLDENS[name][1]
    found = [] if len(calls) == len(wanted) else [f"{name}: {len(calls)} calls, not {len(wanted)}"]
    for i, (call, want) in enumerate(zip(calls, wanted)):
        found += [f"{name}: call {i}: {field} is {call.get(field, 'not there')!r}, not {value!r}"
                  for field, value in want.items() if not same(call.get(field, "not there"), value)]
    return found


def main():
    if sys.argv[1] == "--write":
        for name in GOLDENS:
            (HERE / name).mkdir(exist_ok=True)
            (HERE / name / "input.events").write_bytes(written(name))
        return 0
    found = [problem for name in GOLDENS for problem in problems(sys.argv[1], name)]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
