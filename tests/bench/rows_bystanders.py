# SPDX-License-Identifier: Apache-2.0
"""syscalls, nginx: what a process pays that makes no LLM call."""
import contextlib
import re
import subprocess

from figures import Figure, Line, added, alternate, exact, median_of, no_loss, share, times
from lab import can_connect, children, cpu_seconds, free_port, stop, wait_for

LOOPS = {"receive_ns": "hooked calls on sockets: recv", "send_ns": "hooked calls on sockets: send", "file_ns": "hooked calls on files", "other_ns": "other system calls"}


def measure_syscalls(lab):
    """Nanoseconds a call, against empty programs at the same hooks."""
    compared = {"": ["off", "hooks", "llmtap"], "without tracefs, ": ["off", "raw_hooks", "raw_llmtap"]}
    modes = list(dict.fromkeys(mode for group in compared.values() for mode in group))

    def one(mode):
        with lab.probe(mode):
            return lab.run("bench_loops", 20 if lab.quick else 300)

    rounds = alternate(modes, lab.rounds, one, lab.say)
    lines = []
    for where, group in compared.items():
        off, hooks, llmtap = group
        for field, what in LOOPS.items():
            medians = {mode: median_of(mode, field)(rounds) for mode in group}
            lines.append(Line("syscalls", where + what, Figure.of(rounds, times(added(llmtap, off, field), added(hooks, off, field))), "x", "<=",
                              1.5, medians))
    return lines, rounds


# Hooked in every process, whatever it costs.
BROAD = ["--set", "capture.narrow_share=0"]


class Nginx:
    """One worker that answers every request with a short text, over TLS."""

    def __init__(self, lab):
        self.port = free_port()
        folder = lab.out / "nginx"
        folder.mkdir(exist_ok=True)
        temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; {temporary}
  server {{
    listen 127.0.0.1:{self.port} ssl; server_name _;
    ssl_certificate {lab.certs}/server.pem; ssl_certificate_key {lab.certs}/server.key;
    location / {{ default_type text/plain; return 200 "{'nothing to see here ' * 10}"; }}
  }}
}}
""")
        # No request as the one before it.
        self.varied = folder / "varied.lua"
        self.varied.write_text('local n = 0\nrequest = function() n = n + 1; return wrk.format("GET", "/" .. n) end\n')
        self.process = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"])

    def __enter__(self):
        try:
            wait_for("nginx listens", lambda: can_connect(self.port), 20, self.process)
            (self.worker,) = wait_for("nginx's worker", lambda: children(self.process.pid), 20, self.process)
        except Exception:
            stop(self.process)
            raise
        return self

    def __exit__(self, *_):
        stop(self.process)

    @contextlib.contextmanager
    def loaded(self):
        """Full load while the block runs."""
        run = subprocess.Popen(["wrk", "-t1", "-c16", "-d600s", "-s", self.varied, f"https://127.0.0.1:{self.port}/"], stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            stop(run)

    def load(self, seconds, varied):
        before = cpu_seconds(self.worker)
        run = subprocess.run(["wrk", "-t1", "-c16", f"-d{seconds}s", *(["-s", self.varied] if varied else []),
                              f"https://127.0.0.1:{self.port}/"], capture_output=True, text=True, timeout=seconds + 60, check=True)
        cpu = cpu_seconds(self.worker) - before
        requests = int(re.search(r"(\d+) requests in", run.stdout)[1])
        bad = sum(map(int, re.findall(r"(?:Non-2xx or 3xx responses: |connect |read |write |timeout )(\d+)", run.stdout)))
        return {"per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)[1]), "cpu_us": cpu / requests * 1e6, "bad": bad,
                "requests": requests}


def measure_nginx(lab):
    """Throughput kept at full load, keep-alive, and the worker's CPU for a request. CPU decides where the
    throughput's interval is wider than five points."""
    modes, seconds = ["off", "places", "hooks", "exported", "llmtap", "places varied", "hooks varied", "llmtap varied", "llmtap narrowed"], 1 if lab.quick else 4
    lost = []

    def one(mode):
        # A new nginx each time: none keeps connections that another probe had classified.
        with lab.probe(mode.split()[0], *([] if mode.endswith("narrowed") else BROAD)) as daemon, Nginx(lab) as nginx:
            before = daemon.cpu_seconds() if daemon else 0
            if mode.endswith("narrowed"):
                with nginx.loaded():
                    wait_for("llmtap leaves nginx out", lambda: daemon.total("llmtap_sampled_targets") > 0, 120)
            # A whole turn of 20 seconds; the load is a new process, so that all are hooked for its first second or two.
            longer = 20 if mode.endswith("narrowed") and not lab.quick else seconds
            result = nginx.load(longer, mode.endswith(("varied", "narrowed")))
            if daemon:
                lost.append(daemon.losses())
                result["daemon_us"] = (daemon.cpu_seconds() - before) / result["requests"] * 1e6
            return result

    rounds = alternate(modes, lab.rounds, one, lab.say)
    lines = []
    for mode in modes[1:5]:
        lines.append(Line("nginx", f"throughput kept: {mode}", Figure.of(rounds, share(mode, "off", "per_second")), "of off",
                          medians={one: median_of(one, "per_second")(rounds) for one in ("off", mode)}))
    lines.append(Line("nginx", "broad: throughput, against empty programs at the same places",
                      Figure.of(rounds, share("llmtap", "places", "per_second")), "x", ">=", 0.9))
    # The same limit as CPU: a request that costs 1/0.9 lets 0.9 as many through.
    lines.append(Line("nginx", "broad: CPU of a request, against empty programs at the same places",
                      Figure.of(rounds, share("llmtap", "places", "cpu_us")), "x", "<=", 1 / 0.9,
                      {mode: median_of(mode, "cpu_us")(rounds) for mode in modes[:5]}))
    lines.append(Line("nginx", "broad: the daemon's CPU for a request", Figure.of(rounds, median_of("llmtap", "daemon_us")), "us"))
    # A request that is the same as the one before it is skipped; this is what others cost.
    for what, field in (("throughput", "per_second"), ("CPU of a request", "cpu_us")):
        lines.append(Line("nginx", f"broad, no two requests alike: {what}, against empty programs at the same places",
                          Figure.of(rounds, share("llmtap varied", "places varied", field)), "x",
                          medians={mode: median_of(mode, field)(rounds) for mode in ("places varied", "llmtap varied")}))
    lines.append(Line("nginx", "narrowed, no two requests alike: throughput, against empty system call hooks",
                      Figure.of(rounds, share("llmtap narrowed", "hooks varied", "per_second")), "x", ">=", 0.9))
    lines.append(Line("nginx", "narrowed, no two requests alike: CPU of a request, against empty system call hooks",
                      Figure.of(rounds, share("llmtap narrowed", "hooks varied", "cpu_us")), "x", "<=", 1 / 0.9,
                      {mode: median_of(mode, "cpu_us")(rounds) for mode in ("hooks varied", "llmtap narrowed")}))
    failed = sum(one[mode]["bad"] for one in rounds for mode in modes)
    lines += [exact("nginx", "failed requests", failed, 0), no_loss("nginx", "events lost", lost)]
    return lines, rounds
