#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The measurements of scripts/bench; README.md beside this says what each row means."""
import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
import traceback

from figures import table
from lab import Failure, Lab, need
from rows_bystanders import measure_nginx, measure_syscalls
from rows_calls import measure_calls
from rows_core import measure_core
from rows_flood import measure_flood, measure_memory, measure_start
from rows_soak import measure_soak
from rows_tls import measure_cpu, measure_tls

ROWS = {"core": measure_core, "tls": measure_tls, "cpu": measure_cpu, "calls": measure_calls,
        "syscalls": measure_syscalls, "nginx": measure_nginx, "flood": measure_flood, "memory": measure_memory, "start": measure_start}
# Measured where they are named only: they last.
LONG = {"soak": measure_soak}
ROUNDS = 12


def machine(lab):
    """What the figures depend on, beside the program."""
    model = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    version = subprocess.run([lab.binary, "version"], capture_output=True, text=True, check=False).stdout.strip()
    return {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "kernel": platform.release(), "cpus": os.cpu_count(),
            "cpu": model, "load": os.getloadavg(), "llmtap": version, "libssl": lab.libssl}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which to measure: {', '.join(ROWS)}; none: all; soak, which lasts --minutes, only where it is named")
    parser.add_argument("--quick", action="store_true", help="each row for a moment, to see that it runs: its times mean nothing")
    parser.add_argument("--rounds", type=int, help=f"alternated rounds of each comparison ({ROUNDS}; 1 with --quick)")
    parser.add_argument("--minutes", type=int, default=60, help="how long soak lasts (60)")
    parser.add_argument("--build", default="build/release", help="where llmtap and the programs are built")
    parser.add_argument("--out", default="build/bench", help="folder of results.json and of what a run leaves")
    arguments = parser.parse_args()
    if unknown := [row for row in arguments.rows if row not in {**ROWS, **LONG}]:
        parser.error(f"no row {', '.join(unknown)}: there are {', '.join({**ROWS, **LONG})}")
    need(os.geteuid() == 0, "attaching probes needs root")
    lab = Lab(arguments.build, arguments.out, arguments.rounds or (1 if arguments.quick else ROUNDS), arguments.quick, arguments.minutes)
    lines, raw, failures, took = [], {}, [], {}
    for row in arguments.rows or ROWS:
        print(f"bench: {row}", file=sys.stderr, flush=True)
        start = time.monotonic()
        try:
            measured, raw[row] = {**ROWS, **LONG}[row](lab)
            lines += measured
            failures += [f"{line.row}: {line.what}: {line.figure.value:.0f}, not {line.limit:.0f}" for line in measured
                         if line.exact and line.verdict() != "met"]
        except Exception as failure:  # the rows that were measured are worth an hour: keep them whatever this one did
            failures.append(f"{row}: {failure}" if isinstance(failure, Failure) else f"{row}: {traceback.format_exc()}")
        took[row] = round(time.monotonic() - start, 1)
        results = {"machine": machine(lab), "rounds": lab.rounds, "quick": lab.quick, "seconds": took, "failures": failures,
                   "lines": [line.as_json() for line in lines], "raw": raw}
        (lab.out / "results.json").write_text(json.dumps(results, indent=1))
    print(table(lines))
    if lab.quick:
        print("--quick: the counts are checked, the times mean nothing")
    for failure in failures:
        print(f"bench: {failure}", file=sys.stderr)
    print(f"written: {lab.out}/results.json", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
