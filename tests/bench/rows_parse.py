# SPDX-License-Identifier: Apache-2.0
"""parse: protocols and llm alone, without a kernel. replay: the whole of `llmtap replay` on made events."""
import json
import pathlib
import resource
import subprocess
import sys

from figures import Figure, Line, absent, exact, median_of


def measure_parse(lab):
    """bench_parse prints one JSON line: [{"what", "value", "unit", "at_least"}]."""
    program = lab.programs / "bench_parse"
    if not program.exists():
        return [absent("parse", "protocols + llm, one core", "not built: bench_parse")], None
    taken = []
    for _ in range(1 if lab.quick else 3):
        run = subprocess.run([program, *(["--quick"] if lab.quick else [])], capture_output=True, text=True, check=True)
        taken.append({one["what"]: one for one in json.loads(run.stdout.splitlines()[-1])})
    lines = []
    for what, first in taken[0].items():
        figure = Figure.of(taken, median_of(what, "value"))
        lines.append(Line("parse", what, figure, first["unit"], ">=" if "at_least" in first else "", first.get("at_least")))
    return lines, taken


def measure_replay(lab):
    """CPU of `llmtap replay`: reading the file, the core, and a line of log for each call."""
    lines, raw = [], {}
    for kind, field, unit, limit in (("bodies", "bytes_per_s", "GB/s", 1.0), ("sse", "events_per_s", "million events/s", 2.0)):
        path = lab.out / f"{kind}.events"
        made = json.loads(subprocess.run([sys.executable, pathlib.Path(__file__).with_name("make_events.py"), kind,
                                          "10" if lab.quick else "200", path], capture_output=True, text=True, check=True).stdout)
        taken = []
        for _ in range(1 if lab.quick else 5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run = subprocess.run([lab.binary, "replay", path], capture_output=True, text=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            taken.append({"llmtap": {"bytes_per_s": made["payload_bytes"] / seconds / 1e9, "events_per_s": made["events"] / seconds / 1e6,
                                     "cpu_s": seconds}})
        path.unlink()
        calls = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        raw[kind] = taken
        lines += [Line("replay", f"{kind}, file and log included", Figure.of(taken, median_of("llmtap", field)), unit, ">=", limit),
                  exact("replay", f"{kind}: calls", len(calls), made["calls"]),
                  exact("replay", f"{kind}: output tokens", sum(call.get("output_tokens") or 0 for call in calls), made["output_tokens"])]
    return lines, raw
