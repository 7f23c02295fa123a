# SPDX-License-Identifier: Apache-2.0
"""tls: what the probe adds to each TLS call of a stream. cpu: what the daemon uses for the bytes it reads."""
import statistics
import time

from figures import Figure, Line, added, alternate, exact, less, median_of, no_loss, once, times

MODES = ["off", "places", "exported", "llmtap"]


def measure_tls(lab):
    """Per SSL_read or SSL_write of an event, in microseconds; and an empty pair at a `push`."""
    streams = 3 if lab.quick else 100
    counts = []

    def one(mode):
        with lab.probe(mode) as daemon:
            result = lab.run("bench_tls_stream", lab.certs, streams, 500, 250)
            if daemon:
                outbound, inbound = daemon.wait_for_calls(result["streams"])
                counts.append((len(outbound), len(inbound), sum(line["stream_chunks"] for line in outbound), daemon.losses()))
        return result

    def push(mode):
        if mode == "off":
            return lab.run("bench_loops", 10 if lab.quick else 200)
        with lab.empty("push", lab.programs / "bench_loops"):
            return lab.run("bench_loops", 10 if lab.quick else 200)

    pairs = alternate(["off", "push"], lab.rounds, push)
    pair_us = statistics.median(one["push"]["push_ns"] - one["off"]["push_ns"] for one in pairs) / 1000
    rounds = alternate(MODES, lab.rounds, one, lab.say)
    lines = [Line("tls", "an empty entry and return pair at `push`", Figure.of(pairs, added("push", "off", "push_ns")), "ns")]
    for field in ("p50_us", "p99_us"):
        name = field[:3]
        medians = {mode: median_of(mode, field)(rounds) for mode in MODES}
        own = less(added("llmtap", "off", field), added("places", "off", field))
        lines += [
            Line("tls", f"{name} added to a call", Figure.of(rounds, added("llmtap", "off", field)), "us", medians=medians),
            Line("tls", f"{name} added beyond empty programs at the same places, against one pair",
                 Figure.of(rounds, own), "us", "<=", pair_us),
            Line("tls", f"{name} added, against an empty pair at the exported functions",
                 Figure.of(rounds, times(added("llmtap", "off", field), added("exported", "off", field))), "x", "<=", 0.5),
        ]
    # Every stream of every round, one of them to warm up, each with its usage event.
    wanted = (streams + 1) * len(counts)
    lines += [exact("tls", "streams logged by the client's side", sum(one[0] for one in counts), wanted),
              exact("tls", "streams logged by the server's side", sum(one[1] for one in counts), wanted),
              exact("tls", "events counted", sum(one[2] for one in counts), wanted * 501),
              no_loss("tls", "events lost", [one[3] for one in counts])]
    return lines, {"pairs": pairs, "rounds": rounds}


CPU = {
    "1,000 streams x 50 events/s x 250 B": (("streams", 1000, 50, 10, 250), 3.0),
    "64 KiB JSON bodies": (("calls", 200, 10, 0, 65536, 65536), 0.7),
}
QUICK_CPU = {
    "1,000 streams x 50 events/s x 250 B": (("streams", 100, 20, 1, 250), 3.0),
    "64 KiB JSON bodies": (("calls", 20, 1, 0, 65536, 65536), 0.7),
}


def measure_cpu(lab):
    """Milliseconds of a core for each megabyte of plaintext that client and server moved: both are read."""
    lines, raw = [], {}
    repeats = 1 if lab.quick else 3
    for what, (arguments, limit) in (QUICK_CPU if lab.quick else CPU).items():
        taken, lost, logged, made = [], [], 0, 0
        for _ in range(repeats):
            with lab.llmtap() as daemon:
                before = daemon.cpu_seconds()
                result = lab.load(*arguments)
                outbound, _ = daemon.wait_for_calls(result["calls"])
                used = daemon.cpu_seconds() - before
                megabytes = 2 * result["bytes"] / 1e6
                taken.append({"llmtap": {"ms_per_mb": used * 1000 / megabytes, "per_second": result["per_second"], "cpu_s": used}})
                lost.append(daemon.losses())
                logged += len(outbound)
                made += result["calls"]
            lab.say(f"{what}: {taken[-1]}")
        raw[what] = taken
        lines += [Line("cpu", what, Figure.of(taken, median_of("llmtap", "ms_per_mb")), "ms/MB", "<=", limit,
                       medians={"units/s": statistics.median(one["llmtap"]["per_second"] for one in taken)}),
                  exact("cpu", f"{what}: calls logged", logged, made), no_loss("cpu", f"{what}: events lost", lost)]
    seconds = 1 if lab.quick else 20
    with lab.llmtap() as daemon:
        idle = core_share(daemon, seconds)
        with lab.start_load("streams", 10, 10, seconds + 2, 250) as process:
            slow = core_share(daemon, seconds)
            process.wait(60)
    raw["slow"] = {"percent": slow, "idle_percent": idle}
    lines += [once("cpu", "idle: no LLM traffic, this node's other processes", idle, "% of a core"),
              once("cpu", "10 streams x 10 events/s", slow, "% of a core", "<=", 0.3)]
    return lines, raw


def core_share(daemon, seconds):
    before, start = daemon.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return (daemon.cpu_seconds() - before) / (time.monotonic() - start) * 100
