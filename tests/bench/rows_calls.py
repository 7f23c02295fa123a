# SPDX-License-Identifier: Apache-2.0
"""calls: what a caller notices at 1,000 calls a second, without and with export."""
import contextlib

from figures import Figure, Line, alternate, exact, median_of
from lab import Failure, wait_for
from otlp_sink import OtlpSink

# What is exported, and how much slower the caller may become, in percent.
EXPORT = {"metrics only": 1, "10 % exported": 2, "100 % exported": 5}


def settings(name, sink):
    quiet = ("--set", "log.requests.enabled=false")
    if name == "metrics only":
        return quiet
    export = (*quiet, "--otlp-endpoint", f"http://127.0.0.1:{sink.port}", "--set", "otlp.protocol=http/protobuf")
    if name == "10 % exported":
        return (*export, "--set", "traces.sampler.type=probability", "--set", "traces.sampler.rate=0.1")
    return export


def spans_of(daemon, sink, name):
    """Of the calls: their spans, received or left out by the sampler."""
    left_out = daemon.total("llmtap_export_total", signal="traces", result="not_sampled") if name == "10 % exported" else 0
    return sink.spans + left_out


def percent(mode, field):
    def value(rounds):
        base = median_of("off", field)(rounds)
        return 100 * (median_of(mode, field)(rounds) - base) / base
    return value


def measure_calls(lab):
    """Added to p50 and p99 of calls that the provider answers after 20 ms and after 1 s."""
    rate, seconds = (100, 1) if lab.quick else (1000, 6)
    modes = ["off", *EXPORT]
    lines, raw = [], {}
    for delay_ms in (20,) if lab.quick else (20, 1000):
        counts, received = {mode: [0, 0] for mode in modes}, 0

        def one(mode):
            nonlocal received
            with contextlib.ExitStack() as stack:
                sink = stack.enter_context(OtlpSink())
                daemon = stack.enter_context(lab.llmtap(*settings(mode, sink))) if mode != "off" else None
                result = lab.load("calls", rate, seconds, delay_ms, 400, 900)
                if daemon:
                    # Seen by the client's side and by the server's; spans are sent in batches.
                    wanted = 2 * result["calls"]
                    with contextlib.suppress(Failure):
                        wait_for("the metrics", lambda: daemon.total("llmtap_requests_total", model="bench-model") >= wanted, 10)
                    if mode == "metrics only":
                        counted = daemon.total("llmtap_requests_total", model="bench-model")
                    else:
                        with contextlib.suppress(Failure):
                            wait_for("the spans", lambda: spans_of(daemon, sink, mode) >= wanted, 10)
                        counted = spans_of(daemon, sink, mode)
                    if mode == "10 % exported":
                        received += sink.spans
                    counts[mode][0] += counted
                    counts[mode][1] += wanted
            return result

        rounds = alternate(modes, lab.rounds, one, lab.say)
        raw[f"{delay_ms} ms"] = rounds
        for name, limit in EXPORT.items():
            for field in ("p50_us", "p99_us"):
                medians = {mode: median_of(mode, field)(rounds) for mode in ("off", name)}
                lines.append(Line("calls", f"{delay_ms} ms, {name}: {field[:3]} added", Figure.of(rounds, percent(name, field)), "%", "<=",
                                  limit, medians))
            what = {"metrics only": "calls counted", "10 % exported": "spans received or counted as not sampled"}.get(name, "spans received")
            lines.append(exact("calls", f"{delay_ms} ms, {name}: {what}", *counts[name]))
            if name == "10 % exported":
                lines.append(exact("calls", f"{delay_ms} ms, {name}: spans received", received, 1, sign=">="))
    return lines, raw
