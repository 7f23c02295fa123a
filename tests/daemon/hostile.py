# SPDX-License-Identifier: Apache-2.0
"""Malformed and oversized traffic over real connections: counted by name, bounded in memory, and the
call after it is exact."""
import os
import pathlib
import re
import socket
import subprocess
import zlib

import wire
from books import settle
from harness import client_python, wait_for

MIB = 1 << 20
# Idle with its ring mapped twice, the decoders' budget, one head, and the allocator's slack.
RESIDENT_BYTES = 136 * MIB
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SSE = "text/event-stream"
DONE = b"data: [DONE]\n\n"
EMPTY = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


# name, request, reply, (protocol, stage) of llmtap_parse_errors_total that must count it, or None
def malformed():
    body = wire.body_of("bad")
    good_request, good_reply = wire.request("bad"), wire.reply(wire.reply_body("bad"))
    event = b'data: {"id":"x","model":"bad","choices":[{"delta":{"content":"a"}}]}\n\n'
    return [
        ("a field without a colon", POST + b"nonsense\r\ncontent-length: 0\r\n\r\n", EMPTY, ("http1", "head")),
        ("a space before the colon", POST + b"content-length : 5\r\n\r\nhello", EMPTY, None),
        ("a length that is no number", POST + b"content-length: five\r\n\r\n", EMPTY, ("http1", "head")),
        ("a length beyond 64 bits", POST + b"content-length: 99999999999999999999999\r\n\r\n", EMPTY, ("http1", "head")),
        ("two lengths that differ", POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd", EMPTY, ("http1", "head")),
        ("a chunk size that is none", POST + b"transfer-encoding: chunked\r\n\r\nxyz\r\n", EMPTY, ("http1", "head")),
        ("a chunk size beyond 64 bits", POST + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n", EMPTY, ("http1", "head")),
        ("a chunk without its end", POST + b"transfer-encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", EMPTY, ("http1", "head")),
        ("a status line that is none", good_request, b"HTTP/1.1 twohundred OK\r\n\r\n", ("http1", "head")),
        ("NUL bytes in a head", POST + b"x-a: \0\0\0\r\ncontent-length: 0\r\n\r\n", EMPTY, None),
        ("a second request where the reply should be", good_request, good_request, ("http1", "head")),
        ("600 fields", POST + b"".join(b"x-%d: 1\r\n" % i for i in range(600)) + b"content-length: 0\r\n\r\n", EMPTY, ("http1", "head")),
        ("a body of brackets", wire.request("bad", b"[[[{,,}" * 100), good_reply, None),
        ("a body that is no JSON", wire.request("bad", b"model=bad&messages=hi"), good_reply, ("json", "body")),
        ("a reply that is no JSON", good_request, wire.reply(b"<html>" * 100), ("json", "body")),
        ("JSON cut in the middle", good_request, wire.reply(wire.reply_body("bad")[:60]), None),
        ("JSON with broken UTF-8 and surrogates", wire.request("bad", body[:-1] + b',"x":"\xff\xc0\x80\\ud800\\udfff\\u12"}'), good_reply, None),
        ("numbers beyond 64 bits", good_request, wire.reply(wire.reply_body("bad").replace(b'"prompt_tokens": 7', b'"prompt_tokens": ' + b"9" * 400)), None),
        ("negative and fractional counts", good_request, wire.reply(wire.reply_body("bad").replace(b": 7", b": -7").replace(b": 3", b": 3.5")), None),
        ("an event stream without an event end", good_request, wire.reply(event[:-2] * 5, content_type=SSE), None),
        ("an event name of 1 MB", good_request, wire.reply(b"event: " + b"n" * MIB + b"\n" + event + DONE, content_type=SSE), None),
        ("an event of 20 MB in one line", good_request, wire.reply(b"data: {\"x\":\"" + b"y" * 20 * MIB + b"\"}\n\n" + event + DONE, content_type=SSE), None),
        ("events that are no JSON", good_request, wire.reply(b"data: {{{{\n\ndata: ]\n\n\0\0\0\n\n" + event + DONE, content_type=SSE), None),
        ("gzip that is none", good_request, wire.reply(b"certainly not gzip", ["content-encoding: gzip"]), ("http1", "coding")),
        ("an unknown coding", good_request, wire.reply(b"abc", ["content-encoding: rot13"]), ("http1", "coding")),
        ("sixteen codings", good_request, wire.reply(b"abc", ["content-encoding: " + ", ".join(["gzip"] * 16)]), ("http1", "coding")),
    ]


def parse_errors(bench, tap):
    books = bench.books(tap)
    return {(labels["protocol"], labels["stage"]): value for name, labels, value in books.values if name == "llmtap_parse_errors_total"}


def wait_counted(bench, tap, before, what):
    wait_for(f"llmtap_parse_errors_total{what}", lambda: parse_errors(bench, tap).get(what, 0) > before.get(what, 0), 20, tap["process"])


def malformed_messages(bench):
    tap, problems = bench.tap(), []
    for name, request, reply, counter in malformed():
        before = parse_errors(bench, tap)
        with wire.Connection() as connection:
            connection.exchange(request, reply)
        try:
            if counter:
                wait_counted(bench, tap, before, counter)
        except Exception as failure:  # pylint: disable=broad-except
            problems.append(f"{name}: {failure}")
        problems += [f"after {name}: {problem}" for problem in bench.good_calls(tap)]
    # Numbers that are no counts must not be counted.
    for line in [line for line in bench.books(tap).values if line[0] == "llmtap_tokens_total"]:
        if not 0 <= line[2] < 1e6:
            problems.append(f"llmtap_tokens_total is {line[2]}")
    return bench.whole(tap, problems)


def resident(tap, field):
    status = pathlib.Path(f"/proc/{tap['process'].pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M)[1]) * 1024


def bounded(bench, tap, name, action):
    """Peak resident memory while `action` runs, and a good call after it."""
    pathlib.Path(f"/proc/{tap['process'].pid}/clear_refs").write_text("5")
    action()
    problems = bench.caught_up(tap) + bench.good_calls(tap, what="after")
    peak = resident(tap, "VmHWM")
    print(f"       {name}: peak {peak / MIB:.0f} MiB", flush=True)
    # A sanitizer keeps what is freed and shadows all of it.
    most = RESIDENT_BYTES * (4 if bench.sanitized else 1)
    if peak > most:
        problems.append(f"{name}: {peak / MIB:.0f} MiB resident, more than {most / MIB:.0f}")
    return [f"after {name}: {problem}" for problem in problems]


def one(request, reply):
    def run():
        with wire.Connection() as connection:
            connection.exchange(request, reply)
    return run


def asked(tap, head):
    """What llmtap's own server says before it closes."""
    with socket.create_connection(("127.0.0.1", tap["port"])) as connection:
        connection.settimeout(20)
        try:
            for piece in head:
                connection.sendall(piece)
        except OSError:
            pass  # it has heard enough
        try:
            return connection.recv(4096)
        except ConnectionResetError:
            return b"HTTP/1.1 431 (lost in the reset)"


def big_head(bench):
    tap = bench.tap()
    before = parse_errors(bench, tap)
    head = wire.Repeat(POST + b"x-filler: ", b"a" * MIB, 100, b"\r\ncontent-length: 0\r\n\r\n")
    problems = bounded(bench, tap, "a head of 100 MB", one(head, EMPTY))
    # On a busy machine the sanitized reader falls behind a client that writes 100 MB at once: then it is said as lost.
    oversized = ("http1", "oversized_head")
    wait_for("the head is refused, or lost and counted", lambda: parse_errors(bench, tap).get(oversized, 0) > before.get(oversized, 0)
             or ("kernel", "ring_full") in bench.books(tap).lost(), 60, tap["process"])
    fields = wire.Repeat(OK, b"x: " + b"b" * 1021 + b"\r\n", 100 * 1024, b"content-length: 0\r\n\r\n")
    problems += bounded(bench, tap, "a reply head of 100 MB in 100,000 fields", one(wire.request("bad"), fields))
    answers = []
    problems += bounded(bench, tap, "a head of 100 MB to llmtap itself", lambda: answers.append(asked(tap, head)))
    if not answers[0].startswith(b"HTTP/1.1 431 "):
        problems.append(f"llmtap's own server answers {answers[0][:80]!r} to a head of 100 MB")
    return bench.whole(tap, problems)


def big_bodies(bench):
    tap, size = bench.tap(), 1024 if bench.big else 256
    problems = []
    open_json, close_json = b'{"model":"bad","messages":[{"role":"user","content":"', b'"}]}'
    body = wire.Repeat(b"", b"z" * MIB, size)
    length = len(body) + len(open_json) + len(close_json)
    request = wire.Repeat(POST + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % length + open_json, b"z" * MIB, size, close_json)
    problems += bounded(bench, tap, f"a request body of {size} MB", one(request, wire.reply(wire.reply_body("bad"))))
    stream = wire.Repeat(OK.replace(b"application/json", SSE.encode()) + b"transfer-encoding: chunked\r\n\r\n", chunk(b"data: " + b"q" * MIB), size,
                         chunk(b"\n\n" + DONE) + b"0\r\n\r\n")
    problems += bounded(bench, tap, f"one event of {size} MB", one(wire.request("bad"), stream))
    return bench.whole(tap, problems)


def deep_json(bench):
    tap, problems = bench.tap(), []
    deep = 10_000_000
    for name, piece in (("arrays", b"["), ("objects", b'{"a":')):
        body = wire.Repeat(b'{"model":"bad","x":', piece, deep // len(piece))
        request = POST + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        data = request + b'{"model":"bad","x":' + piece * (deep // len(piece))
        problems += bounded(bench, tap, f"{name} nested in the request", one(data, wire.reply(piece * (deep // len(piece)))))
    return bench.whole(tap, problems)


def gzip_of_zeros(size):
    """Blocks that begin at a byte and use nothing before them repeat as often as one likes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block_bytes = 16 * MIB
    first = packer.compress(bytes(block_bytes)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(block_bytes)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * (size // block_bytes - 1)


ZSTD_AND_BROTLI = """
import sys, brotli, zstandard
name, size = sys.argv[1], int(sys.argv[2])
piece = bytes(16 << 20)
packer = zstandard.ZstdCompressor(level=1).compressobj() if name == "zstd" else brotli.Compressor(quality=1)
out = sys.stdout.buffer
for _ in range(size // len(piece)):
    out.write(packer.compress(piece) if name == "zstd" else packer.process(piece))
out.write(packer.flush() if name == "zstd" else packer.finish())
"""


def packed_zeros(coding, size):
    if coding == "gzip":
        return gzip_of_zeros(size)
    return subprocess.run([client_python(), "-c", ZSTD_AND_BROTLI, coding, str(size)], capture_output=True, check=True).stdout


def bombs(bench):
    tap, problems = bench.tap(), []
    for coding in ("gzip", "br", "zstd"):
        bomb = packed_zeros(coding, 10 << 30 if bench.big or coding == "gzip" else 2 << 30)
        for where in ("reply", "request"):
            before = parse_errors(bench, tap)
            headers = [f"content-encoding: {coding}"]
            action = (one(wire.request("bad"), wire.reply(bomb, headers)) if where == "reply"
                      else one(wire.request("bad", bomb, headers), wire.reply(wire.reply_body("bad"))))
            problems += bounded(bench, tap, f"a {where} of {len(bomb)} bytes of {coding}", action)
            wait_counted(bench, tap, before, ("http1", "coding"))
    return bench.whole(tap, problems)


ELF_MAPPER = """
import mmap, sys
maps = []
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        maps.append(mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC))
print("mapped", flush=True)
sys.stdin.read()
"""


def libssl():
    for line in subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout.splitlines():
        if "libssl.so.3 " in line and "x86-64" in line:
            return pathlib.Path(line.split("=> ")[1]).read_bytes()
    return b""


def damaged_elf_files(bench):
    whole = libssl()
    files = {"libssl.so.3": b"", "random": os.urandom(100_000), "header": whole[:64], "half": whole[:len(whole) // 2],
             "no-end": whole[:-4096], "sections": whole[:40] + b"\xff" * 24 + whole[64:], "entries": whole[:54] + b"\xff" * 10 + whole[64:],
             "text": b"\x7fELF" * 1000, "zeros": bytes(8192), "middle": whole[:4096] + os.urandom(len(whole) // 2) + whole[4096 + len(whole) // 2:]}
    tap = bench.tap()
    folder = bench.folder / "elf"
    folder.mkdir()
    paths = []
    for name, data in files.items():
        path = folder / (name if name.endswith(".3") else f"libssl-{name}.so.3")
        path.write_bytes(data or b"\x7fELF")
        paths.append(str(path))
    process = subprocess.Popen([client_python(), "-c", ELF_MAPPER, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    bench.processes.append(process)
    process.stdout.readline()
    problems = bench.good_calls(tap)
    # Attached to a real library after it has looked at all of those.
    with wire.Connection(bench.certs) as connection:
        problems += bench.good_calls(tap, connection)
    process.stdin.close()
    process.wait(10)
    return bench.whole(tap, problems)


def mixed(bench):
    """Everything at once, then the same again: memory does not grow with the second turn."""
    tap, problems, peaks = bench.tap(), [], []
    bomb = gzip_of_zeros(1 << 30)
    cases = [(request, reply) for _, request, reply, _ in malformed()]
    cases.append((wire.request("bad"), wire.reply(bomb, ["content-encoding: gzip"])))
    for _ in range(3):
        pathlib.Path(f"/proc/{tap['process'].pid}/clear_refs").write_text("5")
        waiting = []
        for request, reply in cases:
            connection = wire.Connection()
            connection.exchange(request, reply)
            waiting.append(connection)  # all are open until the round ends
        problems += bench.good_calls(tap, what="round")
        for connection in waiting:
            connection.close()
        problems += settle(tap["port"])
        peaks.append(resident(tap, "VmHWM"))
    print(f"       peaks {[peak // MIB for peak in peaks]} MiB", flush=True)
    if max(peaks) > RESIDENT_BYTES * (4 if bench.sanitized else 1):
        problems.append(f"peaks of {[peak // MIB for peak in peaks]} MiB")
    return bench.whole(tap, problems)


CASES = [("malformed HTTP, JSON and event streams", malformed_messages), ("a head of 100 MB", big_head), ("bodies of 256 MB", big_bodies),
         ("deep JSON", deep_json), ("decompression bombs", bombs), ("damaged ELF files", damaged_elf_files),
         ("a mix, three times", mixed)]
