#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the end-to-end table: real clients, a server that keeps a ledger, llmtap between them.

  run.py --llmtap build/dev/llmtap [--only TEXT] [--heavy | --basic] [--keep DIR]
  run.py --without-llmtap        checks clients and server among themselves

Every number that llmtap says of a call must be the ledger's, every call must be counted exactly once
for each process that took part, and the sums in /metrics must be those of the ledger.
"""
import argparse
import collections
import os
import shutil
import subprocess
import sys

from books import settle
from compare import client_problems, row_problems, samples, total
from harness import CLIENTS, Failure, Stack, get, lines_of, need, run_main, scratch, stop, told, wait_for
from rows import ROUTES, all_rows

SAME = ("status", "model", "input_tokens", "output_tokens", "finish_reason", "events", "bytes", "text_sha", "failure")


# Maps libraries as a program does that uses them, and stays.
HOLD = """
import mmap, os, signal, sys
held = [mmap.mmap(os.open(path, os.O_RDONLY), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC) for path in sys.argv[1:]]
print(len(held), flush=True)
signal.pause()
"""


class Run:
    def __init__(self, stack, rows, verbose):
        self.stack, self.rows, self.verbose = stack, rows, verbose
        self.tag = f"tap{os.getpid()}"
        self.problems = collections.defaultdict(list)
        self.seen, self.pids, self.own = {}, {}, {}
        self.server = stack.server()
        self.nginx = stack.nginx(self.server)

    def model(self, row, without_probe=False):
        # Of one length in both runs: replies must not differ in size.
        return f"{self.tag}{'x' if without_probe else 'r'}{self.rows.index(row):03d}"

    def spec(self, row, server, model):
        plain = row.via.endswith("plain")
        ports = self.nginx if row.via.startswith("nginx") else server
        headers = {f"x-test-{name}": str(value) for name, value in row.plan.items()}
        return {"client": row.client, "base": f"{'http' if plain else 'https'}://127.0.0.1:{ports['plain_port' if plain else 'tls_port']}",
                "ca": None if plain else self.stack.ca, "dialect": row.dialect, "model": model, "stream": row.stream,
                "calls": row.calls, "concurrency": row.concurrency, "headers": headers, **row.spec}

    def call(self, row, without_probe=False):
        server = self.stack.server("server" + self.model(row)) if row.own_server else self.server
        model = self.model(row, without_probe)
        seen = self.stack.client(self.spec(row, server, model))
        pids = {"client": {one["pid"] for one in seen}, "server": {server["pid"]}, "nginx": self.nginx["pids"]}
        return seen, pids

    def ledger(self, model):
        return [entry for entry in lines_of(self.server["ledger"]) if entry["requested_model"] == model]

    def wait_ledger(self, row, model):
        """The server books a call that its client left only when it next looks."""
        if row.own_server:
            return
        try:
            wait_for("the ledger", lambda: len(self.ledger(model)) >= row.total, 30)
        except Failure as failure:
            self.problems[row.name].append(f"{failure}: {len(self.ledger(model))} of {row.total} calls")

    def without_probe(self, rows):
        for row in rows:
            try:
                seen, _ = self.call(row, True)
            except (Failure, subprocess.TimeoutExpired) as failure:
                self.problems[row.name].append(str(failure))
                continue
            self.wait_ledger(row, self.model(row, True))
            self.problems[row.name] += client_problems(row, self.ledger(self.model(row, True)), seen)
            self.seen[row.name] = seen

    def with_probe(self, row, tap):
        without = self.seen.get(row.name)
        try:
            seen, self.pids[row.name] = self.call(row)
        except (Failure, subprocess.TimeoutExpired) as failure:
            self.problems[row.name].append(str(failure))
            return
        model = self.model(row)
        self.wait_ledger(row, model)
        self.problems[row.name] += client_problems(row, self.ledger(model), seen)
        if row.twice and without:
            for before, after in zip(without, seen):
                different = [name for name in SAME if name != "model" and before.get(name) != after.get(name)]
                if different:
                    self.problems[row.name].append(f"the client's output differs without the probe: {different}")
        want = row.total * len(ROUTES[row.via])
        try:
            wait_for("the log", lambda: len(self.lines(tap, model)) >= want, 20, tap["process"])
        except Failure as failure:
            self.problems[row.name].append(f"{failure}: {len(self.lines(tap, model))} of {want} lines")
            if tap["process"].poll() is not None:
                raise

    @staticmethod
    def lines(tap, model):
        return [line for line in lines_of(tap["log"]) if line.get("requested_model") == model]

    def check(self, tap, metrics):
        """After llmtap has ended: its log is complete."""
        for row in self.rows:
            model = self.model(row)
            if row.name in self.pids:
                self.problems[row.name] += row_problems(row, model, self.ledger(model), self.lines(tap, model), self.pids[row.name])
        whole = self.problems["sums in /metrics"]
        mine = [row for row in self.rows if row.name in self.pids and row.plan.get("status") not in (400, 404)]
        models = {self.model(row) for row in mine}

        def edge(labels):
            return labels.get("hop") == "edge" and labels.get("model") in models
        ledgers = [entry for entry in lines_of(self.server["ledger"]) if entry["requested_model"] in models]
        sums = {"requests": (total(metrics, "llmtap_requests_total", edge), sum(row.total for row in mine))}
        for kind in ("input", "output"):
            sums[kind + " tokens"] = (
                total(metrics, "llmtap_tokens_total", lambda labels: edge(labels) and labels["type"] == kind and labels["source"] == "reported"),
                sum(entry[kind + "_tokens"] or 0 for entry in ledgers if entry["usage"]))
        whole += [f"{name}: llmtap counts {ours:g} at the edge, the ledger {theirs}" for name, (ours, theirs) in sums.items() if ours != theirs]
        # What other programs of the node moved beside the hooks (unseen, bypass) is not of these rows;
        # where it is, the row's own lines say incomplete.
        said = any(line.get("incomplete") for row in mine if row.floods for line in self.lines(tap, self.model(row)))
        lost = [(labels, value) for name, labels, value in samples(metrics) if name == "llmtap_events_lost_total" and value
                and labels["reason"] not in ("unseen", "bypass") and not (said and labels["reason"] == "ring_full")]
        if lost:
            whole.append(f"events lost: {lost}")
        self.problems["promtool check metrics"] += lint(metrics)

    def report(self):
        bad = 0
        for row in self.rows:
            bad += told(row.name, self.problems.pop(row.name, []), self.verbose)
        for name, problems in self.problems.items():
            bad += bool(problems)
            for problem in problems:
                print(f"FAIL {name}: {problem}")
        print(f"{len(self.rows)} rows, {bad} failures")
        return 1 if bad else 0


def lint(metrics):
    if not shutil.which("promtool"):
        return []
    run = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, check=False)
    return [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap")
    parser.add_argument("--without-llmtap", action="store_true")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--basic", action="store_true")
    parser.add_argument("--heavy", action="store_true")
    parser.add_argument("--keep", help="work in this folder and leave it")
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    need(arguments.without_llmtap or arguments.llmtap, "give --llmtap or --without-llmtap", 2)
    need(arguments.without_llmtap or os.geteuid() == 0, "attaching probes needs root")
    need((CLIENTS / "installed").exists(), "the clients are not installed: run scripts/setup-clients")
    rows = [row for row in all_rows() if arguments.only in row.name
            and not (arguments.basic and row.heavy) and not (arguments.heavy and not row.heavy)]
    for suite in ("bullseye", "trixie"):
        if not (CLIENTS / suite / "curl").exists():
            print(f"left out: the rows of curl_{suite}, which scripts/setup-clients could not get", file=sys.stderr)
            rows = [row for row in rows if row.client != f"curl_{suite}"]
    with scratch("e2e", arguments.keep) as folder, Stack(folder) as stack:
        run = Run(stack, rows, arguments.verbose)
        if arguments.without_llmtap:
            run.without_probe(rows)
            return run.report()
        run.without_probe([row for row in rows if row.twice])
        # A program that is on the node for the first time is found by its mapping; its first call
        # may pass before. Agents run long: one is there before the probe starts.
        if any(row.client.startswith("node") for row in rows):
            stack.start(["node", "-e", "setInterval(() => {}, 1e6)"], "node")
        libraries = [library for suite in ("bullseye", "trixie") if any(row.client == f"curl_{suite}" for row in rows)
                     for library in (CLIENTS / suite).glob("usr/lib/*/libssl.so.*")]
        if libraries:
            stack.start([sys.executable, "-c", HOLD, *libraries], "hold")
            wait_for("the libraries are mapped", lambda: (stack.folder / "hold.out").read_text(), 20)
        # A client hands 20 MB to its library in one call, which the server reads at the same time: no reader
        # keeps up with that on a busy node. The ring holds all of it.
        tap = stack.llmtap(arguments.llmtap, "--set", "capture.ring_bytes=64MiB")
        for row in rows:
            run.with_probe(row, tap)
        run.problems["books"] += settle(tap["port"])
        metrics = get(tap["port"], "/metrics")[1]
        (stack.folder / "metrics.txt").write_text(metrics)
        status = stop(tap["process"])
        if status:
            run.problems["llmtap"].append(f"ended with {status}: {tap['stderr'].read_text()[-3000:]}")
        run.check(tap, metrics)
        return run.report()


if __name__ == "__main__":
    run_main(main)
