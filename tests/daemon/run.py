#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real daemon against what can go wrong around it.

  run.py --llmtap build/dev/llmtap --group startup|endings|hostile|losses [--only TEXT] [--keep DIR]

Each group is a module with CASES: (name, function). A function gets a Bench and returns the problems
it found, as sentences. LLMTAP_BIG=1 moves a gigabyte where 256 MB are enough to see a growth.
"""
import argparse
import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import wire  # noqa: E402
from books import Books, settle  # noqa: E402
from harness import CLIENTS, Failure, Stack, get, lines_of, need, stop, wait_for  # noqa: E402


class Bench(Stack):
    """One case: a scratch folder, the program under test, and calls whose numbers are known."""

    def __init__(self, folder, binary):
        super().__init__(folder)
        self.binary = binary
        self.big = os.environ.get("LLMTAP_BIG", "") not in ("", "0")
        self.sanitized = b"__asan_init" in pathlib.Path(binary).read_bytes()
        self.number = 0

    def tap(self, *more):
        return self.llmtap(self.binary, *more)

    def environment(self):
        return {name: value for name, value in os.environ.items() if not name.startswith("LLMTAP_")}

    def command(self, *arguments, before=(), seconds=60, **named):
        """A command that ends by itself: (status, what it said on stderr, stdout)."""
        run = subprocess.run([*map(str, before), str(self.binary), *map(str, arguments)], capture_output=True, text=True, timeout=seconds,
                             stdin=subprocess.DEVNULL, env=self.environment(), check=False, **named)
        return run.returncode, run.stderr, run.stdout

    def model(self, what):
        self.number += 1
        return f"{what}-{os.getpid()}-{self.number}"

    def good_calls(self, tap, connection=None, calls=1, what="good", problems=None):
        """Calls after the accident must be exact, on both ends."""
        problems = [] if problems is None else problems
        model = self.model(what)
        with connection or wire.Connection() as used:
            for number in range(calls):
                used.exchange(wire.request(model), wire.reply(wire.reply_body(model, number)))
        problems += self.wait_exact(tap, model, calls)
        return problems

    def wait_exact(self, tap, model, calls, token_pair=(7, 3)):
        try:
            wait_for("the log", lambda: len(lines_with(tap["log"], model)) >= 2 * calls, 20, tap["process"])
        except Failure:
            return [f"{len(lines_with(tap['log'], model))} lines for {calls} good calls ({model})"]
        problems = []
        lines = lines_with(tap["log"], model)
        if len(lines) != 2 * calls:
            problems.append(f"{len(lines)} lines for {calls} good calls ({model})")
        for line in lines:
            found = (line.get("input_tokens"), line.get("output_tokens"))
            if line.get("outcome") != "ok" or line.get("incomplete") or found != token_pair:
                problems.append(f"a good call ({model}) is outcome {line.get('outcome')}, incomplete {line.get('incomplete')}, tokens {found}")
        return problems[:5]

    @staticmethod
    def books(tap):
        return Books(get(tap["port"], "/metrics")[1])

    @staticmethod
    def end(tap, seconds=30):
        """Problems of an orderly end."""
        status = stop(tap["process"], seconds)
        text = tap["stderr"].read_text(errors="replace")
        return [] if status == 0 else [f"llmtap ended with {status}: {text[-2000:]}"]

    def whole(self, tap, problems):
        """Books, then the end: what each case finishes with."""
        return problems + settle(tap["port"]) + self.end(tap)


def lines_with(log, model):
    return [line for line in lines_of(log) if line.get("requested_model") == model]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--keep", help="work in this folder and leave it")
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "attaching probes needs root")
    need((CLIENTS / "installed").exists(), "the clients are not installed: run scripts/setup-clients")
    folder = arguments.keep or tempfile.mkdtemp(prefix="llmtap-daemon-")
    cases = [case for case in importlib.import_module(arguments.group).CASES if arguments.only in case[0]]
    need(cases, f"no case matches {arguments.only!r}", 2)
    bad = 0
    try:
        for number, (name, function) in enumerate(cases):
            place = pathlib.Path(folder) / str(number)
            place.mkdir(parents=True, exist_ok=True)
            try:
                with Bench(place, arguments.llmtap) as bench:
                    problems = function(bench)
            except (Failure, wire.Lost, OSError, subprocess.TimeoutExpired) as failure:
                problems = [f"{type(failure).__name__}: {failure}"]
            bad += bool(problems)
            print(f"{'FAIL' if problems else 'ok  '} {arguments.group}: {name}", flush=True)
            for problem in problems[:12]:
                print(f"       {problem}", flush=True)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(cases)} cases, {bad} failures")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
