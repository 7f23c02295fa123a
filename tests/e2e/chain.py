#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agent -> nginx -> gateway -> server, all on this node: each call is counted once by hop="edge".

  chain.py --llmtap build/dev/llmtap [--litellm BIN]

Once over loopback, once with the agent and the gateway in network namespaces of their own. The gateway is
LiteLLM where it is installed (LLMTAP_LITELLM, or build/clients/litellm/bin/litellm), else a second nginx.
"""
import argparse
import collections
import json
import os
import pathlib
import shutil
import subprocess

from books import settle
from compare import total
from harness import CLIENTS, SUPPORT, Failure, Stack, can_connect, client_python, free_port, get, lines_of, need, run_main, scratch, stop, wait_for

CALLS = 5
DIALECTS = (("openai_chat", False), ("openai_chat", True))


class Namespace:
    """One end of a cable: `ours` in this namespace, `theirs` inside."""

    def __init__(self, name, number):
        self.name, self.ours, self.theirs = f"llmtap-{os.getpid()}-{name}", f"10.231.{number}.1", f"10.231.{number}.2"
        self.link = f"lt{os.getpid() % 100000}{name}"

    def __enter__(self):
        def ip(*arguments):
            subprocess.run(["ip", *arguments], check=True, capture_output=True)
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            ip("addr", "add", self.ours + "/24", "dev", self.link)
            ip("link", "set", self.link, "up")
            for arguments in (("addr", "add", self.theirs + "/24", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up"),
                              ("route", "add", "default", "via", self.ours)):
                ip("-n", self.name, *arguments)
        except subprocess.CalledProcessError as failure:
            self.__exit__()
            raise Failure(f"ip: {failure.stderr.decode()}") from failure
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)

    def inside(self, command):
        return ["ip", "netns", "exec", self.name, *command]


class Here:
    ours = theirs = "127.0.0.1"

    def inside(self, command):
        return command


def proxy(stack, name, place, address, upstream, port):
    """nginx that listens on address:port; with the pids of its workers."""
    config = stack.folder / f"{name}.conf"
    paths = "".join(f"{what}_temp_path {stack.folder}/{name}-{what}; " for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config.write_text(f"""
worker_processes 1; daemon off; pid {stack.folder}/{name}.pid; error_log {stack.folder}/{name}.log warn; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; {paths}
  proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_ssl_verify off;
  server {{ listen {address}:{port}; location / {{ proxy_pass {upstream}; }} }}
}}
""")
    return stack.start(place.inside(["nginx", "-c", config, "-p", stack.folder, "-e", stack.folder / f"{name}.log"]), name)


def litellm(stack, binary, name, place, address, upstream, port):
    config = stack.folder / f"{name}.yaml"
    config.write_text(f"""
model_list:
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_base: "{upstream}/v1", api_key: "sk-upstream-0123456789"}}
""")
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "SSL_CERT_FILE": stack.ca, "NO_PROXY": "*",
                   "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    return stack.start(place.inside([binary, "--config", config, "--port", port, "--host", address]), name, env=environment)


def answers(place, address, port):
    command = place.inside(["curl", "--silent", "--output", "/dev/null", "--max-time", "5", f"http://{address}:{port}/health/liveliness"])
    return subprocess.run(command, check=False).returncode == 0


def chain(stack, arguments, name, agent, gateway, tls_upstream):
    """One path: its ends as (spec of the client, ledger)."""
    server = stack.server(f"{name}-server", "--address", gateway.ours)
    upstream = f"https://{gateway.ours}:{server['tls_port']}" if tls_upstream else f"http://{gateway.ours}:{server['plain_port']}"
    port = free_port()
    if arguments.litellm:
        process = litellm(stack, arguments.litellm, f"{name}-gateway", gateway, gateway.theirs, upstream, port)
    else:
        process = proxy(stack, f"{name}-gateway", gateway, gateway.theirs, upstream, port)
    wait_for("the gateway answers", lambda: answers(gateway, gateway.theirs, port), 180, process)
    front = free_port()
    nginx = proxy(stack, f"{name}-front", Here(), agent.ours, f"http://{gateway.theirs}:{port}", front)
    wait_for("nginx listens", lambda: can_connect(front) if agent.ours == "127.0.0.1" else answers(Here(), agent.ours, front), 20, nginx)
    return {"name": name, "place": agent, "base": f"http://{agent.ours}:{front}", "ledger": server["ledger"]}


def call(stack, path, model, dialect, stream):
    spec = {"client": "requests", "base": path["base"], "ca": None, "dialect": dialect, "model": model, "stream": stream, "calls": CALLS,
            "headers": {"authorization": "Bearer sk-0123456789abcdef"}}
    environment = {**os.environ, "NO_PROXY": "*"}
    run = subprocess.run(path["place"].inside([client_python(), str(SUPPORT / "clients/raw.py"), json.dumps(spec)]),
                         capture_output=True, text=True, timeout=240, env=environment, stdin=subprocess.DEVNULL, check=False)
    if run.returncode or '"status": 200' not in run.stdout:
        raise Failure(f"{path['name']}: the client ended with {run.returncode}: {run.stdout[-500:]} {run.stderr[-1000:]}")


def problems_of(tap, path, model):
    hops = ["client outbound", "nginx inbound", "nginx outbound", "gateway inbound", "gateway outbound", "server inbound"]

    def lines():
        return [line for line in lines_of(tap["log"]) if line.get("requested_model") == model]
    try:
        wait_for("the log", lambda: len(lines()) >= CALLS * len(hops), 20, tap["process"])
    except Failure:
        pass
    found, problems = lines(), []
    if len(found) != CALLS * len(hops):
        who = collections.Counter((line.get("process"), line["direction"]) for line in found)
        problems.append(f"{len(found)} ends of calls, not {CALLS} at each of {hops}: {dict(who)}")
    edges = [line for line in found if line.get("hop") == "edge"]
    ledger = [entry for entry in lines_of(path["ledger"]) if entry["requested_model"] == model]
    if len(edges) != CALLS or len(ledger) != CALLS:
        who = collections.Counter((line.get("process"), line["direction"]) for line in edges)
        problems.append(f"{len(edges)} calls at the edge of {CALLS}, the server's ledger has {len(ledger)}: {dict(who)}")
    for line in found:
        if line["outcome"] != "ok" or line.get("incomplete"):
            problems.append(f"{line.get('process')} {line['direction']}: {line['outcome']}, {line.get('incomplete')}")
    metrics = get(tap["port"], "/metrics")[1]

    def edge(labels):
        return labels.get("hop") == "edge" and labels.get("model") == model
    for name, ours, theirs in (("requests", total(metrics, "llmtap_requests_total", edge), CALLS),
                               ("output tokens", total(metrics, "llmtap_tokens_total", lambda labels: edge(labels) and labels["type"] == "output"),
                                sum(entry["output_tokens"] for entry in ledger))):
        if ours != theirs:
            problems.append(f"{ours:g} {name} at the edge in /metrics, the ledger has {theirs}")
    return [f"{path['name']} {model}: {problem}" for problem in problems]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--litellm", default=os.environ.get("LLMTAP_LITELLM") or str(CLIENTS / "litellm/bin/litellm"))
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "attaching probes needs root")
    need((CLIENTS / "installed").exists(), "the clients are not installed: run scripts/setup-clients")
    need(shutil.which("ip"), "ip (iproute2) is not installed")
    if not pathlib.Path(arguments.litellm).exists():
        arguments.litellm = ""
    problems, done = [], 0
    try:
        with scratch("chain") as folder, Namespace("a", 1) as agent, Namespace("b", 2) as gateway, Stack(folder) as stack:
            paths = [chain(stack, arguments, "loopback", Here(), Here(), True), chain(stack, arguments, "namespaces", agent, gateway, False)]
            tap = stack.llmtap(arguments.llmtap)
            for number, path in enumerate(paths):
                for dialect, stream in DIALECTS:
                    model = f"chain{number}{'s' if stream else 'w'}{os.getpid()}"
                    call(stack, path, model, dialect, stream)
                    problems += problems_of(tap, path, model)
                    done += 1
            problems += settle(tap["port"])
            status = stop(tap["process"])
            if status:
                problems.append(f"llmtap ended with {status}: {tap['stderr'].read_text()[-2000:]}")
    except Failure as failure:
        problems.append(str(failure))
    for problem in problems:
        print(f"FAIL {problem}")
    print(f"{done} chains of {CALLS} calls through {'LiteLLM' if arguments.litellm else 'nginx'}, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    run_main(main)
