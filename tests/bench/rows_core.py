# SPDX-License-Identifier: Apache-2.0
"""core: streams, protocols, llm and links on recorded traffic, without a kernel, on one core."""
import json
import subprocess

from figures import Figure, Line, absent, once
from lab import Failure

EVENTS, BODIES = 2.0, 1.0  # million SSE events, gigabytes of bodies, a second


def measure_core(lab):
    """bench_core makes its own rounds, compares every count, and prints a JSON line a row."""
    program = lab.programs / "bench_core"
    if not program.exists():
        return [absent("core", "recorded traffic", "not built: bench_core")], None
    run = subprocess.run([program, "--rounds", "1" if lab.quick else "11", "--megabytes", "1" if lab.quick else "64"], capture_output=True,
                         text=True, check=False)
    if run.returncode:
        raise Failure(run.stderr)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    lines = []
    for row in rows:
        name = row["row"]
        if "ratio_to_bare_library" in row:
            lines.append(once("core", f"{name}: CPU, against the bare decompressor", row["ratio_to_bare_library"], "x"))
        elif "million_events_per_s" in row:
            figure = Figure(row["million_events_per_s"], row["low"], row["high"], row["rounds"])
            lines.append(Line("core", name, figure, "million events/s", ">=", EVENTS, note=f"{row['mb_per_s']} MB/s"))
        elif "mb_per_s" in row:
            speed = [row["body_mb"] / row[field] / 1000 for field in ("seconds", "seconds_high", "seconds_low")]
            lines.append(Line("core", name, Figure(*speed, row["rounds"]), "GB/s", ">=", BODIES))
        else:
            lines.append(once("core", f"{row['streams']:,} open streams: heap", row["bytes_per_stream"] / 1024, "KiB a stream"))
    return lines, rows
