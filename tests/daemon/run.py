#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real daemon against what can go wrong around it.

  run.py --llmtap build/dev/llmtap --group startup|endings|endurance|harm|hostile|losses|narrowing|repeats|replays|shedding [--only TEXT] [--keep DIR]

Each group is a module with CASES: (name, function). A function gets a Bench and returns the problems
it found, as sentences. LLMTAP_BIG=1 moves a gigabyte where 256 MB are enough to see a growth.
"""
import argparse
import importlib
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from case import Bench  # noqa: E402
from harness import CLIENTS, Failure, need, run_main, scratch, told  # noqa: E402
from wire import Lost  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--keep", help="work in this folder and leave it")
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "attaching probes needs root")
    need(os.path.exists(arguments.llmtap), f"{arguments.llmtap} is not built")
    need((CLIENTS / "installed").exists(), "the clients are not installed: run scripts/setup-clients")
    cases = [case for case in importlib.import_module(arguments.group).CASES if arguments.only in case[0]]
    need(cases, f"no case matches {arguments.only!r}", 2)
    bad = 0
    with scratch("daemon", arguments.keep) as folder:
        for number, (name, function) in enumerate(cases):
            place = folder / str(number)
            place.mkdir(parents=True, exist_ok=True)
            try:
                with Bench(place, arguments.llmtap) as bench:
                    problems = function(bench)
            except (Failure, Lost, OSError, subprocess.TimeoutExpired) as failure:
                problems = [f"{type(failure).__name__}: {failure}"]
            bad += told(f"{arguments.group}: {name}", problems)
    print(f"{len(cases)} cases, {bad} failures")
    return 1 if bad else 0


if __name__ == "__main__":
    run_main(main)
