# SPDX-License-Identifier: Apache-2.0
"""What runs already, or goes on in ways of its own, is neither harmed nor missed: pools from before the
start, descriptors that change their number and their process, programs that start with the daemon, and
a daemon that is killed in mid-stream."""
import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import threading

import wire
from case import lines_with
from endings import objects, pins, uprobes_left
from harness import SUPPORT, Failure, client_python, lines_of, wait_for

POOL = 50

# Both: argv is BASE CA MODEL; one round opens the pool, then one round for each line read. Prints the
# local ports that each round used.
HTTPX_POOL = """
import asyncio, json, ssl, sys
import httpx
base, ca, model, pool = *sys.argv[1:4], int(sys.argv[4])

async def main():
    limits = httpx.Limits(max_connections=pool, max_keepalive_connections=pool, keepalive_expiry=None)
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=ca), limits=limits, timeout=120) as client:
        async def call(name):
            reply = await client.post(base + "/v1/chat/completions", headers={"x-test-first-delay-ms": "1500" if name == "open" else "0"},
                                      json={"model": name, "messages": [{"role": "user", "content": "hi"}]})
            reply.raise_for_status()
            return reply.extensions["network_stream"].get_extra_info("client_addr")[1]
        name = "open"
        while True:
            ports = await asyncio.gather(*(call(name) for _ in range(pool)))
            print(json.dumps(sorted(set(ports))), flush=True)
            if not await asyncio.to_thread(sys.stdin.readline):
                return
            name = model
asyncio.run(main())
"""
NODE_POOL = """
const https = require('https'), fs = require('fs');
const [base, ca, model, pool] = [process.argv[1], process.argv[2], process.argv[3], +process.argv[4]];
const agent = new https.Agent({keepAlive: true, maxSockets: pool, maxFreeSockets: pool, ca: fs.readFileSync(ca)});
const call = name => new Promise((done, failed) => {
  const body = JSON.stringify({model: name, messages: [{role: 'user', content: 'hi'}]});
  const request = https.request(base + '/v1/chat/completions', {agent, method: 'POST', headers: {'content-type': 'application/json',
    'content-length': body.length, 'x-test-first-delay-ms': name == 'open' ? '1500' : '0'}}, reply => {
      const port = request.socket.localPort;
      reply.resume();
      reply.on('end', () => reply.statusCode == 200 ? done(port) : failed(reply.statusCode));
  });
  request.on('error', failed);
  request.end(body);
});
const round = name => Promise.all(Array.from({length: pool}, () => call(name)))
  .then(ports => console.log(JSON.stringify([...new Set(ports)].sort((a, b) => a - b))));
const lines = require('readline').createInterface({input: process.stdin});
let last = round('open');
lines.on('line', () => { last = last.then(() => round(model)); });
lines.on('close', () => last.then(() => process.exit(0)));
"""


def pools_from_before(bench):
    """Idle TLS connections, opened before the start: every call on them is counted."""
    problems, rounds = [], 3
    server = bench.server()
    models = {"httpx": bench.model("httpx"), "node": bench.model("node")}
    commands = {"httpx": [client_python(), "-c", HTTPX_POOL], "node": ["node", "-e", NODE_POOL]}
    pools = {}
    for name, command in commands.items():
        pools[name] = subprocess.Popen([*command, f"https://127.0.0.1:{server['tls_port']}", bench.ca, models[name], str(POOL)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bench.processes.append(pools[name])
    opened = {name: set(json.loads(pool.stdout.readline())) for name, pool in pools.items()}
    problems += [f"{name}: a pool of {len(ports)} connections" for name, ports in opened.items() if len(ports) != POOL]
    tap = bench.tap()
    for name, pool in pools.items():
        for _ in range(rounds):
            pool.stdin.write("again\n")
            pool.stdin.flush()
            used = set(json.loads(pool.stdout.readline()))
            if not used <= opened[name]:
                problems.append(f"{name}: {len(used - opened[name])} calls were on connections that are not from before: this test sees less")
        pool.stdin.close()
        pool.wait(30)
        pool.stdout.close()
    for name, model in models.items():
        want = 2 * rounds * POOL
        try:
            wait_for("the log", lambda model=model: len(lines_with(tap["log"], model)) >= want, 20, tap["process"])
        except Failure:
            pass
        lines = lines_with(tap["log"], model)
        ledger = {entry["id"]: entry for entry in lines_of(server["ledger"]) if entry["requested_model"] == model}
        for direction in ("outbound", "inbound"):
            mine = [line for line in lines if line["direction"] == direction]
            if len(mine) != rounds * POOL:
                problems.append(f"{name}: {len(mine)} {direction} calls of {rounds * POOL}")
            wrong = [line for line in mine if line["outcome"] != "ok" or line.get("incomplete")
                     or line.get("output_tokens") != ledger.get(line.get("response_id"), {}).get("output_tokens")]
            if wrong:
                problems.append(f"{name}: {len(wrong)} {direction} calls are not as the ledger has them: {wrong[0]}")
    return bench.whole(tap, problems)


def a_call_after_much_else(bench):
    """100 exchanges that are no LLM calls, then one that is, on the same connection."""
    tap, problems = bench.tap(), []
    health = b"GET /health HTTP/1.1\r\nhost: api.openai.com\r\n\r\n"
    well = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    for certs in (None, bench.certs):
        with wire.Connection(certs) as connection:
            for _ in range(100):
                connection.exchange(health, well)
            problems += [f"{'tls' if certs else 'plain'}: {problem}" for problem in bench.good_calls(tap, connection, 1)]
    return bench.whole(tap, problems)


# Holds a socket that it was sent; reads and writes when told to.
HOLDER = """
import socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
end = socket.socket(fileno=socket.recv_fds(channel, 1, 1)[1][0])
print("has it", flush=True)
for line in sys.stdin:
    what, *more = line.split()
    if what == "send":
        end.sendall(bytes.fromhex(more[0]))
    elif what == "read":
        left = int(more[0])
        while left:
            left -= len(end.recv(left))
    print("done", flush=True)
end.close()
"""


class Plain:
    """One end of a connection; move_on() changes who holds it and under which number."""

    def __init__(self, bench, end):
        self.bench, self.fd, self.holder = bench, end.detach(), None

    def do(self, what, data):
        if self.holder:
            self.holder.stdin.write(f"{what} {data.hex() if what == 'send' else len(data)}\n")
            self.holder.stdin.flush()
            if self.holder.stdout.readline() != "done\n":
                raise Failure("the holder of the socket ended")
            return
        self.here(what, data)

    def here(self, what, data):
        done = 0
        while done < len(data):
            done += os.write(self.fd, data[done:]) if what == "send" else len(os.read(self.fd, len(data) - done))

    def by_child(self, what, data):
        child = os.fork()
        if not child:
            try:
                self.here(what, data)
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    def renumber(self):
        new = os.dup2(self.fd, 200 + self.fd)
        os.close(self.fd)
        self.fd = new

    def hand_over(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, text=True)
            self.bench.processes.append(self.holder)
            socket.send_fds(ours, [b"x"], [self.fd])
            self.holder.stdout.readline()
        os.close(self.fd)

    def end(self):
        self.holder.stdin.close()
        self.holder.wait(20)
        self.holder.stdout.close()


def descriptors_that_wander(bench):
    """dup2, fork and SCM_RIGHTS on both ends in the middle of one plain stream: one call for each end, and exact."""
    tap, model, problems = bench.tap(), bench.model("wanders"), []
    connection = wire.Connection()
    client, server = Plain(bench, connection.client), Plain(bench, connection.server)

    def event(**more):
        data = b"data: " + json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, **more}).encode() + b"\n\n"
        return f"{len(data):x}\r\n".encode() + data + b"\r\n"

    def pass_on(data):
        server.do("send", data)
        client.do("read", data)
    chunk = event(choices=[{"index": 0, "delta": {"content": "ho "}}])
    request = wire.request(model, wire.body_of(model, stream=True))
    client.do("send", request)
    server.do("read", request)
    pass_on(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    pass_on(chunk)
    server.renumber()
    client.renumber()
    pass_on(chunk)
    server.by_child("send", chunk)
    client.by_child("read", chunk)
    pass_on(chunk)
    server.hand_over()
    client.hand_over()
    pass_on(chunk)
    pass_on(event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}))
    done = b"data: [DONE]\n\n"
    pass_on(f"{len(done):x}\r\n".encode() + done + b"\r\n0\r\n\r\n")
    problems += bench.wait_exact(tap, model, 1)
    # And the next call on it, from where it is now.
    again, reply = bench.model("wandered"), wire.reply(wire.reply_body(model))
    client.do("send", wire.request(again))
    server.do("read", wire.request(again))
    pass_on(reply)
    problems += bench.wait_exact(tap, again, 1)
    pids = {line["direction"]: line["pid"] for line in lines_with(tap["log"], again)}
    if pids != {"outbound": client.holder.pid, "inbound": server.holder.pid}:
        problems.append(f"the call of the processes that hold the sockets now is said to be of {pids}")
    client.end()
    server.end()
    return bench.whole(tap, problems)


def a_crowd_at_the_start(bench):
    """500 processes of one call each, and more until the daemon is ready: from /readyz on each is counted. Of those
    before, once it watches, each is counted or has left a connection that is counted as not read."""
    problems, stem, server = [], bench.model("crowd"), bench.server()
    ready, said = threading.Event(), bench.folder / "llmtap.err"

    def call(number):
        tls, model = bool(number % 2), f"{stem}-{number:05d}"
        after, hooked = ready.is_set(), said.exists() and "watching" in said.read_text()
        command = ["curl", "--silent", "--fail", "--output", "/dev/null", "--data-binary", wire.body_of(model), "--cacert", bench.ca,
                   "--header", "content-type: application/json",
                   f"http{'s' if tls else ''}://127.0.0.1:{server['tls_port' if tls else 'plain_port']}/v1/chat/completions"]
        status = subprocess.run(command, check=False, env=bench.environment()).returncode
        return model, tls, hooked, after, status

    def calls_until_ready():
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            done = list(pool.map(call, range(500)))
            while not ready.is_set() or sum(one[3] for one in done) < 100:
                done += pool.map(call, range(len(done), len(done) + 50))
        return done
    with concurrent.futures.ThreadPoolExecutor(1) as crowd:
        calls = crowd.submit(calls_until_ready)
        try:
            tap = bench.tap()
        finally:
            ready.set()
        calls = calls.result()
    failed = [one for one in calls if one[4]]
    if failed:
        problems.append(f"{len(failed)} of {len(calls)} programs failed: {failed[:3]}")

    def lines():
        return [line for line in lines_of(tap["log"]) if str(line.get("requested_model")).startswith(stem)]

    def missing(of):
        seen = {(line["requested_model"], line["direction"]) for line in lines()}
        return [(one[0], direction) for one in of for direction in ("outbound", "inbound") if (one[0], direction) not in seen]
    after = [one for one in calls if one[3]]
    try:
        wait_for("the log", lambda: not missing(after), 20, tap["process"])
    except Failure:
        problems.append(f"{len(missing(after))} ends of {len(after)} calls after the start are missing: {missing(after)[:3]}, {bench.books(tap).lost()}")
    found = lines()
    if len(found) != len({(line["requested_model"], line["direction"]) for line in found}):
        problems.append("a call is said twice")
    partly = [line for line in found if line["outcome"] != "ok" or line.get("incomplete")]
    problems += [f"a call after the start is {line['outcome']}, {line.get('incomplete')}" for line in partly
                 if line["requested_model"] in {one[0] for one in after}][:3]
    hooked = [one for one in calls if one[2] and not one[3]]
    gone = {tls: missing([one for one in hooked if one[1] == tls]) for tls in (False, True)}
    if gone[False]:
        problems.append(f"{len(gone[False])} ends of plain calls that began when the system calls were hooked are missing: {gone[False][:3]}, {bench.books(tap).lost()}")
    opaque = bench.books(tap).total("llmtap_coverage_connections_total", visibility="opaque")
    # Underway when their library was hooked: what asked for the model had passed.
    begun = sum(line.get("incomplete") == "mid_stream_attach" for line in lines_of(tap["log"]) if line.get("requested_model") is None)
    if len(gone[True]) > opaque + begun:
        problems.append(f"{len(gone[True])} ends of calls over TLS are missing, of {opaque:.0f} it is said that they were not read, {begun} had begun")
    return bench.whole(tap, problems)


def killed_in_mid_stream(bench):
    """kill -9 of the daemon while calls stream: nothing remains, and neither end notices."""
    before = {kind: objects(kind) for kind in ("link", "prog", "map")} | {"pins": pins()}
    server, problems, clients = bench.server(), [], {}
    tap = bench.tap()
    for tls in (True, False):
        model = bench.model("streams")
        spec = {"client": "http.client", "base": f"{'https' if tls else 'http'}://127.0.0.1:{server['tls_port' if tls else 'plain_port']}",
                "ca": bench.ca if tls else None, "dialect": "openai_chat", "model": model, "stream": True,
                "headers": {"x-test-chunks": "800", "x-test-delay-ms": "10"}}
        clients[model] = bench.start([client_python(), SUPPORT / "clients/raw.py", json.dumps(spec)], model)
    wait_for("both ends of both are in flight", lambda: bench.books(tap).total("llmtap_in_flight_requests") == 4, 30, tap["process"])
    if not uprobes_left(before)[0]:
        problems.append("bpftool shows no link while it runs: this test sees nothing")
    tap["process"].kill()
    tap["process"].wait(20)
    if any(entry["requested_model"] in clients for entry in lines_of(server["ledger"])):
        problems.append("a stream was over before the kill: this test sees less")
    for model, client in clients.items():
        status = client.wait(60)
        seen = lines_of(bench.folder / f"{model}.out")
        want = [entry for entry in lines_of(server["ledger"]) if entry["requested_model"] == model]
        if status or len(seen) != 1 or len(want) != 1 or seen[0]["bytes"] != want[0]["response_bytes"] or seen[0].get("failure"):
            problems.append(f"the client ended with {status} and saw {[one['bytes'] for one in seen]} bytes, the server sent {[one['response_bytes'] for one in want]}")
    try:
        # The kernel frees programs and maps after a grace period.
        wait_for("everything is gone", lambda: not any(uprobes_left(before)), 20)
    except Failure:
        problems.append(f"left behind (links, programs, maps, pins): {uprobes_left(before)}")
    return problems


CASES = [("pools from before the start", pools_from_before), ("a call after 100 others on its connection", a_call_after_much_else),
         ("descriptors that wander in mid-stream", descriptors_that_wander), ("500 programs that start with it", a_crowd_at_the_start),
         ("kill -9 of it in mid-stream", killed_in_mid_stream)]
