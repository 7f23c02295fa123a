# SPDX-License-Identifier: Apache-2.0
"""What keeps the daemon from starting: one message that says what, why and what to do."""
import json
import os
import socket

import wire
from harness import Failure, free_port, get, wait_for

USED = ("bpf", "perfmon", "sys_ptrace", "checkpoint_restore", "dac_read_search")
RUN = ("run", "--listen", "127.0.0.1:0", "--log-requests")


def said(result, status, *texts):
    """Problems unless the command ended with `status` and said all of that."""
    found, stderr, _ = result
    problems = [] if found == status else [f"ended with {found}, not {status}: {stderr[-500:]}"]
    problems += [f"does not say {text!r}: {stderr[-500:]}" for text in texts if text not in stderr]
    lines = stderr.splitlines()
    errors = [line for line in lines if line.startswith("llmtap: ")]
    if status and (len(errors) != 1 or not lines[-1].startswith("    ")):
        problems.append(f"is not one message with what to do below it: {stderr[-500:]}")
    return problems


def file_of(bench, name, text):
    path = bench.folder / name
    path.write_text(text)
    return path


def configuration(bench):
    problems = []
    for text, status, wants in [
            ("metrics:\n  listen: abc\n", 2, (":2:11", "metrics.listen", "127.0.0.1:9464")),
            ("metrics:\n  lisen: 127.0.0.1:1\n", 2, (":2:", "lisen", "metrics.listen")),
            ("log:\n  level: loud\n", 2, (":2:", "log.level", "trace, debug, info, warn, error, off")),
            ("capture:\n  ring_bytes: 1KiB\n", 2, (":2:", "capture.ring_bytes", "262144")),
            ("metrics: [\n", 2, (":2:",)), ("\x00\x01", 2, ("configuration",)), ("- a\n", 2, (":1:",))]:
        path = file_of(bench, "llmtap.yaml", text)
        problems += said(bench.command("run", "--config", path), status, str(path), *wants)
    problems += said(bench.command("run", "--config", bench.folder / "absent.yaml"), 2, "absent.yaml", "No such file", "--config")
    problems += said(bench.command("run", "--config", bench.folder), 2, str(bench.folder))
    secret = bench.folder / "secret.yaml"
    secret.write_text("{}")
    secret.chmod(0)
    problems += said(bench.command("run", "--config", secret, before=["setpriv", "--bounding-set", "-all", "--reuid", "65534", "--clear-groups"]),
                     2, "secret.yaml", "Permission denied")
    return problems


def price_file(bench):
    problems = []
    for text, wants in [('{\n "a": {},\n', (":3:",)), ("[]", ("not an object",)), ("", ("not valid JSON",)), ('{"m": {"input_cost_per_token": "much"}}', ("no model",))]:
        path = file_of(bench, "prices.json", text)
        problems += said(bench.command(*RUN, "-", "--prices", path), 1, str(path), "LiteLLM", *wants)
    return problems + said(bench.command(*RUN, "-", "--prices", bench.folder / "absent"), 1, "No such file")


def web_configuration(bench):
    problems = []
    for text, wants in [("tls_server_confg:\n  a: b\n", (":1:", "valid: tls_server_config")),
                        ("tls_server_config:\n  cert_fil: a\n", (":2:", "valid: cert_file")),
                        ("tls_server_config:\n  cert_file: a\n  key_file: b\n  min_version: SSL3\n", (":4:", "TLS12")),
                        ("basic_auth_users:\n  bob: hunter2\n", (":2:", "htpasswd")), ("a: [\n", (":2:",))]:
        path = file_of(bench, "web.yaml", text)
        problems += said(bench.command(*RUN, "-", "--set", f"web.config.file={path}"), 1, str(path), *wants)
    if "hunter2" in bench.command(*RUN, "-", "--set", f"web.config.file={file_of(bench, 'web.yaml', 'basic_auth_users: {bob: hunter2}')}")[1]:
        problems.append("repeats a password")
    return problems + said(bench.command(*RUN, "-", "--set", f"web.config.file={bench.folder}/absent"), 1, "No such file", "web.config.file")


def places(bench):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        problems = said(bench.command("run", "--listen", f"127.0.0.1:{port}"), 1, f"127.0.0.1:{port}", "in use")
    problems += said(bench.command(*RUN, "/nonexistent/calls.jsonl"), 1, "/nonexistent/calls.jsonl", "No such file", "log.requests.file")
    problems += said(bench.command("run", "--listen", "192.0.2.1:9464"), 1, "192.0.2.1:9464")
    existing = file_of(bench, "there.events", "x")
    problems += said(bench.command("record", existing), 1, "there.events", "never overwritten")
    return problems + said(bench.command("record", "/nonexistent/a.events"), 1, "/nonexistent/a.events", "directory that exists")


def without(bench, dropped, *more):
    """A daemon that has what the README lists and CAP_SYS_ADMIN's mount, except for `dropped`."""
    kept = [name for name in (*USED, *more) if name not in dropped]
    return ["setpriv", "--inh-caps", "-all", "--bounding-set", ",".join(["-all", *("+" + name for name in kept)])]


def capabilities(bench):
    problems = []
    for dropped in ("bpf", "perfmon"):
        problems += said(bench.command(*RUN, "-", before=without(bench, {dropped})), 1, f"lacks CAP_{dropped.upper()}:", "AmbientCapabilities")
    problems += said(bench.command(*RUN, "-", before=without(bench, {"bpf", "perfmon"})), 1, "lacks CAP_BPF, CAP_PERFMON:")
    # With what the README lists and a tracefs it sees every call; without one of the rest it says so and runs.
    traced = hidden("mount -t tracefs none /sys/kernel/tracing")
    for dropped in ("", "sys_ptrace", "checkpoint_restore", "dac_read_search"):
        # The tracefs is readable by its owner only.
        before = without(bench, {dropped}, "sys_admin") if dropped == "dac_read_search" else [*traced, *without(bench, {dropped})]
        tap = watching(bench, f"without-{dropped}", before)
        if not dropped:
            with wire.Connection(bench.certs) as connection:
                problems += bench.good_calls(tap, connection)
        problems += bench.end(tap)
        text = tap["stderr"].read_text()
        if dropped and f"cap_{dropped}" not in text or not dropped and "warn" in text:
            problems.append(f"without {dropped or 'anything less'}: {text[-500:]}")
    return problems


def hidden(script):
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script + ' && exec "$@"', "sh"]


def watching(bench, name, before):
    """A daemon started through `before`, ready."""
    port = free_port()
    tap = {"port": port, "log": bench.folder / f"{name}.jsonl", "stderr": bench.folder / f"{name}.err"}
    tap["process"] = bench.start([*before, bench.binary, "run", "--listen", f"127.0.0.1:{port}", "--log-requests", tap["log"]], name,
                                 env=bench.environment())
    try:
        wait_for(f"{name}: ready", lambda: get(port, "/readyz")[0] == 200, 60, tap["process"])
    except Failure as failure:
        raise Failure(f"{failure}: {tap['stderr'].read_text()[-500:]}") from failure
    return tap


def kernel_files(bench):
    hide = "mount -t tmpfs none "
    problems = said(bench.command(*RUN, "-", before=hidden(hide + "/sys")), 1, "no BTF", "/sys/kernel/btf/vmlinux", "mount /sys")
    problems += said(bench.command(*RUN, "-", before=hidden(hide + "/sys/kernel/btf")), 1, "no BTF", "CONFIG_DEBUG_INFO_BTF")
    # tracefs: with CAP_SYS_ADMIN a private one; without, one program at every system call.
    # In a mount namespace of its own, so that a tracefs of this machine is out of sight.
    blind = hidden(hide + "/sys/kernel/tracing && { test ! -d /sys/kernel/debug/tracing || mount -t tmpfs none /sys/kernel/debug; }")
    for name, before in (("no-tracefs", blind), ("no-tracefs-no-admin", [*blind, *without(bench, set())]),
                         ("no-bpffs", hidden(hide + "/sys/fs/bpf"))):
        tap = watching(bench, name, before)
        with wire.Connection(bench.certs) as connection:
            problems += bench.good_calls(tap, connection)
        problems += bench.end(tap)
    return problems


def doctor_names_them(bench):
    status, _, out = bench.command("doctor", "--json", before=[*hidden("mount -t tmpfs none /sys"), *without(bench, {"bpf"})])
    facts = {fact["name"]: fact for fact in json.loads(out)["facts"]}
    problems = [] if status == 1 else [f"doctor ended with {status}"]
    for name in ("BTF", "capability cap_bpf"):
        if facts[name]["status"] != "missing" or not facts[name]["advice"]:
            problems.append(f"doctor says {facts[name]}")
    return problems


def event_files(bench):
    whole = file_of(bench, "x.events", "LLMTAPEV")
    problems = said(bench.command("replay", whole), 1, "x.events", "not an event file", "llmtap record")
    whole.write_bytes(os.urandom(5000))
    problems += said(bench.command("replay", whole), 1, "not an event file")
    whole.write_bytes(b"LLMTAPEV" + (99).to_bytes(4, "little") + bytes(20))
    problems += said(bench.command("replay", whole), 1, "version 99", "version of llmtap that recorded it")
    return problems + said(bench.command("replay", bench.folder / "absent"), 1, "No such file", "llmtap record")


CASES = [("configuration file", configuration), ("price file", price_file), ("web configuration", web_configuration),
         ("ports and paths", places), ("capabilities", capabilities), ("no BTF, tracefs or bpffs", kernel_files),
         ("doctor names what is missing", doctor_names_them), ("event files", event_files)]
