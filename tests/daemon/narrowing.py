# SPDX-License-Identifier: Apache-2.0
"""A TLS library that costs much in processes without LLM calls: those are left out, those with calls never."""
import contextlib
import http.client
import json
import signal
import ssl
import subprocess

from case import lines_with
from harness import Failure, can_connect, children, free_port, stop, wait_for

QUIET = {"x-test-input-tokens": "7", "x-test-output-tokens": "3", "content-type": "application/json", "authorization": "Bearer none"}


def narrow_nginx(bench, server):
    """A proxy that also serves a page of its own."""
    port = free_port()
    folder = bench.folder / "pages"
    folder.mkdir()
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; proxy_buffering off; proxy_http_version 1.1; {temporary}
  server {{
    listen 127.0.0.1:{port} ssl; server_name _;
    ssl_certificate {bench.certs}/server.pem; ssl_certificate_key {bench.certs}/server.key;
    location / {{ default_type text/plain; return 200 "nothing to see here"; }}
    location /v1/ {{ proxy_pass http://127.0.0.1:{server['plain_port']}; proxy_set_header Connection ""; }}
  }}
}}
""")
    process = bench.start(["nginx", "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"], "nginx")
    wait_for("nginx listens", lambda: can_connect(port), 20, process)
    return process, port


@contextlib.contextmanager
def load(port):
    """Requests that are no LLM calls, at full speed on four connections, until the block ends."""
    process = subprocess.Popen(["wrk", "-t1", "-c4", "-d600s", f"https://127.0.0.1:{port}/"], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        stop(process)


def trusting(bench):
    return ssl.create_default_context(cafile=bench.ca)


def body_of(model):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]})


class Caller:
    """Calls on one kept connection, from this process."""

    def __init__(self, bench, port):
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusting(bench), timeout=60)
        self.connection.connect()

    def call(self, model):
        self.connection.request("POST", "/v1/chat/completions", body_of(model), QUIET)
        reply = self.connection.getresponse()
        reply.read()
        assert reply.status == 200, reply.status


def curl(bench, port, model):
    subprocess.run(["curl", "-s", "-f", "-o", "/dev/null", "--cacert", bench.ca, *(word for name, value in QUIET.items() for word in ("-H", f"{name}: {value}")),
                    "-d", body_of(model), f"https://127.0.0.1:{port}/v1/chat/completions"], check=True, timeout=120)


def inbound(tap, model):
    """nginx's own lines."""
    return [line for line in lines_with(tap["log"], model) if line["process"] == "nginx" and line["direction"] == "inbound"]


def sampled(bench, tap):
    return bench.books(tap).total("llmtap_sampled_targets") > 0


def exact(tap, model, calls):
    """Each call once at nginx's front, with its numbers."""
    def complete():
        return len(inbound(tap, model)) >= calls
    with contextlib.suppress(Failure):
        wait_for("nginx's lines", complete, 20, tap["process"])
    lines = inbound(tap, model)
    problems = [f"{len(lines)} lines of nginx for {calls} calls ({model})"] if len(lines) != calls else []
    for line in lines:
        found = (line.get("outcome"), bool(line.get("incomplete")), line.get("input_tokens"), line.get("output_tokens"))
        if found != ("ok", False, 7, 3):
            problems.append(f"a call ({model}) is {found}")
    return problems


def reloaded(process):
    """New workers instead of the old."""
    before = children(process.pid)
    process.send_signal(signal.SIGHUP)
    wait_for("nginx's new worker", lambda: children(process.pid) and not children(process.pid) & before, 60, process)


def nginx(bench):
    server = bench.server()
    process, port = narrow_nginx(bench, server)
    caller = Caller(bench, port)
    tap = bench.tap("--set", "capture.narrow_share=1")
    problems = []
    with load(port) as wrk:
        wait_for("the library is left to those that need it", lambda: sampled(bench, tap), 90, tap["process"])
        # Nobody knows of nginx's calls yet: one that is seen is enough, in the one second of 20 at the latest.
        first = bench.model("first")

        def noticed():
            curl(bench, port, first)
            return inbound(tap, first)
        wait_for("a call of nginx is seen", noticed, 120, tap["process"])
        wait_for("it is left out no more, others are", lambda: sampled(bench, tap), 90, tap["process"])
        # A client that is older than the probe and that nobody looks at: nginx's side counts each.
        for number in range(5):
            model = bench.model("kept")
            caller.call(model)
            problems += exact(tap, model, 1)
            wait_for("narrow again", lambda: sampled(bench, tap), 90, tap["process"])
        reloaded(process)
        model = bench.model("reloaded")
        Caller(bench, port).call(model)
        problems += exact(tap, model, 1)
        model = bench.model("curls")
        for _ in range(20):
            curl(bench, port, model)
        problems += exact(tap, model, 20)
        wait_for("narrow again", lambda: sampled(bench, tap), 90, tap["process"])
        model = bench.model("late")
        Caller(bench, port).call(model)
        problems += exact(tap, model, 1)
        if wrk.poll() is not None:
            problems.append("the load ended early")
    books = bench.books(tap)
    if not books.total("llmtap_unfollowed_seconds_total") > 0:
        problems.append("no time is said to have been unfollowed")
    return bench.whole(tap, problems)


def never(bench):
    server = bench.server()
    _, port = narrow_nginx(bench, server)
    tap = bench.tap("--set", "capture.narrow_share=0")
    problems = []
    with load(port):
        events = bench.books(tap).total("llmtap_events_total")
        wait_for("much has passed", lambda: bench.books(tap).total("llmtap_events_total") > events + 100, 60, tap["process"])
        model = bench.model("always")
        Caller(bench, port).call(model)
        problems += exact(tap, model, 1)
    if bench.books(tap).total("llmtap_unfollowed_seconds_total") != 0:
        problems.append("left out in spite of capture.narrow_share 0")
    return bench.whole(tap, problems)


CASES = [("an nginx under load, its calls, a reload and twenty curls", nginx), ("never, where that is asked for", never)]
