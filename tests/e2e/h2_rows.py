#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""End-to-end rows over HTTP/2: h2_rows.py --llmtap build/dev/llmtap [--only TEXT] [-v]

Clients speak HTTP/2, over TLS (libssl, OpenSSL inside node, Go's own and rustls, of which only nginx's side shows) to nginx, in clear text to nginx and
nghttpx (prior knowledge, and HTTP/1.1's Upgrade); both pass the calls on in HTTP/1.1 to the LLM server
that keeps the ledger. What llmtap says of each hop must be the ledger's, each call exactly once.
"""
import argparse
import collections
import json
import os
import shutil
import subprocess
import sys

from compare import line_problems, row_problems, total
from harness import (CLIENTS, Failure, Stack, can_connect, children, client_python, free_port, get, lines_of, need, run_main, scratch, stop, told,
                     wait_for)
from rows import ROUTES, Row, usage

PROXIED = [("client", "outbound"), ("proxy", "inbound"), ("proxy", "outbound"), ("server", "inbound")]
# Go's TLS is its own and rustls is not hooked: these clients are seen at the proxy.
ROUTES.update({"nginx_h2": PROXIED, "nginx_h2c": PROXIED, "nghttpx_h2c": PROXIED, "nginx_h2_unhooked": PROXIED[1:]})
HYPER = CLIENTS / "hyper/hyper-client"
PATHS = {"openai_chat": "/v1/chat/completions", "anthropic": "/v1/messages"}

NODE_CLIENT = """
const http2 = require('http2'), fs = require('fs');
const spec = JSON.parse(process.argv[1]);
const session = http2.connect(spec.base, {ca: spec.ca ? fs.readFileSync(spec.ca) : undefined});
let left = spec.calls;
for (let i = 0; i < spec.calls; i++) {
  const stream = session.request({':method': 'POST', ':path': spec.path, ...spec.headers});
  let leaves = spec.abort_after;
  stream.on('data', () => { if (leaves && --leaves === 0) stream.close(http2.constants.NGHTTP2_CANCEL); });
  stream.on('close', () => { if (--left === 0) session.close(); });
  stream.on('error', () => {});
  stream.end(spec.body);
}
"""

GO_CLIENT = """
package main

import (
	"bytes"; "crypto/tls"; "crypto/x509"; "encoding/json"; "fmt"; "io"; "net/http"; "os"; "sync"
)

func main() {
	var spec struct { Url, Body, Ca string; Headers map[string]string; Calls int }
	if err := json.Unmarshal([]byte(os.Args[1]), &spec); err != nil { panic(err) }
	roots, pem := x509.NewCertPool(), []byte(nil)
	pem, _ = os.ReadFile(spec.Ca)
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	var all sync.WaitGroup
	for i := 0; i < spec.Calls; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			request, _ := http.NewRequest("POST", spec.Url, bytes.NewReader([]byte(spec.Body)))
			for name, value := range spec.Headers { request.Header.Set(name, value) }
			reply, err := client.Do(request)
			if err != nil { panic(err) }
			if reply.ProtoMajor != 2 { panic(reply.Proto) }
			io.Copy(io.Discard, reply.Body)
			reply.Body.Close()
		}()
	}
	all.Wait()
	fmt.Println("done")
}
"""

HTTPX_CLIENT = """
import asyncio, json, ssl, sys, httpx
spec = json.loads(sys.argv[1])
async def one(client):
    async with client.stream("POST", spec["url"], content=spec["body"], headers=spec["headers"]) as reply:
        assert reply.http_version == "HTTP/2", reply.http_version
        async for _ in reply.aiter_bytes():
            pass
async def main():
    async with httpx.AsyncClient(http2=True, http1=False, trust_env=False, timeout=60, verify=ssl.create_default_context(cafile=spec["ca"])) as client:
        await asyncio.gather(*(one(client) for _ in range(spec["calls"])))
asyncio.run(main())
"""

# One connection, driven over stdin: "GET path count" or "POST model count", one after the other.
NODE_SESSION = """
const http2 = require('http2'), fs = require('fs'), spec = JSON.parse(process.argv[1]);
const session = http2.connect(spec.base, {ca: fs.readFileSync(spec.ca)});
const one = (head, body) => new Promise((done) => {
  const stream = session.request(head);
  stream.on('data', () => {}); stream.on('close', done); stream.end(body);
});
require('readline').createInterface({input: process.stdin}).on('line', async (line) => {
  const [what, name, count] = line.split(' ');
  for (let i = 0; i < +count; i++) {
    if (what === 'GET') await one({':path': name});
    else await one({':method': 'POST', ':path': spec.path, ...spec.headers}, JSON.stringify({...spec.body, model: name}));
  }
  console.log(JSON.stringify({done: line}));
});
session.on('connect', () => console.log(JSON.stringify({connected: process.pid})));
"""


def rows():
    quick, left = usage(), usage(chunks=500, **{"delay-ms": 10})
    return [
        Row("curl over TLS", "curl", "openai_chat", via="nginx_h2", plan=quick),
        Row("curl over TLS, stream", "curl", "anthropic", True, via="nginx_h2", plan=quick),
        Row("curl, 12 calls at once on one connection", "curl", "openai_chat", True, via="nginx_h2", plan=usage(chunks=40, **{"delay-ms": 3}), calls=12),
        Row("curl, gzip stream", "curl", "openai_chat", True, via="nginx_h2", plan=usage(encoding="gzip")),
        Row("node http2", "node", "openai_chat", True, via="nginx_h2", plan=quick, calls=6),
        Row("node http2 leaves in the stream", "node", "anthropic", True, via="nginx_h2", plan=left, spec={"abort_after": 5},
            outcome="client_aborted"),
        Row("httpx, 8 calls at once on one connection", "httpx", "openai_chat", True, via="nginx_h2", plan=usage(chunks=20), calls=8),
        Row("Go net/http, seen at nginx", "go", "anthropic", True, via="nginx_h2_unhooked", plan=usage(chunks=20), calls=8),
        Row("Rust hyper, seen at nginx", "hyper", "openai_chat", via="nginx_h2_unhooked", plan=quick),
        Row("Rust hyper, stream, seen at nginx", "hyper", "anthropic", True, via="nginx_h2_unhooked", plan=quick),
        Row("Rust hyper, 100 streams at once on one connection, seen at nginx", "hyper", "openai_chat", True, via="nginx_h2_unhooked",
            plan=usage(chunks=20, **{"delay-ms": 3}), calls=100),
        Row("rate limited", "curl", "openai_chat", via="nginx_h2", plan={"status": 429, "retry-after": 7}, outcome="rate_limited"),
        Row("h2load, 1,000 calls, 40 at once on one connection", "h2load", "openai_chat", via="nginx_h2", plan=quick, calls=1000),
        Row("prior knowledge, curl", "curl_prior", "openai_chat", True, via="nginx_h2c", plan=quick),
        Row("prior knowledge, nghttp", "nghttp", "anthropic", True, via="nginx_h2c", plan=quick, calls=3),
        Row("prior knowledge to nghttpx, h2load", "h2load", "anthropic", True, via="nghttpx_h2c", plan=quick, calls=100),
        Row("upgrade, nghttp", "nghttp_upgrade", "openai_chat", True, via="nghttpx_h2c", plan=quick),
    ]


class Run:
    def __init__(self, stack):
        self.stack, self.server = stack, stack.server()
        self.ports, self.pids = {}, {}
        self.nginx()
        self.nghttpx()
        self.tag = f"h2{os.getpid()}"

    def nginx(self):
        folder, certs = self.stack.folder, self.stack.certs
        tls, clear = free_port(), free_port()
        config = folder / "nginx-h2.conf"
        config.write_text(f"""
worker_processes 1; daemon off; pid {folder}/nginx-h2.pid; error_log {folder}/nginx-h2.log warn; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; http2_max_concurrent_streams 256;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 0; proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_set_header Host $http_host; proxy_read_timeout 300s;
  upstream llm {{ server 127.0.0.1:{self.server['tls_port']}; keepalive 64; }}
  ssl_certificate {certs}/server.pem; ssl_certificate_key {certs}/server.key;
  server {{ listen 127.0.0.1:{tls} ssl http2; location / {{ proxy_pass https://llm; }} }}
  server {{ listen 127.0.0.1:{clear} http2; location / {{ proxy_pass https://llm; }} }}
}}
""")
        process = self.stack.start(["nginx", "-c", config, "-p", folder, "-e", folder / "nginx-h2.log"], "nginx-h2")
        wait_for("nginx listens", lambda: can_connect(tls), 20, process)
        self.ports.update(nginx_h2=tls, nginx_h2_unhooked=tls, nginx_h2c=clear)
        self.pids.update(dict.fromkeys(("nginx_h2", "nginx_h2_unhooked", "nginx_h2c"), children(process.pid)))

    def nghttpx(self):
        port = free_port()
        process = self.stack.start(["nghttpx", "--conf=/dev/null", "--workers=1", "--single-process", f"--frontend=127.0.0.1,{port};no-tls",
                                    f"--backend=127.0.0.1,{self.server['plain_port']}", "--accesslog-file=/dev/null"], "nghttpx")
        wait_for("nghttpx listens", lambda: can_connect(port), 20, process)
        self.ports["nghttpx_h2c"], self.pids["nghttpx_h2c"] = port, {process.pid} | children(process.pid)

    def command(self, row, model):
        base = f"{'http' if row.via.endswith('h2c') else 'https'}://127.0.0.1:{self.ports[row.via]}"
        body = {"model": model, "messages": [{"role": "user", "content": "say something"}], "stream": row.stream}
        if row.dialect == "anthropic":
            body["max_tokens"] = 64
        elif row.stream:
            body["stream_options"] = {"include_usage": True}
        headers = {"content-type": "application/json", "authorization": "Bearer sk-test-0123456789",
                   **{f"x-test-{name}": str(value) for name, value in row.plan.items()}}
        if row.dialect == "anthropic":
            headers["anthropic-version"] = "2023-06-01"
        if row.encoding:
            headers["accept-encoding"] = row.encoding
        file = self.stack.folder / f"{model}.json"
        file.write_text(json.dumps(body))
        url = base + PATHS[row.dialect]
        if row.client == "node":
            return ["node", "-e", NODE_CLIENT, json.dumps({"base": base, "path": PATHS[row.dialect], "ca": self.stack.ca, "calls": row.calls,
                                                           "headers": headers, "body": json.dumps(body), **row.spec})]
        spec = {"url": url, "body": json.dumps(body), "ca": self.stack.ca, "headers": headers, "calls": row.calls}
        if row.client == "httpx":
            return [client_python(), "-c", HTTPX_CLIENT, json.dumps(spec)]
        if row.client == "go":
            return [self.go(), json.dumps(spec)]
        if row.client == "hyper":
            return [HYPER, json.dumps(spec)]
        flags = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        if row.client == "h2load":
            return ["h2load", "-n", row.calls, "-c", 1, "-m", 40, "-d", file, *flags, url]
        if row.client == "nghttp_upgrade":
            # A request with a body is not upgraded: OPTIONS comes first, the call on its connection.
            return ["nghttp", "-n", "-u", "-d", file, *flags, url]
        if row.client == "nghttp":
            return ["nghttp", "-n", "-m", row.calls, "-d", file, *flags, url]
        curl = ["curl", "-sS", "--no-buffer", "--cacert", self.stack.ca]
        post = [*flags, "--data-binary", f"@{file}"]
        version = "--http2-prior-knowledge" if row.client == "curl_prior" else "--http2"
        return [*curl, version, "--parallel", "--parallel-max", row.calls, *post, *["-o", "/dev/null", url] * row.calls]

    def go(self):
        program = self.stack.folder / "go-client"
        if not program.exists():
            (self.stack.folder / "client.go").write_text(GO_CLIENT)
            subprocess.run(["go", "build", "-o", program, "client.go"], cwd=self.stack.folder, check=True, timeout=300,
                           env={**os.environ, "GO111MODULE": "off", "CGO_ENABLED": "0"})
        return program

    def call(self, row, model):
        process = subprocess.Popen([str(part) for part in self.command(row, model)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=180)
        if process.returncode:
            raise Failure(f"{row.client} ended with {process.returncode}: {output.decode(errors='replace')[-1000:]}")
        return {"client": {process.pid}, "proxy": self.pids[row.via], "server": {self.server["pid"]}}

    def ledger(self, model):
        return [entry for entry in lines_of(self.server["ledger"]) if entry["requested_model"] == model]


class Session:
    """A client that keeps one HTTP/2 connection."""

    def __init__(self, run, name):
        self.run, self.out = run, run.stack.folder / f"{name}.out"
        spec = {"base": f"https://127.0.0.1:{run.ports['nginx_h2']}", "ca": run.stack.ca, "path": PATHS["openai_chat"],
                "body": {"messages": [{"role": "user", "content": "again"}], "stream": True, "stream_options": {"include_usage": True}},
                "headers": {"content-type": "application/json", **{f"x-test-{key}": str(value) for key, value in usage().items()}}}
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(["node", "-e", NODE_SESSION, json.dumps(spec)], stdin=subprocess.PIPE, stdout=out)
        run.stack.processes.append(self.process)
        wait_for(f"{name} connects", lambda: lines_of(self.out), 20, self.process)

    def do(self, what, name, count):
        before = len(lines_of(self.out))
        self.process.stdin.write(f"{what} {name} {count}\n".encode())
        self.process.stdin.flush()
        wait_for(f"{what} {name}", lambda: len(lines_of(self.out)) > before, 60, self.process)

    def problems(self, tap, model, count):
        """Of calls on a connection whose header fields we know in part: made, flagged, and never with a wrong number."""
        lines = wait_for(f"{count} calls of {model}", lambda: (lambda found: found if len(found) >= count else None)(
            [line for line in of_model(tap, model) if line["pid"] == self.process.pid]), 20, tap["process"])
        ledger = {entry["id"]: entry for entry in self.run.ledger(model)}
        problems = [] if len(lines) == count else [f"{len(lines)} lines for {count} calls"]
        for line in lines:
            entry = ledger.get(line.get("response_id"))
            if entry is None:
                problems.append(f"response_id {line.get('response_id')!r} is in no reply of the server")
                continue
            if line["direction"] != "outbound":
                problems.append(f"direction is {line['direction']!r}")
            if line.get("incomplete") != "mid_stream_attach":
                problems.append(f"incomplete is {line.get('incomplete')!r}")
            problems += [text for text in line_problems(line, entry, ("ok",), True) if not text.startswith("requested_model")]
        return problems


def muted(tap):
    return total(get(tap["port"], "/metrics")[1], "llmtap_connections", lambda labels: labels == {"verdict": "muted", "protocol": "http2"})


def session_checks(run, pooled, tap):
    """Name -> problems."""
    found = {}
    try:
        # The first call may be what makes the connection known: it is not of the check.
        pooled.do("POST", run.tag + "first", 1)
        pooled.do("POST", run.tag + "pooled", 5)
        found["connection older than the probe"] = pooled.problems(tap, run.tag + "pooled", 5)
        static = Session(run, "static")
        def paused():
            static.do("GET", "/healthz", 200)
            return muted(tap) >= 1
        # Each pause is longer than the one before: one of them is seen.
        wait_for("the connection without calls is muted", paused, 90, tap["process"])

        def seen():
            static.do("POST", run.tag + "sample", 1)
            return any(line["pid"] == static.process.pid for line in of_model(tap, run.tag + "sample"))
        wait_for("it is looked at again, and a call is seen", seen, 60, tap["process"])
        static.do("POST", run.tag + "static", 5)
        found["a call on a connection that was muted"] = static.problems(tap, run.tag + "static", 5)
    except Failure as failure:
        found["sessions"] = [str(failure)]
    return found


def version_problems(row, lines, pids):
    """The client's side speaks HTTP/2, the proxy's other side HTTP/1.1."""
    proxy = pids["proxy"]
    seen = collections.Counter(("near" if line["pid"] in pids["client"] or (line["pid"] in proxy and line["direction"] == "inbound") else "far",
                                line.get("http_version")) for line in lines)
    want = {("near", "2"), ("far", "1.1")}
    return [] if set(seen) == want else [f"HTTP versions by side: {dict(seen)}, not {want}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--only", default="", help="rows whose name contains this; no sessions")
    parser.add_argument("--sessions", action="store_true", help="the sessions alone")
    parser.add_argument("--rows", action="store_true", help="the rows alone")
    parser.add_argument("--keep")
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "attaching probes needs root")
    for tool in ("curl", "nghttp", "h2load", "nghttpx", "nginx", "node"):
        need(shutil.which(tool), f"{tool} is not installed: run scripts/setup")
    chosen = [] if arguments.sessions else [row for row in rows() if arguments.only in row.name]
    if not shutil.which("go"):
        print("go is not installed: its row is left out", file=sys.stderr)
        chosen = [row for row in chosen if row.client != "go"]
    if not HYPER.exists():
        print("left out: the rows of hyper, which scripts/setup-clients could not build", file=sys.stderr)
        chosen = [row for row in chosen if row.client != "hyper"]
    bad = 0
    with scratch("h2", arguments.keep) as folder, Stack(folder) as stack:
        run = Run(stack)
        pooled = Session(run, "pooled")
        pooled.do("POST", run.tag + "before", 2)
        # A library that is on the node for the first time is found by its mapping: its first call may pass.
        stack.start(["node", "-e", "setInterval(() => {}, 1e6)"], "node")
        tap, done = stack.llmtap(arguments.llmtap), []
        for index, row in enumerate(chosen):
            model = f"{run.tag}r{index:02d}"
            problems = []
            try:
                pids = run.call(row, model)
                wait_for("the ledger", lambda: len(run.ledger(model)) >= row.total, 30)
                want = row.total * len(ROUTES[row.via])
                wait_for("the log", lambda: len(of_model(tap, model)) >= want, 20, tap["process"])
            except (Failure, subprocess.TimeoutExpired) as failure:
                problems.append(f"{failure}: {len(of_model(tap, model))} lines in the log")
                pids = pids if "pids" in locals() else None
            done.append((row, model, pids, problems))
        checks = {} if arguments.only or arguments.rows else session_checks(run, pooled, tap)
        metrics = get(tap["port"], "/metrics")[1]
        (stack.folder / "metrics.txt").write_text(metrics)
        if stop(tap["process"]):
            raise Failure(tap["stderr"].read_text()[-3000:])
        for row, model, pids, problems in done:
            if pids:
                lines = of_model(tap, model)
                problems += row_problems(row, model, run.ledger(model), lines, pids) + version_problems(row, lines, pids)
            bad += told(row.name, problems, arguments.verbose)
        for name, problems in checks.items():
            bad += told(name, problems)
        models = {model for row, model, _, _ in done if row.plan.get("status") != 404}
        at_edge = total(metrics, "llmtap_requests_total", lambda labels: labels.get("hop") == "edge" and labels.get("model") in models)
        calls = sum(row.total for row, *_ in done)
        if at_edge != calls:
            bad += 1
            print(f"FAIL llmtap_requests_total at the edge is {at_edge:g}, the clients made {calls} calls")
        print(f"{len(done)} rows, {len(checks)} checks of sessions, {bad} failures")
        return 1 if bad or not done and not checks else 0


def of_model(tap, model):
    return [line for line in lines_of(tap["log"]) if line.get("requested_model") == model]


if __name__ == "__main__":
    run_main(main)
