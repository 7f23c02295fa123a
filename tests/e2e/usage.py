#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Token sums against the official SDKs' own accounting of the same bytes.

  usage.py --llmtap build/dev/llmtap [--only TEXT]   calls, compares, and checks the table
  usage.py --without-llmtap                          the SDKs and the server among themselves
  usage.py --llmtap … --write                        writes the table into README.md beside this file

Every number of an SDK's usage object must be llmtap's, at the client and at the server.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

from harness import CLIENTS, SUPPORT, Failure, Stack, client_python, lines_of, need, run_main, scratch, stop, told, wait_for

sys.path.insert(0, str(SUPPORT / "clients"))
from usage import FIELDS, SDKS  # pylint: disable=wrong-import-position

README = pathlib.Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- usage:begin -->", "<!-- usage:end -->"
# As the server reads them in a model's name (llm_dialects.Plan); usage2: in streams, too, unasked.
PLAN = "in120-out30-cached50-cwrite20-reasoning4-usage2"
LOG = {"input": "input_tokens", "output": "output_tokens", "cached": "cached_tokens", "cache_write": "cache_write_tokens",
       "reasoning": "reasoning_tokens"}


def rows():
    return [(sdk, stream) for sdk in SDKS for stream in (False, True) if not (stream and sdk == "openai embeddings")]


def version(sdk):
    pinned = (CLIENTS / "installed").read_text()
    return re.search(rf"(?:^| ){re.escape(sdk)}==(\S+)", pinned)[1]


def call(stack, server, sdk, stream, model):
    spec = {"sdk": sdk, "stream": stream, "model": model, "base": f"https://127.0.0.1:{server['tls_port']}", "ca": stack.ca}
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and not name.endswith("_BASE_URL")}
    run = subprocess.run([client_python(), SUPPORT / "clients/usage.py", json.dumps(spec)], capture_output=True, text=True, timeout=120,
                         env=environment, stdin=subprocess.DEVNULL, check=False)
    if run.returncode:
        raise Failure(f"{sdk}: {run.stderr[-1500:]}")
    return json.loads(run.stdout)


def said(line):
    """A log line's numbers in the SDKs' words."""
    numbers = {name: line.get(key) for name, key in LOG.items()}
    numbers["total"] = (numbers["input"] or 0) + (numbers["output"] or 0)
    return numbers


def problems_of(usage, lines):
    problems = [] if len(lines) == 2 else [f"{len(lines)} lines, not one of the client and one of the server"]
    for line in lines:
        if line.get("token_source") != "reported" or line.get("incomplete"):
            problems.append(f"{line['direction']}: source {line.get('token_source')}, incomplete {line.get('incomplete')}")
        ours = said(line)
        problems += [f"{line['direction']}: {name} is {ours[name]}, the SDK says {usage[name]}" for name in FIELDS
                     if usage[name] is not None and ours[name] != usage[name]]
    return problems


def table(results):
    out = ["| SDK | version | reply | " + " | ".join(name.replace("_", " ") for name in FIELDS) + " |", "| --- " * (3 + len(FIELDS)) + "|"]
    for sdk, stream, usage in results:
        cells = ["" if usage[name] is None else str(usage[name]) for name in FIELDS]
        out.append(f"| {sdk} | {version(sdk.split()[0])} | {'stream' if stream else 'plain'} | {' | '.join(cells)} |")
    return "\n".join(out)


def update(text, write):
    head, rest = README.read_text().split(BEGIN, 1)
    old, tail = rest.split(END, 1)
    new = f"\n{text}\n"
    if old == new:
        return []
    if write:
        README.write_text(head + BEGIN + new + END + tail)
        return []
    return [f"{README.name} has another table: run tests/e2e/usage.py --write"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--llmtap")
    parser.add_argument("--without-llmtap", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    need(arguments.without_llmtap or arguments.llmtap, "give --llmtap or --without-llmtap", 2)
    need(arguments.without_llmtap or os.geteuid() == 0, "attaching probes needs root")
    need((CLIENTS / "installed").exists() and "cohere==" in (CLIENTS / "installed").read_text(),
         "the clients are not installed: run scripts/setup-clients")
    bad, results = 0, []
    with scratch("usage") as folder, Stack(folder) as stack:
        server = stack.server()
        tap = None if arguments.without_llmtap else stack.llmtap(arguments.llmtap)
        for number, (sdk, stream) in enumerate(rows()):
            name = f"{sdk}{' stream' if stream else ''}"
            if arguments.only not in name:
                continue
            model = f"tap{os.getpid()}x{number}-{PLAN}"
            usage = call(stack, server, sdk, stream, model)
            results.append((sdk, stream, usage))
            problems = []
            if tap:
                def found(model=model):
                    return [line for line in lines_of(tap["log"]) if line.get("requested_model") == model]
                try:
                    wait_for("the log", lambda found=found: len(found()) >= 2, 20, tap["process"])
                except Failure as failure:
                    problems.append(str(failure))
                problems += problems_of(usage, found())
            bad += told(f"{name}: {', '.join(f'{key} {usage[key]}' for key in FIELDS if usage[key] is not None)}", problems)
        if tap:
            status = stop(tap["process"])
            bad += bool(status)
        for problem in update(table(results), arguments.write) if not arguments.only else []:
            bad += 1
            print(f"FAIL {problem}")
        print(f"{len(results)} rows, {bad} failures")
        return 1 if bad else 0


if __name__ == "__main__":
    run_main(main)
