# SPDX-License-Identifier: Apache-2.0
"""How the daemon ends, and what it does when what it writes to is full or gone."""
import collections
import fcntl
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

import wire
from books import settle
from case import lines_with
from harness import Failure, get, lines_of, wait_for

F_SETPIPE_SZ = 1031


class Collector:
    """Takes what an OTLP exporter posts."""

    def __init__(self):
        self.bodies = bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"


def calls_while_stopped(bench, tap, calls):
    """Calls that only the ring has seen; the daemon is stopped when this returns."""
    model = bench.model("unread")
    with wire.Connection() as connection:
        connection.exchange(wire.request(model), wire.reply(wire.reply_body(model)))
        wait_for("the first call", lambda: len(lines_with(tap["log"], model)) == 2, 20, tap["process"])
        pause(tap["process"])
        for number in range(1, calls):
            connection.exchange(wire.request(model), wire.reply(wire.reply_body(model, number)))
    return model


def state(pid):
    return re.search(r"^State:\s+(\w)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]


def pause(process):
    os.kill(process.pid, signal.SIGSTOP)
    wait_for("the daemon is stopped", lambda: state(process.pid) == "T", 10, process)


def a_signal_drains(bench):
    problems = []
    for number in (signal.SIGTERM, signal.SIGINT):
        collector = Collector()
        tap = bench.tap("--otlp-endpoint", collector.endpoint, "--set", "otlp.protocol=http/protobuf")
        model = calls_while_stopped(bench, tap, 50)
        tap["process"].send_signal(number)
        tap["process"].send_signal(signal.SIGCONT)
        status = tap["process"].wait(30)
        if status:
            problems.append(f"{number.name}: ended with {status}")
        found = lines_with(tap["log"], model)
        if len(found) != 100 or any(line.get("incomplete") or line.get("outcome") != "ok" for line in found):
            problems.append(f"{number.name}: {len(found)} lines of 50 calls that were in the ring, not 100 whole ones")
        if get(tap["port"], "/healthz")[0]:
            problems.append(f"{number.name}: something still answers")
        ids = collections.Counter(re.findall(rb"chatcmpl-\d+", b"".join(collector.bodies)))
        missing = [one for one in range(50) if not ids[b"chatcmpl-%d" % one]]
        if missing:
            problems.append(f"{number.name}: the collector never got the calls {missing}")
        collector.server.shutdown()
    return problems


def a_second_signal_ends_at_once(bench):
    # A reader of the log that sleeps: the end waits for it, for a bounded time.
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, F_SETPIPE_SZ, 4096)
    process = subprocess.Popen([bench.binary, "run", "--listen", "127.0.0.1:0", "--log-requests", "-"], stdout=write_end,
                               stderr=open(bench.folder / "second.err", "wb"), stdin=subprocess.DEVNULL, env=bench.environment())
    bench.processes.append(process)
    os.close(write_end)
    wait_for("watching", lambda: "watching" in (bench.folder / "second.err").read_text(), 60, process)
    with wire.Connection() as connection:
        for _ in range(200):
            connection.exchange(wire.request("stalled"), wire.reply(wire.reply_body("stalled")))
    process.send_signal(signal.SIGTERM)
    wait_for("the first signal is taken", lambda: "a second signal" in (bench.folder / "second.err").read_text(), 20, process)
    process.send_signal(signal.SIGTERM)
    status = process.wait(20)
    os.close(read_end)
    return [] if status == -signal.SIGTERM else [f"ended with {status} after the second SIGTERM"]


def objects(kind):
    return {one["id"] for one in json.loads(subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, check=True).stdout)}


def pins():
    return {str(path) for path in pathlib.Path("/sys/fs/bpf").rglob("*")}


def uprobes_left(before):
    """Breakpoints go with the last link: libssl must run as before, which the calls show."""
    return objects("link") - before["link"], objects("prog") - before["prog"], objects("map") - before["map"], pins() - before["pins"]


def kill_leaves_nothing(bench):
    before = {kind: objects(kind) for kind in ("link", "prog", "map")} | {"pins": pins()}
    tap = bench.tap()
    with wire.Connection(bench.certs) as connection:
        problems = bench.good_calls(tap, connection)
    if not objects("link") - before["link"]:
        problems.append("bpftool shows no link while it runs: this test sees nothing")
    if pins() - before["pins"]:
        problems.append(f"pinned while it runs: {pins() - before['pins']}")
    tap["process"].kill()
    tap["process"].wait(20)
    try:
        # The kernel frees programs and maps after a grace period.
        wait_for("everything is gone", lambda: not any(uprobes_left(before)), 20)
    except Failure:
        problems.append(f"left behind (links, programs, maps, pins): {uprobes_left(before)}")
    with wire.Connection(bench.certs) as connection:
        connection.exchange(wire.request("x"), wire.reply(wire.reply_body("x")))
    # And the next one starts on the same port.
    again = bench.tap()
    return problems + bench.good_calls(again) + bench.end(again)


def exported(bench, tap, result):
    return bench.books(tap).total("llmtap_export_total", signal="logs", result=result)


def standard_output(bench):
    """Closed by its reader, and closed from the start."""
    problems = []
    for name in ("no reader", "closed"):
        read_end, write_end = os.pipe()
        tap = {"stderr": bench.folder / f"{name}.err", "port": 0}
        shell = 'exec "$@" >&-' if name == "closed" else 'exec "$@"'
        tap["process"] = subprocess.Popen(["sh", "-c", shell, "sh", bench.binary, "run", "--listen", "127.0.0.1:0", "--log-requests", "-"],
                                          stdout=write_end, stderr=open(tap["stderr"], "wb"), stdin=subprocess.DEVNULL, env=bench.environment())
        bench.processes.append(tap["process"])
        os.close(write_end)
        os.close(read_end)
        address = wait_for("watching", lambda text=tap["stderr"]: re.search(r"on 127\.0\.0\.1:(\d+)", text.read_text()), 60, tap["process"])
        tap["port"] = int(address[1])
        wait_for("ready", lambda tap=tap: get(tap["port"], "/readyz")[0] == 200, 60, tap["process"])
        with wire.Connection() as connection:
            for _ in range(5):
                connection.exchange(wire.request("gone"), wire.reply(wire.reply_body("gone")))
        try:
            wait_for("lines that could not be written", lambda tap=tap: exported(bench, tap, "error") >= 10, 20, tap["process"])
        except Failure as failure:
            problems.append(f"{name}: {failure}")
        if tap["stderr"].read_text().count("cannot write the call log") != 1:
            problems.append(f"{name}: not said once: {tap['stderr'].read_text()[-1000:]}")
        problems += settle(tap["port"]) + bench.end(tap)
    return problems


class SmallDisk:
    def __init__(self, folder, size="64k"):
        self.folder = folder
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def fill(self):
        with open(self.folder / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass


def full_disk(bench):
    with SmallDisk(bench.folder / "disk") as disk:
        (bench.folder / "calls.jsonl").symlink_to(disk.folder / "calls.jsonl")
        tap = bench.tap()
        problems = bench.good_calls(tap)
        disk.fill()
        with wire.Connection() as connection:
            for _ in range(20):
                connection.exchange(wire.request("full"), wire.reply(wire.reply_body("full")))
        wait_for("lost lines are counted", lambda: exported(bench, tap, "error") > 20, 20, tap["process"])
        text = tap["stderr"].read_text()
        if text.count("cannot write the call log") != 1 or "No space left" not in text:
            problems.append(f"not said once: {text[-1000:]}")
        (disk.folder / "filler").unlink()
        model = bench.model("room")
        with wire.Connection() as connection:
            connection.exchange(wire.request(model), wire.reply(wire.reply_body(model)))
        wait_for("said that it works again", lambda: "works again" in tap["stderr"].read_text(), 20, tap["process"])

        def whole_lines():
            # The line that the disk cut short stays; every other one is whole.
            found = 0
            for line in tap["log"].read_bytes().split(b"\n"):
                try:
                    found += json.loads(line).get("requested_model") == model
                except ValueError:
                    continue
            return found
        wait_for("lines after it", lambda: whole_lines() == 2, 20, tap["process"])
        ok, error, dropped = (exported(bench, tap, result) for result in ("ok", "error", "dropped"))
        if dropped or ok + error != bench.books(tap).total("llmtap_requests_total"):
            problems.append(f"ok {ok:.0f} + error {error:.0f} + dropped {dropped:.0f} is not what finished")
        return bench.whole(tap, problems)


def recording(bench, path, *more):
    process = bench.start([bench.binary, "record", *more, path], "record", env=bench.environment())
    wait_for("recording", lambda: "recording to" in (bench.folder / "record.err").read_text(), 60, process)
    return process


def record_on_a_full_disk(bench):
    with SmallDisk(bench.folder / "disk") as disk:
        path = disk.folder / "a.events"
        process = recording(bench, path)
        with wire.Connection() as connection:
            connection.exchange(wire.request("x", bytes(500_000)), wire.reply(wire.reply_body("x")))
        status = process.wait(30)
        text = (bench.folder / "record.err").read_text()
        problems = [] if status == 1 else [f"record ended with {status}: {text}"]
        problems += [f"record does not say {want!r}: {text}" for want in ("No space left", "free some space", "can be replayed") if want not in text]
        replayed = bench.command("replay", "--log-requests", bench.folder / "replayed", path)
        if replayed[0]:
            problems.append(f"what it wrote cannot be replayed: {replayed[1]}")
        return problems


def record_ends_with_a_whole_file(bench):
    """Ended by a signal with events still in the ring; then cut at places of all kinds."""
    path, model, problems = bench.folder / "a.events", bench.model("recorded"), []
    process = recording(bench, path)
    pause(process)
    with wire.Connection() as connection:
        for number in range(20):
            connection.exchange(wire.request(model), wire.reply(wire.reply_body(model, number)))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    status = process.wait(30)
    if status:
        problems.append(f"record ended with {status}: {(bench.folder / 'record.err').read_text()}")
    log = bench.folder / "replayed"
    if bench.command("replay", "--log-requests", log, path)[0] or len(lines_with(log, model)) != 40:
        problems.append(f"replay makes {len(lines_with(log, model))} lines of 20 recorded calls, not 40")
    whole = path.read_bytes()
    cut = bench.folder / "cut.events"
    for size in (0, 7, 31, 33, 40, len(whole) // 3 | 1, len(whole) // 2 | 1, len(whole) - 1):
        cut.write_bytes(whole[:size])
        log = bench.folder / f"cut{size}"
        status, text, _ = bench.command("replay", "--log-requests", log, cut)
        want = "not an event file" if size < 32 else "damaged at byte"
        if status != 1 or want not in text or not re.search(r"\n    \S", text):
            problems.append(f"cut to {size} bytes: {status}, {text!r}")
        if size == len(whole) - 1 and not lines_with(log, model):
            problems.append("nothing of what came before the damage was replayed")
        lines_of(log)  # whole lines only
    return problems


def reload_of_what_has_changed(bench):
    """SIGHUP after the price file was replaced: the next call is priced by it, and the metric has its day."""
    prices, model = bench.folder / "changed.json", "m"

    def table(day, output):
        return json.dumps({"sample_spec": {"table_version": day}, model: {"input_cost_per_token": 0, "output_cost_per_token": output}})

    prices.write_text(table("2026-01-02", 1e-6))
    tap = bench.tap("--prices", prices)
    problems = []

    def call(calls):
        with wire.Connection() as connection:
            connection.exchange(wire.request(model), wire.reply(wire.reply_body(model)))
        problems.extend(bench.wait_exact(tap, model, calls))
        return lines_with(tap["log"], model)[-1].get("cost_usd")

    def day():
        found = re.search(r'llmtap_prices_updated_timestamp_seconds\{version="([-0-9]+)"\} (\S+)', get(tap["port"], "/metrics")[1])
        return (found[1], float(found[2])) if found else None

    before = call(1)
    wait_for("the day of the table", lambda: day() == ("2026-01-02", 1767312000), 20, tap["process"])
    (bench.folder / "new.json").write_text(table("2026-02-03", 3e-6))
    (bench.folder / "new.json").rename(prices)
    tap["process"].send_signal(signal.SIGHUP)
    wait_for("the day of the new table", lambda: day() == ("2026-02-03", 1770076800), 20, tap["process"])
    after = call(2)
    if not before or abs(after - 3 * before) > 1e-12:
        problems.append(f"cost {before}, then {after}")
    return bench.whole(tap, problems)


def reload_of_what_is_broken(bench):
    """SIGHUP with files that have become malformed: said once each, and what was loaded goes on."""
    prices, web = bench.folder / "prices.json", bench.folder / "web.yaml"
    prices.write_text('{"m": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}}')
    web.write_text("{}")
    tap = bench.tap("--prices", prices, "--set", f"web.config.file={web}")
    prices.write_text('{"m": {')
    web.write_text("basic_auth_users: [")
    tap["process"].send_signal(signal.SIGHUP)
    problems = []
    for text in ("kept the old price table", "kept the old web configuration"):
        try:
            wait_for(text, lambda text=text: text in tap["stderr"].read_text(), 20, tap["process"])
        except Failure as failure:
            problems.append(str(failure))
    model = "m"
    with wire.Connection() as connection:
        connection.exchange(wire.request(model), wire.reply(wire.reply_body(model)))
    problems += bench.wait_exact(tap, model, 1)
    if any(line.get("cost_usd") is None for line in lines_with(tap["log"], model)):
        problems.append("the old price table is gone")
    return bench.whole(tap, problems)


CASES = [("SIGTERM and SIGINT drain the ring", a_signal_drains), ("a second signal ends it at once", a_second_signal_ends_at_once),
         ("kill -9 leaves nothing behind", kill_leaves_nothing), ("standard output that is gone", standard_output),
         ("SIGHUP with a new price table", reload_of_what_has_changed), ("SIGHUP with malformed files", reload_of_what_is_broken), ("a full disk under the log", full_disk), ("a full disk under record", record_on_a_full_disk),
         ("record, ended by a signal, and its file cut", record_ends_with_a_whole_file)]
