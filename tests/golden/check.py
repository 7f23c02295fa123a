#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check.py LLMTAP FOLDER: replays FOLDER/input.events and compares with FOLDER/expected.json.
LLMTAP_UPDATE_GOLDEN=1 rewrites the expectation."""
import difflib
import json
import os
import pathlib
import subprocess
import sys


def replay(llmtap, events):
    """The calls of a recording, as JSON text with one field per line."""
    # Nothing but the file may decide: no configuration from the environment.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTAP_")}
    run = subprocess.run([llmtap, "replay", "--log-requests", "-", str(events)], capture_output=True, text=True, env=clean, check=False)
    if run.returncode:
        sys.exit(f"replay of {events} ended with {run.returncode}: {run.stderr}")
    calls = [json.loads(line) for line in run.stdout.splitlines()]
    return json.dumps(calls, indent=1, ensure_ascii=False) + "\n"


def main():
    llmtap, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    got, path = replay(llmtap, folder / "input.events"), folder / "expected.json"
    if os.environ.get("LLMTAP_UPDATE_GOLDEN") == "1":
        path.write_text(got)
        return 0
    want = path.read_text() if path.exists() else ""
    if got == want:
        return 0
    print("".join(difflib.unified_diff(want.splitlines(True), got.splitlines(True), str(path), "replay")))
    return 1


if __name__ == "__main__":
    sys.exit(main())
