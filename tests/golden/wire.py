# SPDX-License-Identifier: Apache-2.0
"""Writes event files (include/llmtap/events.h), HTTP/2 frames (RFC 9113, header blocks of RFC 7541) and
WebSocket frames (RFC 6455, 7692), as a client and its peer exchange them."""
import json
import struct
import zlib

BEGIN_NS, REAL_NS, STEP_NS = 1_000_000_000_000, 1_760_000_000_000_000_000, 10_000_000
DATA, CONN, CONN_END, PROCESS, CLOCK = 1, 2, 3, 6, 7
READ, WRITE, OPENSSL, CLIENT, TGID = 0, 1, 1, 2, 4711
END_CLOSED, END_EOF, END_RESET = 0, 2, 3


class Recording:
    """What the probe delivers of one client process; every step is 10 ms behind the one before."""

    def __init__(self):
        self.now, self.connections = BEGIN_NS, 0
        self.data = struct.pack("<8sIIQQ", b"LLMTAPEV", 1, 0, REAL_NS, BEGIN_NS)
        self.clock()
        text = b"".join(f"{key}\0{value}\0".encode() for key, value in
                        (("exe", "/usr/bin/agent"), ("comm", "agent"), ("workload", "agent")))
        self.record(PROCESS, 0, struct.pack("<QII", 1, len(text), 0) + text)

    def record(self, kind, connection, rest, flags=0):
        size = 32 + len(rest)
        self.data += struct.pack("<QIHHIIQ", self.now, size, kind, flags, TGID, TGID, connection) + rest
        self.data += bytes(-size % 8)

    def clock(self):
        self.record(CLOCK, 0, struct.pack("<QQ", self.now, REAL_NS + self.now - BEGIN_NS))

    def step(self):
        self.now += STEP_NS

    def file(self):
        self.step()
        self.clock()
        return self.data


class Connection:
    """TLS to a server of documentation's addresses (RFC 5737)."""

    def __init__(self, recording):
        self.recording = recording
        recording.connections += 1
        self.id, self.offsets, self.sequences, self.last = recording.connections, [0, 0], [0, 0], None
        mapped = bytes(10) + b"\xff\xff"
        recording.step()
        recording.record(CONN, self.id, struct.pack(
            "<QQQQQIi16s16sHHBBBB", recording.now, 0x7f0000000000 + self.id, 0, 0, 1, 0, 7,
            mapped + bytes([192, 0, 2, 10]), mapped + bytes([192, 0, 2, 1]), 50000 + self.id, 443, CLIENT, OPENSSL, 1, 1))

    def _move(self, direction, data):
        self.recording.step()
        turn = 0x2 if direction != self.last else 0
        self.last = direction
        self.recording.record(DATA, self.id, struct.pack(
            "<QQIIIBBBB", self.offsets[direction], 0, len(data), len(data), self.sequences[direction], direction, OPENSSL,
            0, 0) + data, turn)
        self.offsets[direction] += len(data)
        self.sequences[direction] += 1

    def ask(self, data):
        self._move(WRITE, data)

    def reply(self, data):
        self._move(READ, data)

    def end(self, reason=END_CLOSED):
        self.recording.step()
        self.recording.record(CONN_END, self.id, struct.pack("<QQII", *self.offsets, reason, 0))


def http1(start, fields, body=b""):
    lines = [start] + [f"{name}: {value}" for name, value in fields]
    return "\r\n".join(lines + ["", ""]).encode() + body


class Hpack:
    """The encoder of one direction: what was sent before is named by its index."""

    STATIC = {(":method", "GET"): 2, (":method", "POST"): 3, (":scheme", "https"): 7, (":status", "200"): 8}

    def __init__(self):
        self.table = []  # newest first; far below the 4,096 bytes that need no eviction

    @staticmethod
    def integer(value, bits, first):
        limit = (1 << bits) - 1
        if value < limit:
            return bytes([first | value])
        out, value = bytes([first | limit]), value - limit
        while value >= 128:
            out, value = out + bytes([value % 128 + 128]), value // 128
        return out + bytes([value])

    def block(self, fields):
        out = b""
        for field in fields:
            index = self.STATIC.get(field) or (62 + self.table.index(field) if field in self.table else 0)
            if index:
                out += self.integer(index, 7, 0x80)
                continue
            out += b"\x40" + b"".join(self.integer(len(text), 7, 0) + text.encode() for text in field)
            self.table.insert(0, field)
        return out


def h2_frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0, struct.pack(">HI", 3, 100))
H2_SETTINGS = h2_frame(4, 0, 0) + h2_frame(4, 1, 0)
END_STREAM, END_HEADERS = 0x1, 0x4


def h2_headers(encoder, stream, fields, end=False):
    return h2_frame(1, END_HEADERS | (END_STREAM if end else 0), stream, encoder.block(fields))


def h2_data(stream, body, end=False):
    return h2_frame(0, END_STREAM if end else 0, stream, body)


def h2_reset(stream, code=8):
    return h2_frame(3, 0, stream, struct.pack(">I", code))


def ws_frame(payload, masked, opcode=1, compressed=False):
    size = len(payload)
    out = bytes([0x80 | (0x40 if compressed else 0) | opcode])
    mask = 0x80 if masked else 0
    out += bytes([mask | size]) if size < 126 else struct.pack(">BH", mask | 126, size) if size < 65536 else \
        struct.pack(">BQ", mask | 127, size)
    if not masked:
        return out + payload
    key = bytes.fromhex("37fa213d")  # RFC 6455 5.7
    return out + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


class WebSocket:
    """Messages behind an upgrade, over HTTP/1.1 or in a stream of HTTP/2 (RFC 8441)."""

    def __init__(self, connection, host, path, deflate=False, http2=False, fields=()):
        self.connection, self.http2, self.deflaters = connection, http2, None
        if http2:
            connection.ask(H2_PREFACE + h2_headers(Hpack(), 1, [
                (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", path),
                (":authority", host), ("sec-websocket-version", "13"), *fields]))
            connection.reply(H2_SETTINGS + h2_headers(Hpack(), 1, [(":status", "200")]))
            return
        connection.ask(http1(f"GET {path} HTTP/1.1", [
            ("Host", host), ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), *fields]))
        reply = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
        if deflate:
            reply.append(("Sec-WebSocket-Extensions", "permessage-deflate"))
            self.deflaters = [zlib.compressobj(6, zlib.DEFLATED, -15) for _ in range(2)]
        connection.reply(http1("HTTP/1.1 101 Switching Protocols", reply))

    def _frame(self, message, masked, opcode):
        payload = message if isinstance(message, bytes) else json.dumps(message, separators=(",", ":")).encode()
        if self.deflaters:
            deflater = self.deflaters[masked]
            payload = (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        frame = ws_frame(payload, masked, opcode, self.deflaters is not None)
        return h2_data(1, frame) if self.http2 else frame

    def ask(self, message):
        self.connection.ask(self._frame(message, True, 1))

    def reply(self, message, opcode=1):
        self.connection.reply(self._frame(message, False, opcode))

    def close(self):
        frame = ws_frame(struct.pack(">H", 1000), True, 8)
        self.connection.ask(h2_data(1, frame, True) if self.http2 else frame)
        self.connection.end()
