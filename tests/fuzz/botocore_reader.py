# SPDX-License-Identifier: Apache-2.0
"""Reads event streams as AWS's SDK does, for protocols_eventstream.cpp: each input behind its length (four
bytes, little endian), answered by records of a kind, a length and bytes.

"=" a message: type, NUL, "E" or "-", payload; "?" one whose payload is no strict JSON with base64 in it;
"." the end, "!" the end by an error."""
import base64
import json
import struct
import sys

from botocore.eventstream import EventStreamBuffer


def unwrapped(payload):
    """What a chunk event carries: {"bytes": base64}, no name twice."""
    def pairs(items):
        if len({name for name, _ in items}) != len(items):
            raise ValueError("a name stands twice")
        return dict(items)
    text = payload.decode()
    value = json.loads(text, object_pairs_hook=pairs)["bytes"]
    if "\\" in text:
        raise ValueError("escapes")
    return base64.b64decode(value.encode("ascii"), validate=True)


def record(event):
    def text(name):
        value = event.headers.get(name)
        return value if isinstance(value, str) else ""
    kind = text(":message-type")
    error = kind in ("exception", "error")
    name = text({"exception": ":exception-type", "error": ":error-code"}.get(kind, ":event-type"))
    payload = event.payload
    if name == "chunk" and not error:
        try:
            payload = unwrapped(payload)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return b"?", b""
    return b"=", name.encode()[:64] + b"\0" + (b"E" if error else b"-") + payload


FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


def check_headers(block):
    """That each has a name, and the last ends where the block does: botocore looks at neither."""
    at = 0
    while at < len(block):
        if block[at] == 0:
            raise ValueError("a header without a name")
        at += 1 + block[at]
        kind, at = block[at], at + 1
        at += FIXED[kind] if kind in FIXED else 2 + int.from_bytes(block[at:at + 2], "big")
    if at != len(block):
        raise ValueError("a header is cut")


def answer(data):
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    at = 0
    try:
        for event in buffer:
            if event.prelude.headers_length + 16 > event.prelude.total_length:
                raise ValueError("headers beyond their message")
            check_headers(data[at + 12:at + 12 + event.prelude.headers_length])
            at += event.prelude.total_length
            yield record(event)
    except Exception:  # pylint: disable=broad-except  # its own errors, and those of what it calls
        yield b"!", b""
    else:
        yield b".", b""


while size := sys.stdin.buffer.read(4):
    for kind, content in answer(sys.stdin.buffer.read(struct.unpack("<I", size)[0])):
        sys.stdout.buffer.write(kind + struct.pack("<I", len(content)) + content)
    sys.stdout.buffer.flush()
