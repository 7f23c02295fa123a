# SPDX-License-Identifier: Apache-2.0
"""The books of a running llmtap, read from /metrics: what entered a stage left it or is lost by name.

check_books(text) gives the differences as sentences; settle(port, seconds) waits until nothing is on
its way and gives them. They hold at any moment but for what a stage still holds: open exchanges, and
first bytes that do not decide yet.
"""
import time

from compare import samples
from harness import get

# ConnectionReaders keeps at most this many undecided first bytes in each direction.
HELD_BYTES = 24
# The request that asks for the figures is seen too, and on its way from the kernel when they are read.
ASKING_BYTES = 512
KERNEL_REASONS = ("ring_full", "fault", "too_large", "iovecs", "no_args", "map_full", "bypass", "unseen", "compat", "shed")


class Books:
    def __init__(self, text):
        self.values = list(samples(text))

    def total(self, family, **labels):
        return sum(value for name, found, value in self.values
                   if name == family and all(found.get(label) == want for label, want in labels.items()))

    def labels(self, family, label):
        return sorted({found[label] for name, found, _ in self.values if name == family and label in found})

    def stage(self, stage, what):
        return tuple(self.total(f"llmtap_stage_{what}_total", stage=stage, result=result) for result in ("in", "out", "lost"))

    def queue(self, name):
        return self.total("llmtap_queue_length", queue=name)

    def lost(self):
        """{(where, reason): count} of everything that is not zero."""
        found = {}
        for name, labels, value in self.values:
            if value and name == "llmtap_events_lost_total":
                found[labels["source"], labels["reason"]] = value
            elif value and name == "llmtap_bytes_lost_total":
                found[labels["stage"], labels["reason"]] = value
        return found


def check_books(text, idle=False, signals=("logs",)):
    """idle: no call is open; then every signal that is configured has each of them."""
    books, problems = Books(text), []
    stages = books.labels("llmtap_stage_bytes_total", "stage")
    if stages != ["capture", "kernel", "llm", "protocols", "streams"]:
        return [f"the stages of llmtap_stage_bytes_total are {stages}"]
    exchanges = books.queue("open_exchanges")
    connections = books.queue("open_connections")
    most_held = {("capture", "bytes"): ASKING_BYTES, ("protocols", "bytes"): 2 * HELD_BYTES * connections, ("llm", "items"): exchanges, ("protocols", "items"): exchanges}
    for stage in stages:
        for what in ("bytes", "items"):
            came, left, lost = books.stage(stage, what)
            left_out = books.total("llmtap_stage_bytes_total", stage=stage, result="left_out") if what == "bytes" else 0
            held, most = came - left - left_out - lost, most_held.get((stage, what), 0)
            if held < 0 or held > most:
                problems.append(f"{stage}: {what} in {came:.0f} = out {left:.0f} + left out {left_out:.0f} + lost {lost:.0f} + held {held:.0f}, "
                                f"of which at most {most:.0f} may be")
        reasons = books.total("llmtap_bytes_lost_total", stage=stage)
        if reasons != books.stage(stage, "bytes")[2]:
            problems.append(f"{stage}: {books.stage(stage, 'bytes')[2]:.0f} bytes lost, by reason {reasons:.0f}")
    # Each gap in a stream has a name, under which the kernel side has counted it.
    if skipped := books.total("llmtap_bytes_lost_total", stage="streams", reason="skipped"):
        problems.append(f"{skipped:.0f} bytes are missing in streams and nothing says why")
    left_out = [books.total("llmtap_stage_bytes_total", stage=stage, result="left_out") for stage in ("streams", "kernel")]
    if left_out[0] > left_out[1]:
        problems.append(f"{left_out[0]:.0f} bytes were left out of streams, of which the kernel side counted {left_out[1]:.0f}")
    for reason in KERNEL_REASONS:
        counted, gaps = (books.total("llmtap_bytes_lost_total", stage=stage, reason=reason) for stage in ("kernel", "streams"))
        if gaps > counted:
            problems.append(f"{gaps:.0f} bytes are missing in streams as {reason}, of which the kernel side counted {counted:.0f}")
    given, got = books.stage("streams", "bytes")[1], books.stage("protocols", "bytes")[0]
    if given != got:
        problems.append(f"streams gave {given:.0f} bytes, protocols got {got:.0f}")
    given, got = books.stage("protocols", "items")[0], books.stage("llm", "items")[0]
    if given != got:
        problems.append(f"protocols began {given:.0f} exchanges, llm got {got:.0f}")
    finished = books.total("llmtap_requests_total")
    for signal in signals:
        given = books.total("llmtap_export_total", signal=signal) + books.total("llmtap_export_queue_length", signal=signal)
        if idle and given != finished and not books.total("llmtap_series_dropped_total"):
            problems.append(f"{finished:.0f} calls finished, {signal} got {given:.0f}")
    if idle:
        in_flight = books.total("llmtap_in_flight_requests")
        if in_flight:
            problems.append(f"{in_flight:.0f} calls in flight, though none is")
    return problems


def settle(port, seconds=20, idle=True):
    """The problems that remain when the last bytes have passed, at the latest after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        status, text = get(port, "/metrics")
        problems = check_books(text, idle) if status == 200 else [f"/metrics answered {status}"]
        if not problems or time.monotonic() > deadline:
            return problems
        time.sleep(0.1)
