# SPDX-License-Identifier: Apache-2.0
"""soak: what the daemon uses, and whether it counts every call, over an hour of what a node does."""
import contextlib
import os
import pathlib
import subprocess
import tempfile
import threading
import time

from figures import absent, exact, no_loss, once
from lab import Failure, wait_for
from harness import Stack, lines_of
from rows_flood import memory_of

MIB = 1 << 20
# A call of each kind in every turn, each from a process of its own.
CLIENTS = [("curl", "openai_chat", False, "tls"), ("curl", "anthropic", True, "nginx"), ("httpx", "anthropic", True, "tls"),
           ("requests", "openai_responses", True, "tls"), ("aiohttp", "gemini", True, "tls"), ("node_openai", "openai_chat", True, "tls"),
           ("http.client", "openai_chat", True, "plain"), ("openai_sdk", "openai_chat", False, "nginx")]
HOPS = {"tls": 2, "plain": 2, "nginx": 4}


def clients(stack, server, nginx, until, done):
    """Calls of real libraries until the time is over; counts in `done` the lines that llmtap owes."""
    while time.monotonic() < until:
        for client, dialect, stream, via in CLIENTS:
            ports = nginx if via == "nginx" else server
            base = f"http://127.0.0.1:{ports['plain_port']}" if via == "plain" else f"https://127.0.0.1:{ports['tls_port']}"
            spec = {"client": client, "base": base, "ca": None if via == "plain" else stack.ca, "dialect": dialect, "model": "soak",
                    "stream": stream, "calls": 3, "concurrency": 2,
                    "headers": {"x-test-input-tokens": "120", "x-test-output-tokens": "30", "x-test-chunks": "30", "x-test-delay-ms": "20"}}
            if any(seen.get("failure") for seen in stack.client(spec)):
                done["failed"] += 1
            done["calls"] += 6
            done["lines"] += 6 * HOPS[via]
        # What is no LLM call: a page over TLS, new connections, short processes.
        for _ in range(20):
            subprocess.run(["curl", "-s", "-o", "/dev/null", "--cacert", stack.ca, f"https://127.0.0.1:{server['tls_port']}/health"], check=False)


def measure_soak(lab):
    """Minutes of mixed traffic: 20 streams and 20 calls a second of the load generator, real clients over TLS,
    in plain HTTP and through nginx, and /health from new processes."""
    if lab.quick:
        return [absent("soak", "an hour of mixed traffic", "not with --quick")], {}
    seconds = lab.minutes * 60
    taken, made, done = [], 0, {"calls": 0, "lines": 0, "failed": 0}
    with tempfile.TemporaryDirectory(prefix="llmtap-soak-") as folder, Stack(folder) as stack, contextlib.ExitStack() as probe:
        # Before the probe: the first call of a program that is new on the node may pass unseen.
        stack.start(["node", "-e", "setInterval(() => {}, 1e6)"], "node")
        daemon = probe.enter_context(lab.llmtap())
        server = stack.server()
        nginx = stack.nginx(server)
        start = time.monotonic()
        until = start + seconds
        mixed = threading.Thread(target=clients, args=(stack, server, nginx, until, done))
        mixed.start()
        while time.monotonic() < until:
            part = int(min(60, max(5, until - time.monotonic())))
            with lab.start_load("streams", 20, 5, part, 250) as streams:
                made += lab.load("calls", 20, part, 20, 400, 900)["calls"]
                streams.wait(120)
                made += 20
            daemon.calls()
            cpu = {labels["part"]: value for name, labels, value in daemon.samples() if name == "llmtap_probe_cpu_seconds_total"}
            taken.append({"second": time.monotonic() - start, "daemon_s": daemon.cpu_seconds(), "kernel_s": cpu.get("kernel", 0),
                          **memory_of(daemon.pid), "threads": len(os.listdir(f"/proc/{daemon.pid}/task")),
                          "files": len(os.listdir(f"/proc/{daemon.pid}/fd"))})
            lab.say(f"soak: {taken[-1]['second']:.0f} s, {taken[-1]['daemon_s']:.1f} s CPU, {taken[-1]['total'] / MIB:.0f} MiB")
        mixed.join()
        logged = [len(side) for side in daemon.wait_for_calls(made, 60)]

        def soaked():
            return sum(line.get("requested_model") == "soak" for line in lines_of(pathlib.Path(daemon.log)))
        with contextlib.suppress(Failure):
            wait_for("the clients' lines", lambda: soaked() >= done["lines"], 60, daemon.process)
        lines_found, losses = soaked(), daemon.losses()
    first, last = taken[min(len(taken) - 1, 4)], taken[-1]
    span = last["second"] - taken[0]["second"]
    lines = [
        once("soak", f"{lab.minutes} min of mixed traffic: the daemon's CPU", last["daemon_s"] / last["second"] * 100, "% of a core"),
        once("soak", "BPF programs, by the probe's own estimate", last["kernel_s"] / last["second"] * 100, "% of a core",
             note=f"{last['kernel_s']:.1f} s in {last['second']:.0f} s"),
        once("soak", "memory after five minutes", first["total"] / MIB, "MiB"),
        once("soak", "memory at the end", last["total"] / MIB, "MiB", note=f"{(last['total'] - first['total']) / MIB:+.1f} MiB in {span:.0f} s"),
        once("soak", "file descriptors at the end", last["files"], note=f"{first['files']} after five minutes"),
        exact("soak", "calls of the generator logged, both sides", sum(logged), 2 * made),
        exact("soak", f"lines of {done['calls']} calls of real clients", lines_found, done["lines"]),
        exact("soak", "clients that failed", done["failed"], 0),
        no_loss("soak", "events lost", [losses]),
    ]
    return lines, taken
