# SPDX-License-Identifier: Apache-2.0
"""A daemon that costs more than it may: it sheds load step by step, says so, and comes back."""
import re
import threading

import wire
from case import lines_with
from harness import Failure, get, wait_for


def level(bench, tap):
    return bench.books(tap).total("llmtap_shed_level")


def load_is_shed(bench):
    """Under load that no share of a core allows all steps are taken, each is said, and nothing is read; without it
    everything is read again."""
    tap, problems = bench.tap("--set", "capture.cpu_share=8"), []
    request, reply = wire.request("busy"), wire.reply(wire.reply_body("busy"))
    stopped = threading.Event()

    def calls(connection):
        connection.client.sendall(request)
        connection.server.recv(65536)
        connection.server.sendall(reply)
        connection.client.recv(65536)

    def load_on_one():
        # LLM calls on a connection that is known: nothing but detaching makes it cheaper.
        with wire.Connection() as connection:
            while not stopped.is_set():
                calls(connection)

    def load_on_many():
        while not stopped.is_set():
            with wire.Connection() as connection:
                calls(connection)
    # Opened before, and idle: it is there when the probe comes back.
    pooled = wire.Connection(bench.certs)
    problems += bench.good_calls(tap, Kept(pooled), what="before")
    threads = [threading.Thread(target=load) for load in (load_on_one, load_on_many)]
    for thread in threads:
        thread.start()
    try:
        wait_for("it is detached", lambda: level(bench, tap) == 4, 60, tap["process"])
        status, text = get(tap["port"], "/readyz")
        if status != 503 or "detached" not in text or "capture.cpu_share" not in text:
            problems.append(f"/readyz says {status} {text!r} while it is detached")
        model = bench.model("unread")
        pooled.exchange(wire.request(model), wire.reply(wire.reply_body(model)))
        if bench.books(tap).total("llmtap_attached_targets"):
            problems.append("targets are said to be attached while it is detached")
    except Failure as failure:
        problems.append(str(failure))
        model = None
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    text = tap["stderr"].read_text()
    for step in ("in one second of 20", "muted sooner", "new connections are not read", "the probe is detached"):
        if not re.search(rf"above capture.cpu_share: .*{step}", text):
            problems.append(f"the log does not say: {step}")
    # Asked for its figures fifty times a second it would cost more than it may, and stay away.
    wait_for("it is back", lambda: "everything is read again" in tap["stderr"].read_text(), 120, tap["process"])
    wait_for("the figures say so", lambda: level(bench, tap) == 0, 20, tap["process"])
    wait_for("it is ready", lambda: get(tap["port"], "/readyz") == (200, "ready\n"), 30, tap["process"])
    if model and lines_with(tap["log"], model):
        problems.append("a call made while it was detached was seen")
    books = bench.books(tap)
    up, down = (books.total("llmtap_shed_steps_total", direction=direction) for direction in ("up", "down"))
    if up < 4 or up != down:
        problems.append(f"{up:.0f} steps up and {down:.0f} down are counted")
    if not books.lost().get(("kernel", "shed")):
        problems.append(f"what was shed is not counted: {books.lost()}")
    # On the connection from before, and on new ones.
    problems += bench.good_calls(tap, Kept(pooled), 3, what="pooled")
    with wire.Connection(bench.certs) as connection:
        problems += bench.good_calls(tap, connection, 3, what="tls")
    problems += bench.good_calls(tap, what="plain")
    pooled.close()
    # What passed while nothing was hooked is a counted gap that no hook could name.
    return [problem for problem in bench.whole(tap, problems) if "bytes are missing in streams and nothing says why" not in problem]


class Kept:
    """A connection that good_calls() leaves open."""

    def __init__(self, connection):
        self.exchange = connection.exchange

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


CASES = [("load is shed in steps, and it comes back", load_is_shed)]
