#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The measurements of scripts/bench; see there."""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from compare import samples  # noqa: E402
from harness import SUPPORT, Failure, free_port, get, lines_of, stop, wait_for  # noqa: E402

MODES = ("off", "empty", "llmtap")
WORK = {"calls": ["calls", "4000"], "stream": ["stream", "20", "500"], "plain_https": ["plain_https", "4000"]}


def libssl():
    """The library that the benchmark programs load."""
    listing = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        if "libssl.so.3 " in line and "x86-64" in line:
            return str(pathlib.Path(line.split("=>")[1].strip()).resolve())
    raise Failure("no libssl.so.3 on this machine")


class Bench:
    def __init__(self, build, out):
        self.build, self.out = pathlib.Path(build), pathlib.Path(out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.certs = self.out / "certs"
        subprocess.run([SUPPORT / "make_certs", self.certs], check=True)
        self.pair = self.build / "tests/bench/bench_tls_pair"
        self.empty = self.build / "tests/bench/bench_empty_probe"
        self.llmtap = self.build / "llmtap"

    def probe(self, mode):
        """(process or None, port, log)"""
        if mode == "off":
            return None, 0, None
        if mode == "empty":
            process = subprocess.Popen([self.empty, libssl()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if process.stdout.readline() != "ready\n":
                raise Failure("bench_empty_probe did not get ready")
            return process, 0, None
        port, log = free_port(), self.out / "calls.jsonl"
        log.unlink(missing_ok=True)
        process = subprocess.Popen([self.llmtap, "run", "--listen", f"127.0.0.1:{port}", "--log-requests", log],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.out / "llmtap.err", "wb"))
        wait_for("llmtap is ready", lambda: get(port, "/readyz")[0] == 200, 60, process)
        return process, port, log

    def run_pair(self, arguments):
        run = subprocess.run([self.pair, self.certs, *arguments], capture_output=True, text=True, timeout=300, check=False)
        if run.returncode:
            raise Failure(f"bench_tls_pair {arguments}: {run.stderr}")
        return json.loads(run.stdout)

    def latency(self, rounds):
        """mode -> work -> list of results, the order of the modes turned each round."""
        results = {mode: {work: [] for work in WORK} for mode in MODES}
        for number in range(rounds):
            order = MODES[number % 3:] + MODES[:number % 3]
            for mode in order:
                process, _, _ = self.probe(mode)
                try:
                    for work, arguments in WORK.items():
                        results[mode][work].append(self.run_pair(arguments))
                finally:
                    end(process)
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        return results

    def flood(self, connections, events):
        process, port, log = self.probe("llmtap")
        try:
            before = cpu_seconds(process.pid)
            result = self.run_pair(["flood", str(connections), str(events)])

            def counted():
                return [line for line in lines_of(log) if line.get("requested_model") == "bench-model" and line.get("direction") == "outbound"]
            try:
                wait_for("the log", lambda: len(counted()) >= connections, 20, process)
            except Failure:
                pass
            lines = counted()
            metrics = get(port, "/metrics")[1]
            lost = sum(value for name, _, value in samples(metrics) if name == "llmtap_events_lost_total")
            result.update(calls_logged=len(lines), calls_made=connections, events_lost=lost,
                          chunks_counted=sum(line["stream_chunks"] for line in lines), chunks_sent=connections * (events + 1),
                          incomplete=sum(bool(line.get("incomplete")) for line in lines), daemon_cpu_s=cpu_seconds(process.pid) - before)
            return result
        finally:
            end(process)

    def core(self, rounds, megabytes):
        """The rows of bench_core; it fails where a count of calls or tokens is not exact."""
        run = subprocess.run([self.build / "tests/bench/bench_core", "--rounds", str(rounds), "--megabytes", str(megabytes)],
                             capture_output=True, text=True, check=False)
        if run.returncode:
            raise Failure(f"bench_core: {run.stderr}")
        return [json.loads(line) for line in run.stdout.splitlines()]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def end(process):
    if process is None:
        return
    if process.stdin:
        process.stdin.close()
        process.wait(30)
    else:
        stop(process)


def median(results, field):
    return statistics.median(result[field] for result in results)


def show_latency(results):
    print(f"\n{'work':<12} {'what':<16} {'off':>10} {'empty':>10} {'llmtap':>10} {'empty/off':>10} {'llmtap/off':>11} {'own share':>10}")
    for work in WORK:
        for field in ("p50_us", "p99_us", "client_cpu_us", "server_cpu_us", "per_second"):
            off, empty, ours = (median(results[mode][work], field) for mode in MODES)
            own = ours - empty
            print(f"{work:<12} {field:<16} {off:>10.2f} {empty:>10.2f} {ours:>10.2f} {empty / off:>10.3f} {ours / off:>11.3f} {own:>10.2f}")
    print("own share: llmtap less the empty programs. Medians over the rounds.")


def show_core(rows):
    print(f"{'(a) recorded traffic, one core':<32} {'MB/s':>8} {'ms/MB':>8} {'million events/s':>18} {'of bare library':>16}")
    for row in rows:
        if row["row"] == "open_streams":
            print(f"{row['streams']} open streams: {row['bytes_per_stream']} bytes each")
            continue
        events = f"{row['million_events_per_s']:.2f} ({row['low']:.2f}-{row['high']:.2f})" if "events" in row else ""
        ratio = f"{row['ratio_to_bare_library']:.2f}" if "ratio_to_bare_library" in row else ""
        print(f"{row['row']:<32} {row['mb_per_s']:>8} {row['ms_per_mb']:>8.3f} {events:>18} {ratio:>16}")
    print("CPU time, medians with 90 % intervals; ratio: CPU of the core to CPU of the decompression library alone.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--out", default="build/bench")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", choices=("replay", "latency", "flood"))
    parser.add_argument("--megabytes", type=int, default=64)
    arguments = parser.parse_args()
    bench, results = Bench(arguments.build, arguments.out), {}
    try:
        if arguments.only in (None, "replay"):
            results["replay"] = bench.core(arguments.rounds, arguments.megabytes)
            show_core(results["replay"])
        if arguments.only in (None, "flood"):
            results["flood"] = one = bench.flood(100, 2000)
            print(f"flood: {one['units']:.0f} events at {one['per_second']:.0f}/s: {one['events_lost']:.0f} lost, {one['calls_logged']} of "
                  f"{one['calls_made']} calls logged, {one['chunks_counted']} of {one['chunks_sent']} chunks counted, {one['incomplete']} calls "
                  f"incomplete, daemon used {one['daemon_cpu_s']:.2f} s of a core")
        if arguments.only in (None, "latency"):
            results["latency"] = bench.latency(arguments.rounds)
            show_latency(results["latency"])
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    finally:
        (bench.out / "results.json").write_text(json.dumps(results, indent=1))
        print(f"written: {bench.out}/results.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
