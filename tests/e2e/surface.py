#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a running daemon shows: metrics in both formats, credentials, recent calls, spans at a
collector that is not ours, a rotated log; and that it leaves alone what it was told to.

  surface.py --llmtap build/dev/llmtap
"""
import argparse
import gzip
import hashlib
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request

from books import Books
from compare import samples
from harness import CLIENTS, ROOT, SUPPORT, Stack, lines_of, need, run_main, scratch, stop, wait_for

TOKEN = "scrape-me"
# There whatever happens; tests/unit/pipeline/observe_test.cpp holds the whole table.
ALWAYS = """attach_failures_total attached_targets build_info bytes_lost_total capture_coverage_ratio compat_active connections
coverage_connections_total coverage_processes events_lost_total events_total exchanges_incomplete_total export_queue_length
export_total parse_errors_total probe_cpu_seconds_total probe_resident_bytes queue_length ring_usage_ratio series
series_dropped_total stage_bytes_total stage_items_total requests_total tokens_total request_duration_seconds""".split()
PARSE = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse; list(parse(sys.stdin.read()))"


class Surface:
    def __init__(self, tap):
        self.tap, self.problems = tap, []

    def check(self, condition, what):
        if not condition:
            self.problems.append(what)

    def get(self, path, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{self.tap['port']}{path}",
                                         headers={name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def known(self, path, **headers):
        return self.get(path, Authorization=f"Bearer {TOKEN}", **headers)

    def metrics(self):
        # The figures of the core are copied every 100 ms.
        wait_for("coverage", lambda: b"llmtap_capture_coverage_ratio{" in self.known("/metrics")[2])
        text = self.known("/metrics")[2].decode()
        families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
        missing = [name for name in ALWAYS if f"llmtap_{name}" not in families]
        self.check(not missing, f"/metrics has no sample of {missing}")
        lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        self.check(lint.returncode == 0 and not lint.stdout + lint.stderr, f"promtool: {lint.stdout}{lint.stderr}")
        status, headers, body = self.known("/metrics", Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip")
        self.check(status == 200 and headers["Content-Encoding"] == "gzip", "OpenMetrics is not compressed when asked for")
        parsed = subprocess.run(["/usr/bin/python3", "-c", PARSE], input=gzip.decompress(body).decode(), capture_output=True, text=True, check=False)
        self.check(parsed.returncode == 0, f"OpenMetrics parser: {parsed.stderr[-500:]}")
        found = list(samples(text))
        open_now = sum(value for name, _, value in found if name == "llmtap_connections")
        bound = max(value for name, labels, value in found if name == "llmtap_queue_length" and labels["queue"] == "open_connections")
        self.check(open_now <= bound, f"{open_now} connections by verdict, {bound} are open")
        ratio = [value for name, labels, value in found if name == "llmtap_capture_coverage_ratio"]
        self.check(1.0 in ratio, f"capture coverage: {ratio}")
        sent = {labels["result"]: value for name, labels, value in found if name == "llmtap_export_total" and labels["signal"] == "traces"}
        self.check(sent["ok"] > 0 and sent["error"] == 0, f"traces exported: {sent}")
        # The call that its caller does not record, as the client's side and the server's see it.
        self.check(sent["not_sampled"] == 2, f"traces left out: {sent}")
        books = Books(text)
        self.check(sum(sent.values()) + books.total("llmtap_export_queue_length", signal="traces") == books.total("llmtap_requests_total"),
                   f"traces exported or left out: {sent}, of {books.total('llmtap_requests_total'):.0f} calls")

    def credentials(self):
        for path in ("/metrics", "/", "/api/calls"):
            self.check(self.get(path)[0] == 401, f"{path} is open")
            self.check(self.known(path)[0] == 200, f"{path} refuses its token")
        for path in ("/healthz", "/readyz"):
            self.check(self.get(path)[0] == 200, f"{path} wants credentials")
        self.check(len(json.loads(self.known("/api/calls?n=1")[2])["calls"]) == 1, "/api/calls?n=1 is not one call")


def run(stack, binary):
    server = stack.server()
    spans = stack.folder / "spans"
    receiver = stack.start(["/usr/bin/python3", SUPPORT / "otlp_receiver.py", "grpc", spans], "receiver")
    port = int(wait_for("the collector listens", lambda: (stack.folder / "receiver.out").read_text().strip(), 60, receiver))
    web = stack.folder / "web.yml"
    web.write_text(f"bearer_token_sha256: [{hashlib.sha256(TOKEN.encode()).hexdigest()}]\n")
    settings = {"web.config.file": web, "targets.exclude": "raw.py", "otlp.endpoint": f"http://127.0.0.1:{port}",
                "traces.sampler.type": "probability", "traces.sampler.rate": "1"}
    tap = stack.llmtap(binary, *[word for key, value in settings.items() for word in ("--set", f"{key}={value}")])
    surface = Surface(tap)

    def call(client, model, **headers):
        stack.client({"client": client, "base": f"https://127.0.0.1:{server['tls_port']}", "ca": stack.ca, "dialect": "openai_chat", "model": model,
                      "stream": True, "calls": 1, "concurrency": 1, "headers": {"x-test-input-tokens": "120", "x-test-output-tokens": "30", **headers}})

    def logged(model, direction, log=tap["log"]):
        return [line for line in lines_of(log) if line["requested_model"] == model and line["direction"] == direction]

    call("requests", "left-alone")
    wait_for("the server's own line", lambda: logged("left-alone", "inbound"), 30, tap["process"])
    call("curl", "unrecorded", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
    wait_for("both lines of the call", lambda: logged("unrecorded", "outbound") and logged("unrecorded", "inbound"), 30, tap["process"])
    call("curl", "seen")
    wait_for("the client's line and the server's", lambda: logged("seen", "outbound") and logged("seen", "inbound"), 30, tap["process"])
    surface.check(not logged("left-alone", "outbound"), "a call of an excluded process was followed")
    wait_for("its span", lambda: spans.exists() and "span 'chat seen' CLIENT" in spans.read_text(), 60, tap["process"])
    text = spans.read_text()
    surface.check("unrecorded" not in text, "the span of a call that its caller does not record was sent")
    for attribute in ("gen_ai.operation.name = 'chat'", "gen_ai.request.model = 'seen'", "gen_ai.usage.input_tokens = 120",
                      "gen_ai.usage.output_tokens = 30", "gen_ai.request.stream = true", "service.name = 'curl'"):
        surface.check(attribute in text, f"no span has {attribute}")
    surface.credentials()
    surface.metrics()

    moved = tap["log"].with_suffix(".1")
    tap["log"].rename(moved)
    tap["process"].send_signal(signal.SIGHUP)
    wait_for("a new log", tap["log"].exists, 30, tap["process"])
    call("curl", "rotated")
    wait_for("a line in it", lambda: logged("rotated", "outbound"), 30, tap["process"])
    surface.check(not logged("rotated", "outbound", moved), "a line went to the rotated file")
    status = stop(tap["process"])
    surface.check(status == 0, f"llmtap ended with {status}: {tap['stderr'].read_text()[-2000:]}")
    return surface.problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--llmtap", default=str(ROOT / "build/dev/llmtap"))
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "attaching probes needs root")
    need((CLIENTS / "installed").exists(), "the clients are not installed: run scripts/setup-clients")
    with scratch("surface") as folder, Stack(folder) as stack:
        problems = run(stack, arguments.llmtap)
    for problem in problems:
        print(f"FAIL {problem}")
    print(f"{len(problems)} failures")
    return 1 if problems else 0


if __name__ == "__main__":
    run_main(main)
