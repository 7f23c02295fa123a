#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The DaemonSet's container on this machine, under runc, and what it sees beyond itself.

  container.py --llmtap build/release/llmtap            # the full set sees everything, each one dropped costs something
  container.py --llmtap build/release/llmtap --table    # the table of manifests/README.md

Clients are curl processes that have loaded their libssl and wait for what to do: on the host, in a
container with its own libssl, with a library that only its user may read, and with one that was deleted.
"""
import argparse
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from bundle import MANIFESTS, Container, documents, image_tool, probe_container, probe_spec, spec, unpack  # noqa: E402
from harness import CLIENTS, ROOT, Failure, Stack, lines_of, need, run_main, scratch, wait_for  # noqa: E402

CALLS = 3
INPUT, OUTPUT = 31, 9
NOBODY = 65534
KINDS = ("host", "container", "private", "deleted")
TITLES = {"host": "a process of the host", "container": "a container with its own libssl", "private": "a library of mode 0400",
          "deleted": "a deleted library"}


class Clients:
    def __init__(self, stack, server, round_number):
        self.stack, self.server, self.round = stack, server, round_number
        self.processes, self.containers = {}, []

    def libraries(self, kind):
        """A libssl of this client alone: another inode, so that nothing attached elsewhere helps."""
        folder = self.stack.folder / f"lib-{kind}-{self.round}"
        folder.mkdir()
        for library in image_tool().needed("/usr/bin/curl"):
            if "libssl" in library or "libcrypto" in library:
                shutil.copyfile(os.path.realpath(library), folder / pathlib.Path(library).name)
        return folder

    def start(self):
        curl = ["/usr/bin/curl", "-K", "-"]
        named = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.processes["host"] = self.popen(curl, **named)
        folder = self.libraries("private")
        for file in folder.iterdir():
            os.chown(file, NOBODY, NOBODY)
            file.chmod(0o400)
        self.processes["private"] = self.popen(["setpriv", "--reuid", str(NOBODY), "--clear-groups", *curl],
                                               env={"LD_LIBRARY_PATH": str(folder), "PATH": "/usr/bin"}, **named)
        folder = self.libraries("deleted")
        self.processes["deleted"] = self.popen(curl, env={"LD_LIBRARY_PATH": str(folder), "PATH": "/usr/bin"}, **named)
        wait_for("the client has loaded its library", lambda: str(folder) in self.maps("deleted"), 20, self.processes["deleted"])
        shutil.rmtree(folder)
        rootfs = self.stack.folder / "curl"
        config = spec(rootfs, curl, ["PATH=/usr/bin"], [], ("pid", "ipc", "uts", "mount"),
                      [{"destination": "/ca.pem", "type": "bind", "source": self.stack.ca, "options": ["bind", "ro"]}])
        container = Container(self.stack.folder, f"curl{self.round}", config, stdin=subprocess.PIPE)
        self.containers.append(container)
        self.processes["container"] = container.process
        wait_for("the client container runs", lambda: (container.state() or (0, ""))[1] == "running", 20, container.process)
        for kind in ("host", "private"):
            wait_for(f"{kind} has loaded its library", functools.partial(self.maps, kind), 20, self.processes[kind])

    def popen(self, command, **named):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, **named)
        self.stack.processes.append(process)
        return process

    def maps(self, kind):
        text = pathlib.Path(f"/proc/{self.processes[kind].pid}/maps").read_text()
        return text if "libssl" in text else ""

    def model(self, kind):
        return f"deploy-{kind}-{self.round}-{os.getpid()}-in{INPUT}-out{OUTPUT}"

    def call(self):
        """Each client makes its calls, one connection each, and ends."""
        for kind, process in self.processes.items():
            ca = "/ca.pem" if kind == "container" else self.stack.ca
            body = json.dumps({"model": self.model(kind), "messages": [{"role": "user", "content": "hello"}]}).replace('"', '\\"')
            lines = ["http1.1", "silent", "show-error", "fail", 'noproxy = "*"', f'cacert = "{ca}"', f'data = "{body}"',
                     'header = "Content-Type: application/json"']
            lines += [f'url = "https://127.0.0.1:{self.server["tls_port"]}/v1/chat/completions"', 'output = "/dev/null"'] * CALLS
            process.stdin.write("\n".join(lines).encode())
            process.stdin.close()
        for kind, process in self.processes.items():
            if process.wait(60):
                raise Failure(f"client {kind} ended with {process.returncode}")
        for container in self.containers:
            container.end()


def seen(log, model, direction):
    return [line for line in lines_of(log) if line.get("requested_model") == model and line["direction"] == direction]


def ready(container):
    """The answer of /readyz, asked from inside of the container's network, as the kubelet asks the pod's address."""
    state = container.state()
    if not state or container.process.poll() is not None:
        return False
    run = subprocess.run(["nsenter", "-t", str(state[0]), "-n", "curl", "-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}",
                          f"http://127.0.0.1:9464{probe_container()['readinessProbe']['httpGet']['path']}"],
                         capture_output=True, text=True, check=False)
    return run.stdout == "200"


def measure(stack, server, entrypoint, round_number, dropped):
    """{"starts", "says", one count per kind, "server", "problems"}"""
    clients = Clients(stack, server, round_number)
    clients.start()
    tap = Container(stack.folder, f"llmtap{round_number}", probe_spec(stack.folder / "rootfs", entrypoint, stack.folder / "config", dropped))
    found = {"starts": False, "problems": [], "server": 0, **{kind: 0 for kind in KINDS}}
    try:
        wait_for("llmtap is ready", lambda: ready(tap), 90, tap.process)
        found["starts"] = True
    except Failure as failure:
        found["problems"].append(str(failure))
    clients.call()
    if found["starts"]:
        # The last call of a client that is seen in any case says that the others had their time.
        try:
            wait_for("every call is logged", lambda: all(len(seen(tap.out, clients.model(kind), "outbound")) >= CALLS for kind in KINDS), 6)
        except Failure as failure:
            found["problems"].append(str(failure))
    status = tap.end()
    if found["starts"] and status:
        found["problems"].append(f"llmtap ended with {status}")
    for kind in KINDS:
        lines = seen(tap.out, clients.model(kind), "outbound")
        found[kind] = len(lines)
        found["server"] += len(seen(tap.out, clients.model(kind), "inbound"))
        for line in lines:
            tokens = (line.get("input_tokens"), line.get("output_tokens"))
            if tokens != (INPUT, OUTPUT) or line["outcome"] != "ok" or line.get("incomplete"):
                found["problems"].append(f"{kind}: {tokens} tokens, {line['outcome']}, incomplete {line.get('incomplete')}")
        if found["starts"] and found[kind] != CALLS:
            found["problems"].append(f"{kind}: {found[kind]} of {CALLS} calls")
    found["says"] = tap.err.read_text(errors="replace")
    booked = [entry for entry in lines_of(server["ledger"]) if f"-{round_number}-{os.getpid()}-" in json.dumps(entry)]
    if len(booked) != CALLS * len(KINDS):
        found["problems"].append(f"the server booked {len(booked)} calls")
    return found


def row(name, found):
    cells = [str(found[kind]) + f" of {CALLS}" if found["starts"] else "-" for kind in KINDS]
    return f"| {name} | {'yes' if found['starts'] else 'no'} | " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--only", help="drop this capability alone; 'nothing' for the full set")
    parser.add_argument("--keep", help="work in this folder and leave it")
    arguments = parser.parse_args()
    need(os.geteuid() == 0, "containers and probes need root")
    need(shutil.which("runc"), "runc is not installed")
    need(os.path.exists(arguments.llmtap), f"{arguments.llmtap} is not built")
    need((CLIENTS / "installed").exists(), "the clients are not installed: run scripts/setup-clients")
    if os.environ.get("LLMTAP_OWN_MOUNTS") != "1":
        # Nodes have tracefs where the DaemonSet takes it from; here it may be mounted for this test alone.
        script = 'mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing || exit 77; exec "$@"'
        os.environ["LLMTAP_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", sys.executable, "-B", *sys.argv])

    bad = 0
    with scratch("deploy", arguments.keep) as folder:
        folder.chmod(0o755)
        image = image_tool()
        subprocess.run([ROOT / "scripts/image", "--binary", arguments.llmtap, "--oci", folder / "image.tar"], check=True)
        entrypoint = unpack(folder / "image.tar", folder / "rootfs")["Entrypoint"]
        image.make_rootfs(folder / "curl", {"/usr/bin/curl": "/usr/bin/curl"})
        (folder / "curl/ca.pem").touch()
        (folder / "config").mkdir()
        configmap = documents(MANIFESTS / "base/configmap.yaml")[0]
        for name, text in configmap["data"].items():
            (folder / "config" / name).write_text(text)
        trial = Container(folder, "trial", spec(folder / "curl", ["/usr/bin/curl", "--version"], ["PATH=/usr/bin"], [],
                                                ("pid", "ipc", "uts", "mount")))
        need(trial.process.wait(60) == 0, f"runc does not run here: {trial.err.read_text()[-300:]}")
        with Stack(folder) as stack:
            server = stack.server()
            held = probe_container()["securityContext"]["capabilities"]["add"]
            rounds = ["nothing", *held] if not arguments.only else [arguments.only]
            print("| dropped | starts | " + " | ".join(TITLES[kind] for kind in KINDS) + " |\n| --- | --- |" + " --- |" * len(KINDS), flush=True)
            for number, name in enumerate(rounds):
                found = measure(stack, server, entrypoint, number, () if name == "nothing" else (name,))
                print(row(name, found), flush=True)
                problems = []
                if name == "nothing":
                    problems = found["problems"]
                    if found["server"] != CALLS * len(KINDS):
                        problems.append(f"{found['server']} calls at the server, a process of the host, not {CALLS * len(KINDS)}")
                    if "cap_" in found["says"]:
                        problems.append(f"warns of capabilities: {found['says'][-500:]}")
                elif found["starts"] and all(found[kind] == CALLS for kind in KINDS):
                    problems = ["costs nothing: the manifest asks for more than is needed"]
                elif f"CAP_{name}".lower() not in found["says"].lower():
                    problems = [f"is not named as missing: {found['says'][-500:]}"]
                for problem in [] if arguments.table else problems:
                    print(f"FAIL without {name}: {problem}", flush=True)
                if problems and name == "nothing":
                    print(found["says"][-1500:])
                bad += bool(problems)
    return 1 if bad else 0


if __name__ == "__main__":
    run_main(main)
