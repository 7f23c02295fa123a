# SPDX-License-Identifier: Apache-2.0
"""What the rows share: the programs, a probe that is on or off, what the daemon used and counted."""
import contextlib
import ctypes
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from compare import samples  # noqa: E402
from harness import SUPPORT, Failure, can_connect, children, free_port, get, need, stop, wait_for  # noqa: E402, F401


def libssl():
    """The library that the programs of these measurements load."""
    # Held here: the probe's broad attachment to it is then made before the first program begins.
    ctypes.CDLL("libssl.so.3")
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        if "libssl.so.3" in line:
            return line.split()[-1]
    raise Failure("no libssl.so.3 on this machine")


def cpu_seconds(pid):
    """Of all threads of a process, those that ended too, to the nanosecond: clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


# tracefs out of sight, in a mount namespace of its own, and nobody who may mount it.
HIDE = "mount -t tmpfs none /sys/kernel/tracing && { test ! -d /sys/kernel/debug/tracing || mount -t tmpfs none /sys/kernel/debug; }"
WITHOUT_TRACEFS = ["unshare", "--mount", "--propagation", "private", "sh", "-c", HIDE + ' && exec "$@"', "sh",
                   "setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]


def tracepoints_of(pid):
    """Where a process holds programs; older kernels name only those that are attached by BTF."""
    names = set()
    for link in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.update(re.findall(r"^tp_name:\s+(\S+)$", link.read_text(), re.MULTILINE))
    return names


class Daemon:
    """A running llmtap."""

    def __init__(self, process, port, log):
        self.process, self.port, self.log = process, port, log
        self.pid = process.pid
        self.read, self.logged = 0, {"outbound": [], "inbound": []}

    def cpu_seconds(self):
        return cpu_seconds(self.pid)

    def samples(self):
        """(name, labels, value) of its own metrics."""
        return samples(get(self.port, "/metrics")[1])

    def total(self, name, **labels):
        return sum(value for metric, have, value in self.samples()
                   if metric == name and all(have.get(key) == wanted for key, wanted in labels.items()))

    def losses(self):
        """reason -> events, by the probe's own count. Losses of other programs of this node are among them."""
        return {have["reason"]: value for name, have, value in self.samples() if name == "llmtap_events_lost_total" and value}

    def calls(self):
        """Of the generators, on the client's side and on the server's."""
        with contextlib.suppress(FileNotFoundError), open(self.log, "rb") as log:
            log.seek(self.read)
            text = log.read()
            whole = text[:text.rfind(b"\n") + 1]
            self.read += len(whole)
            for line in map(json.loads, whole.splitlines()):
                if line.get("requested_model") == "bench-model" and line.get("direction") in self.logged:
                    self.logged[line["direction"]].append(line)
        return self.logged["outbound"], self.logged["inbound"]

    def wait_for_calls(self, count, seconds=30):
        """Both sides' lines, when they are all there or the time is over: what is missing is the result."""
        with contextlib.suppress(Failure):
            wait_for("the log", lambda: all(len(side) >= count for side in self.calls()), seconds, self.process)
        return self.calls()


class Lab:
    def __init__(self, build, out, rounds, quick, minutes=60):
        self.build, self.out = pathlib.Path(build).resolve(), pathlib.Path(out).resolve()
        self.rounds, self.quick, self.minutes = rounds, quick, minutes
        self.out.mkdir(parents=True, exist_ok=True)
        self.certs = self.out / "certs"
        subprocess.run([SUPPORT / "make_certs", self.certs], check=True)
        self.programs = self.build / "tests/bench"
        self.binary = self.build / "llmtap"
        self.libssl = libssl()
        self.tracepoints = {}
        # Ten thousand streams: two processes with so many sockets each.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 20000)), hard))

    def say(self, text):
        print(f"  {text}", file=sys.stderr, flush=True)

    def run(self, program, *arguments, timeout=300):
        """The JSON that a generator printed last."""
        command = [self.programs / program, *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        if run.returncode:
            raise Failure(f"{program} {' '.join(map(str, arguments))}: {run.stderr}")
        return json.loads(run.stdout.splitlines()[-1])

    def load(self, *arguments, **named):
        return self.run("bench_tls_load", self.certs, *arguments, **named)

    @contextlib.contextmanager
    def start_load(self, *arguments):
        """bench_tls_load as a process, once its streams are open."""
        command = [self.programs / "bench_tls_load", self.certs, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            if "open" not in process.stdout.readline():
                raise Failure("bench_tls_load: its streams did not open")
            yield process
        finally:
            stop(process)

    def same_hooks(self, pid, raw, who):
        """Empty programs and llmtap are compared only if they stand at the same tracepoints. raw: all system calls at one."""
        names = tracepoints_of(pid)
        if ("sys_enter" in names) != raw:
            raise Failure(f"{who} is {'not ' if raw else ''}at every system call")
        others = names ^ self.tracepoints.setdefault(raw, names)
        if others:
            raise Failure(f"{who} does not stand where the ones before it stood: {', '.join(sorted(others))}")

    @contextlib.contextmanager
    def empty(self, where, file=None):
        process = subprocess.Popen([self.programs / "bench_empty_probe", where, *([file or self.libssl] if not where.endswith("hooks") else [])],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if process.stdout.readline() != "ready\n":
                raise Failure(process.stderr.read())
            if where in ("hooks", "raw_hooks", "places"):
                self.same_hooks(process.pid, where == "raw_hooks", where)
            yield None
        finally:
            process.stdin.close()
            process.wait(60)

    @contextlib.contextmanager
    def llmtap(self, *more, before=()):
        port, log, errors = free_port(), self.out / "calls.jsonl", self.out / "llmtap.err"
        log.unlink(missing_ok=True)
        # LLMTAP_… of the environment would be configuration.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LLMTAP_")}
        with open(errors, "wb") as error_file:
            process = subprocess.Popen([*before, self.binary, "run", "--listen", f"127.0.0.1:{port}", "--log-requests", log, *more], env=environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=error_file)
        daemon = Daemon(process, port, log)
        try:
            wait_for("llmtap is ready", lambda: get(port, "/readyz")[0] == 200 and daemon.total("llmtap_attached_targets") > 0, 90, process)
            self.same_hooks(process.pid, bool(before), "llmtap")
            yield daemon
            code = process.poll()
            if code is None:
                code = stop(process)
            if code != 0:
                raise Failure(f"llmtap ended with {code}: {errors.read_text()[-2000:]}")
        finally:
            stop(process)

    @contextlib.contextmanager
    def probe(self, mode, *more):
        """off; places, hooks, raw_hooks, exported (empty programs); llmtap, raw_llmtap. Yields the daemon, if there is one."""
        with contextlib.ExitStack() as stack:
            if mode == "off":
                yield None
            elif mode == "llmtap":
                yield stack.enter_context(self.llmtap(*more))
            elif mode == "raw_llmtap":
                yield stack.enter_context(self.llmtap(*more, before=WITHOUT_TRACEFS))
            else:
                yield stack.enter_context(self.empty(mode))
