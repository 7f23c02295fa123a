# SPDX-License-Identifier: Apache-2.0
"""What a case of these tests gets: a scratch folder, the program, and calls whose numbers are known."""
import os
import pathlib
import subprocess

import wire
from books import Books, settle
from harness import Failure, Stack, get, lines_of, stop, wait_for


class Bench(Stack):
    """One case: a scratch folder, the program under test, and calls whose numbers are known."""

    def __init__(self, folder, binary):
        super().__init__(folder)
        self.binary = binary
        self.big = os.environ.get("LLMTAP_BIG", "") not in ("", "0")
        self.sanitized = b"__asan_init" in pathlib.Path(binary).read_bytes()
        self.number = 0

    def tap(self, *more):
        return self.llmtap(self.binary, *more)

    def environment(self):
        return {name: value for name, value in os.environ.items() if not name.startswith("LLMTAP_")}

    def command(self, *arguments, before=(), seconds=60, **named):
        """A command that ends by itself: (status, what it said on stderr, stdout)."""
        run = subprocess.run([*map(str, before), str(self.binary), *map(str, arguments)], capture_output=True, text=True, timeout=seconds,
                             stdin=subprocess.DEVNULL, env=self.environment(), check=False, **named)
        return run.returncode, run.stderr, run.stdout

    def model(self, what):
        self.number += 1
        return f"{what}-{os.getpid()}-{self.number}"

    def good_calls(self, tap, connection=None, calls=1, what="good", problems=None):
        """Calls after the accident must be exact, on both ends."""
        problems = [] if problems is None else problems
        model = self.model(what)
        with connection or wire.Connection() as used:
            for number in range(calls):
                used.exchange(wire.request(model), wire.reply(wire.reply_body(model, number)))
        problems += self.wait_exact(tap, model, calls)
        return problems

    def caught_up(self, tap):
        """Waits until a call is read whole again; problems when one was lost and nothing says so. What
        was written at once may be more than a busy machine's reader takes out of the ring in time."""
        if not self.good_calls(tap, what="soon"):
            return []
        if ("kernel", "ring_full") not in self.books(tap).lost():
            return ["a call was not read whole, and the books name no loss"]
        wait_for("a call is read whole", lambda: not self.good_calls(tap, what="soon"), 60, tap["process"])
        return []

    def wait_exact(self, tap, model, calls, token_pair=(7, 3)):
        try:
            wait_for("the log", lambda: len(lines_with(tap["log"], model)) >= 2 * calls, 20, tap["process"])
        except Failure:
            return [f"{len(lines_with(tap['log'], model))} lines for {calls} good calls ({model})"]
        problems = []
        lines = lines_with(tap["log"], model)
        if len(lines) != 2 * calls:
            problems.append(f"{len(lines)} lines for {calls} good calls ({model})")
        for line in lines:
            found = (line.get("input_tokens"), line.get("output_tokens"))
            if line.get("outcome") != "ok" or line.get("incomplete") or found != token_pair:
                problems.append(f"a good call ({model}) is outcome {line.get('outcome')}, incomplete {line.get('incomplete')}, tokens {found}")
        return problems[:5]

    @staticmethod
    def books(tap):
        return Books(get(tap["port"], "/metrics")[1])

    @staticmethod
    def end(tap, seconds=30):
        """Problems of an orderly end."""
        status = stop(tap["process"], seconds)
        text = tap["stderr"].read_text(errors="replace")
        return [] if status == 0 else [f"llmtap ended with {status}: {text[-2000:]}"]

    def whole(self, tap, problems):
        """Books, then the end: what each case finishes with."""
        return problems + settle(tap["port"]) + self.end(tap)


def lines_with(log, model):
    return [line for line in lines_of(log) if line.get("requested_model") == model]
