#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a large event file for `llmtap replay`: make_events.py KIND MEGABYTES FILE.

  sse      streamed chat completions, one event of about 250 bytes per record, 64 connections interleaved
  bodies   whole replies of 64 KiB in records of 16 KiB

Prints one JSON line: payload bytes, SSE events, calls and tokens, to compare with what the replay says.
The layout is that of include/llmtap/events.h.
"""
import json
import struct
import sys

DATA, CONN, CONN_END, PROCESS, CLOCK = 1, 2, 3, 6, 7
READ, WRITE = 0, 1
OPENSSL, ROLE_CLIENT = 1, 2
CLASS_REQUEST, CLASS_RESPONSE = 1, 2
FLAG_TURN = 2
TGID, START_NS = 4242, 1_000_000_000
HEADER = struct.Struct("<QIHHIIQ")
DATA_REST = struct.Struct("<QQIIIBBBB")
CONN_REST = struct.Struct("<QQQQQIi16s16sHHBBBB")


class Writer:
    def __init__(self, file):
        self.file, self.time, self.bytes, self.last_clock = file, 1_000_000_000_000, 0, 0
        file.write(struct.pack("<8sIIQQ", b"LLMTAPEV", 1, 0, 1_767_323_045_000_000_000, self.time))

    def record(self, kind, conn, rest, flags=0):
        size = HEADER.size + len(rest)
        self.file.write(HEADER.pack(self.time, size, kind, flags, TGID, TGID, conn) + rest + b"\0" * (-size % 8))

    def tick(self, nanoseconds):
        self.time += nanoseconds
        if self.time - self.last_clock >= 100_000_000:
            self.last_clock = self.time
            self.record(CLOCK, 0, struct.pack("<QQ", self.time, 1_767_323_045_000_000_000 + self.time - 1_000_000_000_000))

    def process(self):
        text = b"".join(f"{key}\0{value}\0".encode() for key, value in
                        (("exe", "/usr/bin/bench"), ("comm", "bench"), ("workload", "bench")))
        self.record(PROCESS, 0, struct.pack("<QII", START_NS, len(text), 0) + text)


class Connection:
    def __init__(self, writer, number):
        self.writer, self.id = writer, number
        self.offsets, self.sequence = [0, 0], [0, 0]
        local = b"\0" * 10 + b"\xff\xff\x7f\0\0\1"
        writer.record(CONN, number, CONN_REST.pack(writer.time, 0x7F0000000000 + number * 64, 0, 0, START_NS, 1, 7, local, local,
                                                   40000 + number % 20000, 443, ROLE_CLIENT, OPENSSL, 1, 1))

    def data(self, direction, payload, turn, message_class):
        rest = DATA_REST.pack(self.offsets[direction], self.writer.time - 1000, len(payload), len(payload), self.sequence[direction],
                              direction, OPENSSL, 0, message_class)
        self.writer.record(DATA, self.id, rest + payload, FLAG_TURN if turn else 0)
        self.offsets[direction] += len(payload)
        self.sequence[direction] += 1
        self.writer.bytes += len(payload)

    def end(self):
        self.writer.record(CONN_END, self.id, struct.pack("<QQII", *self.offsets, 0, 0))

    def request(self, stream):
        body = json.dumps({"model": "gpt-4o-mini", "stream": stream, "messages": [{"role": "user", "content": "q" * 300}]}).encode()
        head = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\nauthorization: Bearer sk-bench\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode()
        self.data(WRITE, head + body, True, CLASS_REQUEST)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(call, content):
    value = {"id": f"chatcmpl-{call}", "object": "chat.completion.chunk", "created": 1767323045, "model": "gpt-4o-mini-2024-07-18",
             "system_fingerprint": "fp_bench", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}], "usage": None}
    return chunk(b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n")


def streams(writer, target):
    """Each of 64 connections makes calls of 500 events, in turns of one event."""
    count = {"events": 0, "calls": 0, "output_tokens": 0}
    connections = [Connection(writer, number + 1) for number in range(64)]
    while writer.bytes < target:
        base = count["calls"]
        for number, connection in enumerate(connections):
            connection.request(True)
            connection.data(READ, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n", True, CLASS_RESPONSE)
            writer.tick(1000)
        bodies = [event(base + number, " word") for number in range(64)]
        for _ in range(500):
            for body, connection in zip(bodies, connections):
                connection.data(READ, body, False, CLASS_RESPONSE)
                writer.tick(300)
        usage = chunk(b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":80,"completion_tokens":500}}\n\n')
        for connection in connections:
            connection.data(READ, usage + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n", False, CLASS_RESPONSE)
            writer.tick(1000)
        count["events"] += 64 * 502
        count["calls"] += 64
        count["output_tokens"] += 64 * 500
    for connection in connections:
        connection.end()
    return count


def bodies(writer, target):
    count = {"events": 0, "calls": 0, "output_tokens": 0}
    connection = Connection(writer, 1)
    while writer.bytes < target:
        connection.request(False)
        body = json.dumps({"id": f"chatcmpl-{count['calls']}", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "some words of an answer " * 2700}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 80, "completion_tokens": 16000}}).encode()
        data = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        for at in range(0, len(data), 16384):
            connection.data(READ, data[at:at + 16384], at == 0, CLASS_RESPONSE)
            writer.tick(5000)
        count["calls"] += 1
        count["output_tokens"] += 16000
    connection.end()
    return count


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("sse", "bodies"):
        sys.exit(__doc__)
    with open(sys.argv[3], "wb", buffering=1 << 20) as file:
        writer = Writer(file)
        writer.tick(100_000_000)
        writer.process()
        count = (streams if sys.argv[1] == "sse" else bodies)(writer, int(sys.argv[2]) << 20)
        print(json.dumps({"kind": sys.argv[1], "payload_bytes": writer.bytes, **count}))


if __name__ == "__main__":
    main()
