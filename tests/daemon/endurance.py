# SPDX-License-Identifier: Apache-2.0
"""Very many connections and processes, of which many are killed: nothing of them is kept, neither in the
kernel's maps nor in memory. LLMTAP_BIG=1: 100,000 connections, 10,000 processes, 1,000 kills."""
import collections
import concurrent.futures
import json
import pathlib
import signal
import subprocess
import sys

import wire
from case import lines_with
from harness import Failure, can_connect, children, free_port, wait_for
from hostile import resident
from losses import bpftool, maps_of

# argv: PORT CA|- COUNT MODEL; each connection makes one call and is closed.
LOAD = """
import socket, ssl, sys
sys.path.insert(0, sys.argv[5])
import wire
port, ca, count, request = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), wire.request(sys.argv[4])
context = None if ca == "-" else ssl.create_default_context(cafile=ca)
for _ in range(count):
    with socket.create_connection(("127.0.0.1", port)) as end:
        if context:
            end = context.wrap_socket(end, server_hostname="api.openai.com")
        end.sendall(request)
        while end.recv(65536):
            pass
        end.close()
"""


def fast_server(bench):
    """nginx: a call is answered from memory, /slow does not end."""
    tls, plain = free_port(), free_port()
    (bench.folder / "slow").write_bytes(b"x" * 1_000_000)
    body = wire.reply_body("m").decode()
    config = bench.folder / "fast.conf"
    place = f"""
    ssl_certificate {bench.certs}/server.pem; ssl_certificate_key {bench.certs}/server.key;
    keepalive_timeout 0; lingering_close off; default_type application/json;
    location /v1/ {{ return 200 '{body}'; }}
    location /slow {{ root {bench.folder}; limit_rate 1k; }}"""
    config.write_text(f"""
worker_processes 2; daemon off; pid {bench.folder}/fast.pid; error_log {bench.folder}/fast.log crit; user root;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {bench.folder}/body; proxy_temp_path {bench.folder}/proxy;
  fastcgi_temp_path {bench.folder}/fastcgi; uwsgi_temp_path {bench.folder}/uwsgi; scgi_temp_path {bench.folder}/scgi;
  server {{ listen 127.0.0.1:{tls} ssl backlog=4096; {place} }}
  server {{ listen 127.0.0.1:{plain} backlog=4096; {place} }}
}}
""")
    process = bench.start(["nginx", "-c", config, "-p", bench.folder, "-e", bench.folder / "fast.log"], "fast")
    wait_for("nginx listens", lambda: can_connect(tls) and can_connect(plain), 20, process)
    return {"tls": tls, "plain": plain, "pids": children(process.pid)}


def left_behind(tap, servers):
    """Entries of processes that are gone, and connections of servers that have none, by map."""
    owner = {"conn_by_key": lambda key, value: value["tgid"], "process_flags": lambda key, value: key}
    left = collections.Counter()
    for number in maps_of(tap["process"]):
        name = bpftool("map", "show", "id", number)["name"]
        if name not in owner:
            continue
        for entry in bpftool("map", "dump", "id", number):
            key, value = entry["formatted"]["key"], entry["formatted"]["value"]
            tgid = owner[name](key, value)
            if not pathlib.Path(f"/proc/{tgid}").exists() or (name == "conn_by_key" and tgid in servers):
                left[name] += 1
    return dict(left)


def connections(bench, server, count, model):
    """A tenth over TLS, four processes."""
    here = str(pathlib.Path(__file__).parent)
    shares = [("-", server["plain"], count * 3 // 10)] * 3 + [(bench.ca, server["tls"], count // 10)]
    running = [subprocess.Popen([sys.executable, "-B", "-c", LOAD, str(port), ca, str(share), model, here]) for ca, port, share in shares]
    bench.processes += running
    statuses = [process.wait(1800) for process in running]
    if any(statuses):
        raise Failure(f"the load ended with {statuses}")
    return sum(share for _, _, share in shares)


def processes(bench, server, count, model):
    body = bench.folder / "request"
    body.write_bytes(wire.body_of(model))
    for port, scheme in ((server["tls"], "https"), (server["plain"], "http")):
        subprocess.run(f"seq {count // 2} | xargs -P 8 -I{{}} curl --silent --output /dev/null --cacert {bench.ca} --data-binary @{body} "
                       f"--header 'content-type: application/json' {scheme}://127.0.0.1:{port}/v1/chat/completions", shell=True, check=True,
                       timeout=3600, env=bench.environment())
    return count // 2 * 2


def kills(bench, server, count):
    def one(number):
        tls = number % 2
        with subprocess.Popen(["curl", "--silent", "--no-buffer", "--cacert", bench.ca,
                               f"http{'s' if tls else ''}://127.0.0.1:{server['tls' if tls else 'plain']}/slow"],
                              stdout=subprocess.PIPE, env=bench.environment()) as process:
            if not process.stdout.read(1):
                raise Failure("a program ended before it was killed")
            process.send_signal(signal.SIGKILL)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(count)))


def many_of_everything(bench):
    full = bench.big
    sizes = (50_000, 5_000, 500) if full else (1_500, 100, 40)
    tap, problems, resident_bytes = bench.tap("--set", "capture.ring_bytes=64MiB"), [], []
    server = fast_server(bench)
    ends = 0
    for _ in range(2):
        model = bench.model("many")
        calls = connections(bench, server, sizes[0], model) + processes(bench, server, sizes[1], model)
        kills(bench, server, sizes[2])
        try:
            wait_for("the maps forget", lambda: not left_behind(tap, server["pids"]), 5, tap["process"])
        except Failure:
            problems.append(f"left behind: {left_behind(tap, server['pids'])}")
        books = bench.books(tap)
        # What the ring had no room for is said; of the rest both ends are counted.
        seen = len(lines_with(tap["log"], model))
        ends += seen
        lost = books.lost().get(("kernel", "ring_full"), 0)
        if seen > 2 * calls or (seen < 2 * calls and not lost):
            try:
                wait_for("the log", lambda model=model, calls=calls: len(lines_with(tap["log"], model)) == 2 * calls, 20, tap["process"])
            except Failure:
                problems.append(f"{len(lines_with(tap['log'], model))} lines for {2 * calls} ends of calls, and nothing was lost")
        resident_bytes.append(resident(tap, "VmRSS"))
    grown = resident_bytes[1] - resident_bytes[0]
    if not bench.sanitized and grown > 4 << 20:
        problems.append(f"resident memory went from {resident_bytes[0] >> 10} to {resident_bytes[1] >> 10} KiB by the same load again")
    if full:
        print(json.dumps({"ends of calls": ends, "resident KiB": [one >> 10 for one in resident_bytes],
                          "lost": {" ".join(where): count for where, count in bench.books(tap).lost().items()}}))
    problems += bench.caught_up(tap)
    return bench.whole(tap, problems)


CASES = [("connections, processes and kills in thousands", many_of_everything)]
