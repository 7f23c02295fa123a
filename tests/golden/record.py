#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""record.py --llmtap PROGRAM NAME ROW: records one row of the end-to-end table as tests/golden/NAME."""
import argparse
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from check import replay  # noqa: E402
from compare import row_problems  # noqa: E402
from harness import Failure, Stack, lines_of, need, stop, wait_for  # noqa: E402
from rows import all_rows  # noqa: E402
from run import Run  # noqa: E402

HEADER = struct.Struct("<QIHHIIQ")  # struct llmtap_event_hdr
FILE_HEADER_BYTES, CLOCK, LOST = 32, 7, 8


def records(data):
    at = FILE_HEADER_BYTES
    while at + HEADER.size <= len(data):
        _, size, kind, _, tgid, _, _ = HEADER.unpack_from(data, at)
        end = at + size + (-size % 8)
        yield kind, tgid, data[at:end]
        at = end


def only(data, pids):
    """The records of these processes, and the clock between the first and the last of them."""
    kept = list(records(data))
    mine = [i for i, (kind, tgid, _) in enumerate(kept) if tgid in pids and kind not in (CLOCK, LOST)]
    if not mine:
        raise Failure("nothing was recorded of the processes of this row")
    wanted = set(mine)
    first, last = mine[0], mine[-1]
    while first > 0 and kept[first][0] != CLOCK:
        first -= 1
    after = next((i for i in range(last, len(kept)) if kept[i][0] == CLOCK), last)
    body = b"".join(record for i, (kind, _, record) in enumerate(kept)
                    if i in wanted or (kind == CLOCK and first <= i <= after))
    return data[:FILE_HEADER_BYTES] + body


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llmtap", required=True)
    parser.add_argument("name")
    parser.add_argument("row")
    arguments = parser.parse_args()
    rows = [row for row in all_rows() if row.name == arguments.row]
    need(rows, f"no row is called {arguments.row!r}; there are: " + "; ".join(row.name for row in all_rows()), 2)
    folder = HERE / arguments.name
    need(not folder.exists(), f"{folder} is already there", 2)
    row, scratch = rows[0], tempfile.mkdtemp(prefix="llmtap-golden-")
    try:
        with Stack(scratch) as stack:
            run = Run(stack, rows, False)
            run.tag = "golden"
            events = stack.folder / "raw.events"
            recorder = stack.start([arguments.llmtap, "record", "--redact", events], "recorder")
            wait_for("recording", lambda: "recording to" in (stack.folder / "recorder.err").read_text(), 60, recorder)
            _, pids = run.call(row)
            run.wait_ledger(row, run.model(row))
            if stop(recorder):
                raise Failure((stack.folder / "recorder.err").read_text())
            data = only(events.read_bytes(), set().union(*pids.values()))
            (stack.folder / "input.events").write_bytes(data)
            text = replay(arguments.llmtap, stack.folder / "input.events")
            lines = json.loads(text)
            problems = row_problems(row, run.model(row), lines_of(run.server["ledger"]), lines, pids)
            if problems:
                raise Failure("not kept, it differs from the server's ledger:\n  " + "\n  ".join(problems))
            folder.mkdir()
            shutil.copy(stack.folder / "input.events", folder / "input.events")
            (folder / "expected.json").write_text(text)
            print(f"{folder}: {len(data)} bytes, {len(lines)} calls")
            return 0
    except (Failure, subprocess.TimeoutExpired) as failure:
        print(f"record-golden: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
