# SPDX-License-Identifier: Apache-2.0
"""flood: events lost. memory: what the daemon holds. start: from exec to the first call."""
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import time

from figures import exact, no_loss, once


def flood(lab, *arguments, ring=None, halt_s=0):
    """halt_s: the daemon is stopped for so long while the streams run, and the ring fills."""
    with lab.llmtap(*(("--set", f"capture.ring_bytes={ring}") if ring else ())) as daemon:
        before = daemon.cpu_seconds()
        with lab.start_load("streams", *arguments) as process:
            if halt_s:
                daemon.process.send_signal(signal.SIGSTOP)
                time.sleep(halt_s)
                daemon.process.send_signal(signal.SIGCONT)
            result = json.loads(process.communicate(timeout=600)[0].splitlines()[-1])
        outbound, inbound = daemon.wait_for_calls(result["calls"])
        return {**result, "logged": len(outbound), "logged_inbound": len(inbound), "losses": daemon.losses(),
                "events_counted": sum(line["stream_chunks"] for line in outbound),
                # Of streams that say that they are whole.
                "silent": sum(result["units"] // result["calls"] + 1 - line["stream_chunks"] for line in outbound if not line.get("incomplete")),
                "incomplete": sum(bool(line.get("incomplete")) for line in outbound), "daemon_cpu_s": daemon.cpu_seconds() - before}


def measure_flood(lab):
    """At a given rate nothing may be lost; beyond what fits, whatever is lost must be said."""
    given = (100, 20, 1, 250) if lab.quick else (1000, 50, 20, 250)
    paced = flood(lab, *given)
    wanted = paced["calls"] + paced["units"]  # each stream has an event with its usage
    rate = given[0] * given[1]
    lines = [
        once("flood", f"{rate:,} events/s over {given[0]:,} streams: reached", paced["per_second"] / rate, "x", ">=", 0.95,
             note="the load generator's"),
        no_loss("flood", f"{rate:,} events/s: events lost", [paced["losses"]]),
        exact("flood", f"{rate:,} events/s: streams logged", paced["logged"], paced["calls"]),
        exact("flood", f"{rate:,} events/s: events counted", paced["events_counted"], wanted),
    ]
    unlimited = flood(lab, 100, 0, 20 if lab.quick else 2000, 250)
    # More than this ring holds passes while nobody reads it; the streams end long after.
    halted = flood(lab, 100, 0, 80 if lab.quick else 200, 250, ring=262144, halt_s=0.3)
    for what, taken, least in (("as fast as it goes", unlimited, 0), ("a small ring, and the daemon halted for 0.3 s", halted, 1)):
        missing = taken["calls"] + taken["units"] - taken["events_counted"]
        lines += [
            once("flood", f"{what}: rate", taken["per_second"], "events/s"),
            exact("flood", f"{what}: losses counted", sum(taken["losses"].values()), least, sign=">="),
            exact("flood", f"{what}: events missing in streams that are not marked", taken["silent"], 0),
            exact("flood", f"{what}: streams logged", taken["logged"], taken["calls"]),
        ]
        lines[-3].note = f"{missing} events missing, {taken['incomplete']} streams marked; {json.dumps(taken['losses'])}"
    return lines, {"paced": paced, "unlimited": unlimited, "halted": halted}


def memory_of(pid):
    """Bytes: what the process holds itself, and what its BPF maps hold, the ring once. The ring's pages are
    mapped twice and counted by the kernel as resident both times, so mapped maps are taken from VmRSS and each
    map's memory is added as the kernel states it."""
    resident = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024
    mapped = 0
    is_map = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_map = "bpf-map" in line
        elif is_map and line.startswith("Rss:"):
            mapped += int(line.split()[1]) * 1024
    maps, ring = {}, 0
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = info.read_text()
        except OSError:
            continue
        number, memory, kind = (re.search(rf"^{name}:\t(\d+)", text, re.M) for name in ("map_id", "memlock", "map_type"))
        if number and memory:
            maps[number[1]] = int(memory[1])
            if kind[1] == "27":  # BPF_MAP_TYPE_RINGBUF
                ring = int(re.search(r"^max_entries:\t(\d+)", text, re.M)[1])
    return {"VmRSS": resident, "own": resident - mapped, "maps": sum(maps.values()), "ring": ring,
            "total": resident - mapped + sum(maps.values())}


def highest_memory(lab, daemon, streams):
    """The most that was held while so many streams were open, and what the generator says."""
    # A slow drip: all are open, all have been read.
    with lab.start_load("streams", streams, 1, 2 if lab.quick else 15, 250) as process:
        highest = memory_of(daemon.pid)
        while process.poll() is None:
            highest = max(highest, memory_of(daemon.pid), key=lambda one: one["total"])
            time.sleep(0.2)
        return highest, json.loads(process.stdout.read().splitlines()[-1])


def measure_memory(lab):
    """Both ends of a stream are on this node, so half as many are made as are read."""
    streams, lines, raw = 200 if lab.quick else 10000, [], {}
    with lab.llmtap() as daemon:
        raw["idle"] = idle = memory_of(daemon.pid)
        raw["budget"], first = highest_memory(lab, daemon, streams // 2)
        raw["double"], second = highest_memory(lab, daemon, streams)
        made = first["calls"] + second["calls"]
        logged = [len(side) for side in daemon.wait_for_calls(made, 60)]
        losses = daemon.losses()
    mib = 1 << 20
    for what, taken, limit in (("idle", idle, 40), (f"{streams:,} open streams read", raw["budget"], 128),
                               (f"{2 * streams:,} open streams read", raw["double"], None)):
        ring = taken["ring"] / mib
        lines.append(once("memory", f"{what}: own pages and BPF maps, the ring ({ring:.0f} MiB) once", taken["total"] / mib, "MiB",
                          "<=" if limit else "", limit and limit + ring,
                          note=f"VmRSS {taken['VmRSS'] / mib:.0f}, own {taken['own'] / mib:.0f}, maps {taken['maps'] / mib:.0f}"))
    lines += [exact("memory", "streams logged, both sides", sum(logged), 2 * made), no_loss("memory", "events lost", [losses])]
    return lines, raw


def measure_start(lab):
    """New processes that call at once: with a library that is attached, and with one never seen before."""
    count = 3 if lab.quick else 20
    with lab.llmtap() as daemon:
        for _ in range(count):
            lab.load("calls", 1, 1, 0, 400, 900)
        known = len(daemon.wait_for_calls(count, 10)[0])
        # The same library as a file of its own, each time a new one: its calls are seen once it is attached.
        unknown = []
        for number in range(1 if lab.quick else 5):
            folder = lab.out / f"library{number}"
            folder.mkdir(exist_ok=True)
            shutil.copy(lab.libssl, folder / "libssl.so.3")
            seen = len(daemon.calls()[0])
            rate, seconds = 50, 1 if lab.quick else 3
            subprocess.run([lab.programs / "bench_tls_load", lab.certs, "calls", str(rate), str(seconds), "0", "400", "900"], check=True,
                           stdout=subprocess.DEVNULL, env={**os.environ, "LD_LIBRARY_PATH": str(folder)})
            calls = daemon.wait_for_calls(seen + rate * seconds, 3)[0]
            unknown.append((rate * seconds - (len(calls) - seen)) / rate)
            shutil.rmtree(folder)
    return [exact("start", "first calls of new processes, known library", known, count),
            once("start", "unknown library: calls missed since exec, as time", statistics.median(unknown), "s", "<=", 1)], {"unknown": unknown}
