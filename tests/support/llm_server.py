#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server that speaks as LLM providers do, and keeps a ledger of what it said.

  llm_server.py --tls-port 0 --plain-port 0 --certs DIR --ledger FILE

Prints one JSON line {"pid", "tls_port", "plain_port"} when it listens. Requests choose their own
reply (llm_dialects.Plan). The ledger holds one JSON line per call and is also served at GET /ledger.
Standard library only; replies in br and zstd need the modules brotli and zstandard.
"""
import argparse
import asyncio
import collections
import json
import os
import signal
import socket
import ssl
import struct
import sys
import time
import urllib.parse
import zlib

from llm_dialects import Ids, Plan, compact, route

HEAD_LIMIT = 1 << 20
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
           404: "Not Found", 408: "Request Timeout", 413: "Content Too Large", 422: "Unprocessable Entity",
           429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable", 529: "Overloaded"}


class Identity:
    def piece(self, data):
        return data

    def end(self):
        return b""


class Zlib:
    def __init__(self, bits):
        self.z = zlib.compressobj(6, zlib.DEFLATED, bits)

    def piece(self, data):
        return self.z.compress(data) + self.z.flush(zlib.Z_SYNC_FLUSH)

    def end(self):
        return self.z.flush(zlib.Z_FINISH)


class Brotli:
    def __init__(self):
        import brotli
        self.z = brotli.Compressor(quality=4)

    def piece(self, data):
        return self.z.process(data) + self.z.flush()

    def end(self):
        return self.z.finish()


class Zstd:
    def __init__(self):
        import zstandard
        self.z, self.block = zstandard.ZstdCompressor().compressobj(), zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def piece(self, data):
        return self.z.compress(data) + self.z.flush(self.block)

    def end(self):
        return self.z.flush()


ENCODERS = {"": Identity, "identity": Identity, "gzip": lambda: Zlib(31), "deflate": lambda: Zlib(15),
            "br": Brotli, "zstd": Zstd}


def decode_request(encoding, data):
    if encoding == "gzip":
        return zlib.decompress(data, 31)
    if encoding == "deflate":
        return zlib.decompress(data)
    if encoding == "br":
        import brotli
        return brotli.decompress(data)
    if encoding == "zstd":
        import zstandard
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data


class Gone(Exception):
    """The client left before its reply ended."""


class Aborted(Exception):
    """The plan asked for a connection reset."""


class Server:
    def __init__(self, ledger_path, seed):
        self.ids = Ids(seed)
        self.ledger = collections.deque(maxlen=200_000)
        self.file = open(ledger_path, "a", encoding="utf-8") if ledger_path else None
        self.connections = 0

    def book(self, entry):
        line = compact(entry)
        self.ledger.append(line)
        if self.file:
            self.file.write(line + "\n")
            self.file.flush()

    async def serve(self, reader, writer):
        self.connections += 1
        number = self.connections
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        calls = 0
        try:
            while True:
                head = await read_head(reader)
                if head is None:
                    break
                keep = await self.exchange(head, reader, writer, {
                    "connection": number, "call_on_connection": calls, "tls": bool(writer.get_extra_info("ssl_object")),
                    "client_port": (writer.get_extra_info("peername") or ("", 0))[1]})
                calls += 1
                if not keep:
                    break
        except Aborted:
            # A reset, as a crashed provider or a middlebox sends it: nothing is flushed.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        except (Gone, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        try:
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, ssl.SSLError, OSError):
            pass

    async def exchange(self, head, reader, writer, entry):
        method, target, version, headers = head
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        raw = await read_body(reader, headers)
        path, _, query = target.partition("?")
        keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        started = time.time()
        try:
            body = json.loads(decode_request(headers.get("content-encoding", ""), raw) or b"null")
        except (ValueError, zlib.error):
            body = None
        size = len(raw)
        del raw
        if path == "/ledger":
            return await simple(writer, 200, "\n".join(self.ledger) + "\n", "application/x-ndjson", keep)
        if method == "GET" and path.endswith("/models"):
            return await simple(writer, 200, compact({"object": "list", "data": []}), "application/json", keep)
        if method == "GET":
            return await simple(writer, 200 if path in ("/health", "/healthz") else 404, "{}", "application/json", keep)
        found = route(method, path, query, body if isinstance(body, dict) else {})
        if found is None:
            return await simple(writer, 404, '{"error":{"message":"no such route"}}', "application/json", keep)
        dialect, model, stream = found
        plan = Plan(headers, model)
        rid = self.ids.new(dialect.id_prefix) if dialect.id_prefix else ""
        reported = dialect.usage_reported(plan, body, stream) if plan.status == 200 else False
        entry.update({
            "id": rid, "test_id": plan.id, "dialect": dialect.name, "operation": dialect.operation, "method": method,
            "path": path, "host": headers.get("host", ""), "user_agent": headers.get("user-agent", ""),
            "requested_model": model, "model": plan.model, "stream": stream, "status": plan.status, "usage": reported,
            "input_tokens": plan.input_tokens if reported else None,
            "output_tokens": plan.output_tokens if reported and dialect.operation != "embeddings" else None,
            "cached_tokens": plan.cached_tokens if reported else None,
            "cache_write_tokens": plan.cache_write_tokens if reported else None,
            "reasoning_tokens": plan.reasoning_tokens if reported else None,
            "finish_reason": dialect.finish(plan) if plan.status == 200 else None,
            "tool_calls": plan.tool_calls if plan.status == 200 else 0, "encoding": plan.encoding,
            "request_bytes": size, "response_bytes": 0, "events": 0, "chunks": 0, "content_chunks": 0,
            "request_time": started, "first_content_time": None, "end": "complete"})
        try:
            keep = await self.reply(Out(writer, reader, entry), dialect, plan, body, rid, stream, keep)
        except Aborted:
            entry["end"] = "reset_by_server"
            raise
        except Gone:
            entry["end"] = "client_gone"
            raise
        except (ConnectionError, ssl.SSLError) as error:
            entry["end"] = "client_gone"
            raise Gone() from error
        finally:
            if entry["end"] in ("client_gone", "reset_by_server"):
                entry.update(usage=False, input_tokens=None, output_tokens=None)
            entry["end_time"] = time.time()
            self.book(entry)
        return keep

    async def reply(self, out, dialect, plan, body, rid, stream, keep):
        entry = out.entry
        headers = reply_headers(dialect, plan, entry["call_on_connection"])
        if plan.first_delay_ms:
            await out.pause(plan.first_delay_ms)
        if plan.status != 200:
            message = "the request failed" + (": " + plan.error_echo if plan.error_echo else "")
            data = compact(dialect.error(plan, message)).encode()
            return await out.whole(plan, headers, "application/json", data, keep)
        if not stream:
            data = json.dumps(dialect.reply(plan, body, rid), ensure_ascii=False).encode()
            return await out.whole(plan, headers, "application/json", data, keep)
        framing = plan.framing if plan.framing in ("close",) else "chunked"
        await out.head(200, headers, dialect.content_type, plan.encoding, framing, keep and framing != "close")
        for number, (data, content, terminator) in enumerate(dialect.stream(plan, body, rid), 1):
            if plan.error_after and entry["chunks"] >= plan.error_after:
                message = "the stream failed" + (": " + plan.error_echo if plan.error_echo else "")
                data, content, terminator = dialect.stream_error(plan, message)
                entry.update(end="error_in_stream", usage=False, input_tokens=None, output_tokens=None)
                await out.event(data, False, False)
                break
            if plan.abort_after and entry["chunks"] >= plan.abort_after:
                raise Aborted()
            if plan.kill_after and entry["chunks"] >= plan.kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
            if plan.ping_every and number % plan.ping_every == 0:
                await out.piece(dialect.ping())
            if plan.delay_ms and content and entry["content_chunks"]:
                await out.pause(plan.delay_ms)
            await out.event(data, content, terminator)
        if hasattr(dialect, "stream_end"):
            await out.piece(dialect.stream_end())
        await out.finish()
        return keep and framing != "close"


class Out:
    """One reply on its way out; counts what it sends into the ledger's entry."""

    def __init__(self, writer, reader, entry):
        self.writer, self.reader, self.entry = writer, reader, entry
        self.encoder, self.chunked = Identity(), False

    async def pause(self, milliseconds):
        await asyncio.sleep(milliseconds / 1000)
        if self.reader.at_eof() or self.writer.is_closing():
            raise Gone()

    async def head(self, status, headers, content_type, encoding, framing, keep, length=None):
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", f"content-type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if encoding:
            lines.append(f"content-encoding: {encoding}")
        if framing == "chunked":
            lines.append("transfer-encoding: chunked")
        elif framing == "length":
            lines.append(f"content-length: {length}")
        if not keep:
            lines.append("connection: close")
        self.encoder, self.chunked = ENCODERS[encoding](), framing == "chunked"
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self.writer.drain()

    async def whole(self, plan, headers, content_type, data, keep):
        self.encoder = ENCODERS[plan.encoding]()
        data = self.encoder.piece(data) + self.encoder.end()
        framing = plan.framing or "length"
        keep = keep and framing != "close"
        await self.head(plan.status, headers, content_type, plan.encoding, framing, keep, len(data))
        self.encoder = Identity()
        self.entry["first_content_time"] = time.time()
        step = 16384
        for at in range(0, len(data), step):
            await self.piece(data[at:at + step])
        await self.finish()
        return keep

    async def event(self, data, content, terminator):
        entry = self.entry
        entry["events"] += 1
        entry["chunks"] += not terminator
        if content:
            if entry["first_content_time"] is None:
                entry["first_content_time"] = time.time()
            entry["content_chunks"] += 1
        await self.piece(data)

    async def piece(self, data):
        data = self.encoder.piece(data)
        if not data:
            return
        self.entry["response_bytes"] += len(data)
        if self.writer.is_closing():
            raise Gone()
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)
        await self.writer.drain()

    async def finish(self):
        data = self.encoder.end()
        self.entry["response_bytes"] += len(data)
        tail = b""
        if data:
            tail = b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data
        if self.chunked:
            tail += b"0\r\n\r\n"
        if tail:
            self.writer.write(tail)
        await self.writer.drain()


def reply_headers(dialect, plan, number):
    headers = [("date", "Fri, 02 Jan 2026 03:04:05 GMT")]
    kind = dialect.name
    if kind.startswith("openai"):
        headers += [("x-request-id", f"req_{plan.id or 'test'}_{number}"), ("openai-processing-ms", "123"),
                    ("openai-organization", "org-test"), ("openai-version", "2020-10-01"),
                    ("set-cookie", "__cf_bm=cookie-value; path=/; HttpOnly")]
        if plan.ratelimit:
            headers += [("x-ratelimit-limit-requests", "10000"), ("x-ratelimit-remaining-requests", "9999"),
                        ("x-ratelimit-reset-requests", "8.64s"), ("x-ratelimit-limit-tokens", "200000"),
                        ("x-ratelimit-remaining-tokens", "199979"), ("x-ratelimit-reset-tokens", "6ms")]
    elif kind == "anthropic":
        headers += [("request-id", f"req_{plan.id or 'test'}_{number}"), ("anthropic-organization-id", "org-test")]
        if plan.ratelimit:
            for what, limit in (("requests", 50), ("input-tokens", 50000), ("output-tokens", 10000)):
                headers += [(f"anthropic-ratelimit-{what}-limit", limit), (f"anthropic-ratelimit-{what}-remaining", limit - 1),
                            (f"anthropic-ratelimit-{what}-reset", "2026-01-02T03:05:00Z")]
    elif kind == "gemini":
        headers += [("server-timing", "gfet4t7; dur=11375")]
    if plan.retry_after:
        headers += [("retry-after", plan.retry_after)]
    if plan.litellm:
        headers += [("x-litellm-call-id", "0b3ad3c2-1111-4222-8333-444455556666"), ("x-litellm-model-id", "deployment-1"),
                    ("x-litellm-version", "1.106.2"), ("x-litellm-model-group", plan.model),
                    ("x-litellm-response-cost", "0.0001234"), ("x-litellm-key-spend", "0.5"),
                    ("x-litellm-key-max-budget", "None"), ("x-litellm-attempted-retries", "0"),
                    ("x-litellm-attempted-fallbacks", "0"), ("x-litellm-overhead-duration-ms", "2.5"),
                    ("x-litellm-response-duration-ms", "150.25")]
    return headers


async def simple(writer, status, text, content_type, keep):
    data = text.encode()
    connection = "" if keep else "connection: close\r\n"
    writer.write(f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\ncontent-type: {content_type}\r\n"
                 f"content-length: {len(data)}\r\n{connection}\r\n".encode() + data)
    await writer.drain()
    return keep


async def read_head(reader):
    try:
        block = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ssl.SSLError):
        return None
    lines = block.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3:
        return None
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return parts[0], urllib.parse.unquote(parts[1]), parts[2], headers


async def read_body(reader, headers):
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        length = int(headers.get("content-length", 0))
        return await reader.readexactly(length) if length else b""
    pieces = []
    while True:
        size = int((await reader.readline()).split(b";")[0], 16)
        if size:
            pieces.append(await reader.readexactly(size))
        line = await reader.readline()
        if not size:
            while line not in (b"\r\n", b""):
                line = await reader.readline()
            return b"".join(pieces)


async def run(arguments):
    server = Server(arguments.ledger, arguments.id_seed)
    ports = {"pid": os.getpid()}
    listeners = []
    if arguments.tls_port is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{arguments.certs}/server.pem", f"{arguments.certs}/server.key")
        context.set_alpn_protocols(["http/1.1"])
        if arguments.tls12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        listeners.append(await asyncio.start_server(server.serve, arguments.address, arguments.tls_port, ssl=context, limit=HEAD_LIMIT, backlog=1024))
        ports["tls_port"] = listeners[-1].sockets[0].getsockname()[1]
    if arguments.plain_port is not None:
        listeners.append(await asyncio.start_server(server.serve, arguments.address, arguments.plain_port, limit=HEAD_LIMIT, backlog=1024))
        ports["plain_port"] = listeners[-1].sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tls-port", type=int)
    parser.add_argument("--plain-port", type=int)
    parser.add_argument("--certs", help="directory made by make_certs")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--ledger", help="file that gets one JSON line per call")
    parser.add_argument("--tls12", action="store_true", help="offer TLS 1.2 at most")
    parser.add_argument("--id-seed", default=None, help="makes response ids repeatable")
    arguments = parser.parse_args()
    if arguments.tls_port is None and arguments.plain_port is None:
        parser.error("give --tls-port, --plain-port or both")
    asyncio.run(run(arguments))


if __name__ == "__main__":
    sys.exit(main())
