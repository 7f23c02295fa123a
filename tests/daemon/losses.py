# SPDX-License-Identifier: Apache-2.0
"""Processes that die inside a call, and a ring that nobody reads: each loss has its name, and what
comes after it is exact."""
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import wire
from books import settle
from case import lines_with
from endings import pause
from harness import SUPPORT, Failure, client_python, wait_for
from hostile import resident

ABORTED = {"client": ("client_aborted", "connection_error", "truncated", "stream_error"),
           "server": ("connection_error", "truncated", "stream_error", "server_error", "client_aborted")}


def client_of(bench, server, tls, model):
    spec = {"client": "http.client", "base": f"{'https' if tls else 'http'}://127.0.0.1:{server['tls_port' if tls else 'plain_port']}",
            "ca": bench.ca if tls else None, "dialect": "openai_chat", "model": model, "stream": True,
            "headers": {"x-test-chunks": "3000", "x-test-delay-ms": "10"}}
    return bench.start([client_python(), SUPPORT / "clients/raw.py", json.dumps(spec)], model)


def death_in_a_call(bench):
    tap, problems = bench.tap(), []
    for tls in (True, False):
        for victim in ("client", "server"):
            name = f"{victim} {'tls' if tls else 'plain'}"
            server = bench.server(f"server{len(bench.processes)}")
            model = bench.model("dies")
            client = client_of(bench, server, tls, model)
            try:
                wait_for("both ends are in flight",
                         lambda: bench.books(tap).total("llmtap_in_flight_requests") >= 2, 30, tap["process"])
                wait_for("chunks", lambda: bench.books(tap).queue("open_exchanges") >= 2, 30, tap["process"])
            except Failure as failure:
                problems.append(f"{name}: {failure}")
            alive = left_of(tap, {client.pid, server["pid"]})
            if not alive:
                problems.append(f"{name}: the maps name neither end while both live: this test sees nothing")
            pid = client.pid if victim == "client" else server["pid"]
            os.kill(pid, signal.SIGKILL)
            (client if victim == "client" else server["process"]).wait(20)
            # The other end finds out by itself; a client that has lost its server ends.
            if victim == "server":
                client.wait(30)
            try:
                wait_for("two lines", lambda: len(lines_with(tap["log"], model)) >= 2, 30, tap["process"])
            except Failure:
                pass
            if server["process"].poll() is None:
                server["process"].terminate()
                server["process"].wait(20)
            problems += [f"{name}: {problem}" for problem in settle(tap["port"])]
            lines = lines_with(tap["log"], model)
            by_pid = collections.Counter(line["pid"] for line in lines)
            if by_pid != {client.pid: 1, server["pid"]: 1}:
                problems.append(f"{name}: lines by process {dict(by_pid)}, not one of each end")
            for line in lines:
                if line["outcome"] not in ABORTED[victim] and not line.get("incomplete"):
                    problems.append(f"{name}: outcome {line['outcome']}, incomplete {line.get('incomplete')}")
                if line.get("token_source") == "reported":
                    problems.append(f"{name}: tokens are said to be reported")
    # Nobody is left in the kernel's maps; the core's own are in the books.
    mine = {process.pid for process in bench.processes} - {tap["process"].pid}
    try:
        wait_for("the maps forget", lambda: not left_of(tap, mine), 20, tap["process"])
    except Failure:
        problems.append(f"entries of processes that are gone, by map: {left_of(tap, mine)}")
    return bench.whole(tap, problems)


def maps_of(process):
    """Ids of the maps that the process holds."""
    ids = set()
    for entry in pathlib.Path(f"/proc/{process.pid}/fdinfo").iterdir():
        try:
            ids.update(re.findall(r"^map_id:\s+(\d+)$", entry.read_text(), re.M))
        except FileNotFoundError:
            continue
    return ids


def bpftool(*arguments):
    return json.loads(subprocess.run(["bpftool", "-j", *arguments], capture_output=True, check=True).stdout)


def octets(values):
    return bytes(int(value, 16) for value in values)


def left_of(tap, pids):
    """Entries of the daemon's hash maps whose key or value holds one of these process ids, by map."""
    left = collections.Counter()
    for number in maps_of(tap["process"]):
        shown = bpftool("map", "show", "id", number)
        if "hash" not in shown["type"]:
            continue
        for entry in bpftool("map", "dump", "id", number):
            data = octets(entry.get("key", [])) + octets(entry.get("value", []))
            words = {data[at:at + 4] for at in range(0, len(data) - 3, 4)}
            if any(pid.to_bytes(4, "little") in words for pid in pids):
                left[shown["name"]] += 1
    return dict(left)


def full_ring(bench):
    """Stopped under a flood: each connection's calls before are exact, one is marked, the ones after are exact."""
    tap, problems = bench.tap("--set", "capture.ring_bytes=256KiB"), []
    connections = [wire.Connection(bench.certs if number % 2 else None) for number in range(8)]
    models = [bench.model("flood") for _ in connections]

    def calls(at, first, last):
        for number in range(first, last):
            connections[at].exchange(wire.request(models[at]), wire.reply(wire.reply_body(models[at], number)))

    def everywhere(first, last):
        threads = [threading.Thread(target=calls, args=(at, first, last)) for at in range(len(connections))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    before, stopped, after = 20, 400, 20
    everywhere(0, before)
    for model in models:
        wait_for("the calls before", lambda model=model: len(lines_with(tap["log"], model)) == 2 * before, 20, tap["process"])
    pause(tap["process"])
    everywhere(before, before + stopped)
    os.kill(tap["process"].pid, signal.SIGCONT)
    wait_for("the ring is empty", lambda: bench.books(tap).total("llmtap_ring_usage_ratio") < 0.01, 30, tap["process"])
    everywhere(before + stopped, before + stopped + after)
    for connection in connections:
        connection.close()
    problems += settle(tap["port"])
    lost = bench.books(tap).lost()
    if not lost.get(("kernel", "ring_full")):
        problems.append(f"ring_full is not counted: {lost}")
    if not any(stage == "streams" and reason == "ring_full" for stage, reason in lost):
        problems.append(f"no gap in the streams: {lost}")
    other = {where: count for where, count in lost.items() if where[1] in ("map_full", "no_args", "fault", "iovecs")}
    if other:
        problems.append(f"lost for other reasons: {other}")
    all_marked = []
    for model in models:
        lines = lines_with(tap["log"], model)
        for direction in ("outbound", "inbound"):
            mine = [line for line in lines if line["direction"] == direction]
            ids = collections.Counter(line.get("response_id") for line in mine if line.get("response_id"))
            if any(count > 1 for count in ids.values()):
                problems.append(f"{direction}: a call is reported twice")
            # None where the ring became full just between two calls.
            marked = [(line["outcome"], line["incomplete"]) for line in mine if line.get("incomplete")]
            all_marked += marked
            if len(marked) > 1 or any(mark != ("ok", "lost_segment") for mark in marked):
                problems.append(f"{direction}: more than one call is marked, or not as lost by us: {marked}")
            for line in mine:
                if not line.get("incomplete") and (line["outcome"], line.get("input_tokens"), line.get("output_tokens")) != ("ok", 7, 3):
                    problems.append(f"{direction}: a call that is not marked says {line['outcome']}, {line.get('input_tokens')}, {line.get('output_tokens')}")
            missing = [number for number in range(before + stopped, before + stopped + after) if not ids.get(f"chatcmpl-{number}")]
            # The first call behind the gap tells the reader where it is again.
            if missing:
                problems.append(f"{direction}: calls {missing} after the flood are missing")
    if not all_marked:
        problems.append("no call is marked at all")
    return problems + bench.good_calls(tap) + bench.end(tap)


def half_a_stream(connection, model):
    """A call whose answer has begun and does not end."""
    wire.move(connection.client, connection.server, wire.request(model, wire.body_of(model, stream=True)))
    event = b'data: ' + json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": [
        {"index": 0, "delta": {"content": "ho"}}]}).encode() + b"\n\n"
    wire.move(connection.server, connection.client, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" +
              f"{len(event):x}\r\n".encode() + event + b"\r\n")


def ends_are_lost(bench):
    """The ring is full while every stream ends and its processes die: nothing says so, and no call stays open."""
    tap, problems, streams = bench.tap("--set", "capture.ring_bytes=256KiB"), [], 100
    model, killed = bench.model("unseen"), bench.model("killed")
    server = bench.server("server")
    clients = [client_of(bench, server, tls, killed) for tls in (True, False)]
    connections = [wire.Connection(bench.certs if number % 2 else None) for number in range(streams)]
    for connection in connections:
        half_a_stream(connection, model)
    wait_for("all calls are open", lambda: bench.books(tap).total("llmtap_in_flight_requests") == 2 * (streams + len(clients)), 60, tap["process"])
    flood, filler = wire.Connection(), bench.model("flood")
    pause(tap["process"])
    for number in range(1500):
        flood.exchange(wire.request(filler), wire.reply(wire.reply_body(filler, number)))
    for connection in connections:
        connection.close()
    for client in clients:
        client.kill()
        client.wait(20)
    server["process"].kill()
    server["process"].wait(20)
    os.kill(tap["process"].pid, signal.SIGCONT)
    # The flood's own last call may be one of those that lost its end; the next one shows it.
    try:
        problems += bench.caught_up(tap) + bench.good_calls(tap, flood, calls=3)
        wait_for("no call is open", lambda: not bench.books(tap).total("llmtap_in_flight_requests"), 30, tap["process"])
    except Failure as failure:
        problems.append(f"{failure}: {bench.books(tap).total('llmtap_in_flight_requests'):.0f} are")
    # The figures of the core are copied every 100 ms.
    try:
        wait_for("ends that were lost", lambda: bench.books(tap).total("llmtap_connections_not_seen_ending_total") >= streams, 10, tap["process"])
    except Failure as failure:
        problems.append(f"{failure}: this test sees little")
    for name, want in ((model, 2 * streams), (killed, 2 * len(clients))):
        lines = lines_with(tap["log"], name)
        if len(lines) != want:
            problems.append(f"{len(lines)} lines for {want} ends of calls ({name})")
        marks = collections.Counter((line["outcome"], line.get("incomplete")) for line in lines)
        # A few ends fit into what was left of the ring.
        if not marks["ok", "lost_segment"] or any(not mark[1] for mark in marks):
            problems.append(f"calls of which nobody saw the end are {dict(marks)}")
    try:
        wait_for("the maps forget", lambda: not left_of(tap, {client.pid for client in clients} | {server["pid"]}), 20, tap["process"])
    except Failure:
        problems.append(f"entries of processes that are gone, by map: {left_of(tap, {client.pid for client in clients})}")
    return bench.whole(tap, problems)


MANY = """
import os, sys
sys.path.insert(0, sys.argv[1])
import wire
connections = [wire.Connection(sys.argv[2] if number % 5 == 0 else None) for number in range(10)]
for connection in connections:
    connection.exchange(wire.request(sys.argv[3]), wire.reply(wire.reply_body(sys.argv[3])))
if sys.argv[4] == "stay":
    connections[0].client.sendall(wire.request(sys.argv[3]))
print("called", flush=True)
sys.stdin.read()
if sys.argv[4] == "drop":
    os._exit(0)
for connection in connections:
    connection.close()
"""


def entries_of(tap, pids):
    """Entries of the kernel side that belong to these processes, by map."""
    left = collections.Counter()
    owner = {"conn_by_key": lambda key, value: value["tgid"], "process_flags": lambda key, value: key}
    for number in maps_of(tap["process"]):
        name = bpftool("map", "show", "id", number)["name"]
        if name in owner:
            for entry in bpftool("map", "dump", "id", number):
                formatted = entry["formatted"]
                left[name] += owner[name](formatted["key"], formatted["value"]) in pids
    return {name: count for name, count in left.items() if count}


def many_come_and_go(bench):
    """Processes that close, that just exit, and that are killed in mid-call: nothing of them is kept."""
    tap, problems, at_a_time = bench.tap(), [], 10
    here, resident_bytes = str(pathlib.Path(__file__).parent), []
    for _ in range(2):
        model, pids = bench.model("many"), set()
        # 200 processes, 2,000 connections, 50 kills.
        for batch in range(20):
            ends = [("stay", "close", "drop", "close")[number % 4] for number in range(at_a_time)]
            running = [subprocess.Popen([sys.executable, "-B", "-c", MANY, here, str(bench.certs), model, end], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE) for end in ends]
            bench.processes += running
            pids |= {process.pid for process in running}
            for process in running:
                process.stdout.readline()
            if batch == 0 and set(entries_of(tap, pids)) < {"conn_by_key"}:
                problems.append("the maps do not name processes that live: this test sees nothing")
            for process, end in zip(running, ends):
                process.kill() if end == "stay" else process.stdin.close()
            for process in running:
                process.wait(30)
                process.stdout.close()
        try:
            wait_for("the maps forget", lambda pids=pids: not entries_of(tap, pids), 5, tap["process"])
        except Failure:
            problems.append(f"entries of processes that are gone, by map: {entries_of(tap, pids)}")
        try:
            wait_for("no call is open", lambda: not bench.books(tap).total("llmtap_in_flight_requests"), 20, tap["process"])
        except Failure as failure:
            problems.append(str(failure))
        # Ten calls with both ends, and the one that hung.
        kept = len(lines_with(tap["log"], model))
        if kept < 200 * 20:
            problems.append(f"{kept} lines for {200 * 20} ends of calls")
        resident_bytes.append(resident(tap, "VmRSS"))
    grown = resident_bytes[1] - resident_bytes[0]
    if not bench.sanitized and grown > 4 << 20:
        problems.append(f"resident memory went from {resident_bytes[0] >> 10} to {resident_bytes[1] >> 10} KiB by the same load again")
    return bench.whole(tap, problems)


def nobody_answers(bench):
    """A call without an answer, and no other traffic: it is seen hanging, and for how long."""
    tap, problems, model = bench.tap(), [], bench.model("hangs")
    connection = wire.Connection(bench.certs)
    wire.move(connection.client, connection.server, wire.request(model))
    wait_for("both ends are open", lambda: bench.books(tap).total("llmtap_in_flight_requests") == 2, 20, tap["process"])

    def oldest(direction):
        return bench.books(tap).total("llmtap_in_flight_oldest_seconds", direction=direction)
    for direction in ("outbound", "inbound"):
        first = oldest(direction)
        try:
            wait_for(f"the {direction} call gets older", lambda d=direction, age=first: oldest(d) >= age + 1, 20, tap["process"])
        except Failure as failure:
            problems.append(str(failure))
    if lines_with(tap["log"], model):
        problems.append("a call that hangs is reported as over")
    wire.move(connection.server, connection.client, wire.reply(wire.reply_body(model)))
    connection.close()
    problems += bench.wait_exact(tap, model, 1)
    if any(line["duration_ms"] < 1000 for line in lines_with(tap["log"], model)):
        problems.append("the call is said to have been shorter than it was seen to hang")
    return bench.whole(tap, problems)


CASES = [("kill -9 of client and server in mid-call", death_in_a_call), ("a ring that nobody reads", full_ring),
         ("ends lost to a full ring", ends_are_lost), ("2,000 connections of 200 processes", many_come_and_go),
         ("a server that never answers", nobody_answers)]
