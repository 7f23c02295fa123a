# SPDX-License-Identifier: Apache-2.0
"""Starts and stops what a run needs: certificates, the LLM server, nginx, llmtap, the clients. Tells how it ended."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests/support"
CLIENTS = ROOT / "build/clients"
NAMES = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com")


class Failure(Exception):
    pass


# Emulated machines are slower: every deadline is so many times as long.
PATIENCE = float(os.environ.get("LLMTAP_TEST_PATIENCE", "1"))


def wait_for(what, condition, seconds=30, process=None):
    """The condition's first true value; Failure at the deadline or when the process ended."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if process and process.poll() is not None:
            raise Failure(f"{what}: the process ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def lines_of(path):
    """JSON lines that are complete; a line being written is left for the next look."""
    try:
        text = pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text[:text.rfind(b"\n") + 1].splitlines()]


def client_python():
    """With the modules of the clients, where they are installed."""
    venv = CLIENTS / "venv/bin/python"
    return str(venv) if venv.exists() else sys.executable


class Stack:
    """Processes of one run, in one scratch folder; every one is ended in reverse order."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.processes = []
        self.certs = self.folder / "certs"
        subprocess.run([SUPPORT / "make_certs", self.certs, *NAMES], check=True)
        self.ca = str(self.certs / "ca.pem")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            stop(process)

    def start(self, command, name, **named):
        out = open(self.folder / f"{name}.out", "wb")
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=open(self.folder / f"{name}.err", "wb"),
                                   stdin=subprocess.DEVNULL, **named)
        self.processes.append(process)
        return process

    def server(self, name="server", *more):
        """{"process", "pid", "tls_port", "plain_port", "ledger"}"""
        ledger = self.folder / f"{name}.ledger"
        process = self.start([client_python(), SUPPORT / "llm_server.py", "--tls-port", 0, "--plain-port", 0, "--certs", self.certs,
                              "--ledger", ledger, *more], name)
        ports = wait_for(f"{name} listens", lambda: lines_of(self.folder / f"{name}.out"), 20, process)[0]
        return {"process": process, "ledger": ledger, **ports}

    def nginx(self, server):
        tls, plain = free_port(), free_port()
        config = self.folder / "nginx.conf"
        config.write_text(f"""
worker_processes 1; daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log warn;
user root;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy; fastcgi_temp_path {self.folder}/fastcgi;
  uwsgi_temp_path {self.folder}/uwsgi; scgi_temp_path {self.folder}/scgi;
  client_max_body_size 0; proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_set_header Host $http_host; proxy_read_timeout 300s;
  upstream tls {{ server 127.0.0.1:{server['tls_port']}; keepalive 8; }}
  upstream plain {{ server 127.0.0.1:{server['plain_port']}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{tls} ssl; server_name _;
    ssl_certificate {self.certs}/server.pem; ssl_certificate_key {self.certs}/server.key;
    location / {{ proxy_pass https://tls; }}
  }}
  server {{ listen 127.0.0.1:{plain}; location / {{ proxy_pass http://plain; }} }}
}}
""")
        process = self.start(["nginx", "-c", config, "-p", self.folder, "-e", self.folder / "nginx.log"], "nginx")
        wait_for("nginx listens", lambda: can_connect(tls), 20, process)
        return {"process": process, "tls_port": tls, "plain_port": plain, "pids": children(process.pid)}

    def llmtap(self, binary, *more, words=()):
        """`words` stand before the command."""
        port = free_port()
        log = self.folder / "calls.jsonl"
        # LLMTAP_… of the environment would be configuration.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LLMTAP_")}
        process = self.start([*words, binary, "run", "--listen", f"127.0.0.1:{port}", "--log-requests", log, *more], "llmtap", env=environment)
        tap = {"process": process, "port": port, "log": log, "stderr": self.folder / "llmtap.err"}
        try:
            wait_for("llmtap is ready", lambda: get(port, "/readyz")[0] == 200, 90, process)
        except Failure as failure:
            raise Failure(f"{failure}\n{tap['stderr'].read_text()}") from failure
        return tap

    def client(self, spec, timeout=240):
        """What the client printed: one value per call."""
        name = spec["client"]
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": self.ca, "LLMTAP_NODE_MODULES": str(CLIENTS / "node"), "NO_PROXY": "*"}
        for variable in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
            environment.pop(variable, None)
        if name.startswith("node"):
            command = ["node", SUPPORT / "clients/client.mjs"]
        else:
            command = [client_python(), SUPPORT / "clients" / ("sdk.py" if "_sdk" in name else "raw.py")]
        run = subprocess.run([*map(str, command), json.dumps(spec)], capture_output=True, text=True, timeout=timeout, env=environment,
                             stdin=subprocess.DEVNULL, check=False)
        results = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        if run.returncode or not results:
            raise Failure(f"client {name} ended with {run.returncode}: {run.stderr[-2000:]}")
        return results


def stop(process, seconds=30):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def can_connect(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def children(pid):
    found = set()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found.update(int(child) for child in (task / "children").read_text().split())
    return found


def get(port, path, accept=""):
    """(status, text) of our own HTTP server; status 0 when nothing answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept} if accept else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10 * PATIENCE) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def need(condition, message, status=77):
    """Ends the run: 77 is ctest's "skipped"."""
    if not condition:
        print(f"skipped: {message}" if status == 77 else message, file=sys.stderr)
        sys.exit(status)


@contextlib.contextmanager
def scratch(name, keep=None):
    """The folder of one run, removed at its end; `keep` is one that stays."""
    folder = pathlib.Path(keep or tempfile.mkdtemp(prefix=f"llmtap-{name}-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def told(name, problems, always=True):
    """Prints how a row or case ended, `always` or when it failed; whether it failed."""
    problems = list(dict.fromkeys(problems))
    if problems or always:
        print(f"{'FAIL' if problems else 'ok  '} {name}", flush=True)
    for problem in problems[:12]:
        print(f"       {problem}", flush=True)
    if len(problems) > 12:
        print(f"       and {len(problems) - 12} more", flush=True)
    return bool(problems)


def run_main(main):
    """Ends the program with what `main` returns; what could not be run to its end has failed."""
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"FAIL {failure}")
        sys.exit(1)
