# SPDX-License-Identifier: Apache-2.0
"""The condition `crowd`: how many of the calls of a crowded machine are told, each with its tokens."""
import json
import subprocess
import shutil
import tempfile

from compare import samples, total
from harness import Failure, Stack, get, lines_of, stop, wait_for

SECONDS = 30
INPUT_TOKENS, OUTPUT_TOKENS = 5, 7  # of each reply
# What three copies of a program leave of what a preemptive kernel skips is far below; one copy alone leaves far more.
MISSED = 0.002


def skips_of_first_copies():
    """How often the kernel skipped a program that has copies: without it the crowd shows nothing."""
    programs = json.loads(subprocess.run(["bpftool", "--json", "prog", "show"], stdout=subprocess.PIPE, check=True).stdout)
    return sum(program.get("recursion_misses", 0) for program in programs if "_copy" not in program.get("name", ""))


def observe(arguments, result, patience):
    """Adds calls, tokens and losses to `result`, and what is wrong to its problems."""
    problems = result["problems"]
    folder = tempfile.mkdtemp(prefix="llmtap-vm-", dir="/run")
    try:
        with Stack(folder) as stack:
            tap = stack.llmtap(arguments.llmtap)
            run = subprocess.run([arguments.crowd, str(SECONDS)], stdout=subprocess.PIPE, check=True, timeout=patience)
            sent = int(run.stdout)

            def told():
                return [line for line in lines_of(tap["log"]) if line.get("hop") == "edge"]
            try:
                wait_for("every call", lambda: len(told()) >= sent, 10, tap["process"])
            except Failure:
                pass  # those that are missing are counted below
            skipped = skips_of_first_copies()
            metrics = get(tap["port"], "/metrics")[1]
            if stop(tap["process"], patience) != 0:
                problems.append(f"llmtap ended with {tap['process'].returncode}: {tap['stderr'].read_text()[-500:]}")
            lines = told()
            whole = [line for line in lines if (line.get("input_tokens"), line.get("output_tokens")) == (INPUT_TOKENS, OUTPUT_TOKENS)]
            unseen = total(metrics, "llmtap_events_lost_total", lambda labels: labels["reason"] == "unseen")
            others = [[name, labels, value] for name, labels, value in samples(metrics)
                      if name == "llmtap_events_lost_total" and value and labels["reason"] not in ("unseen", "not_llm")]
    except (Failure, subprocess.SubprocessError) as failure:
        problems.append(str(failure))
        return
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result.update(calls=len(whole), sent=sent, skipped=skipped, unseen=unseen,
                  input_tokens=INPUT_TOKENS * len(whole), output_tokens=OUTPUT_TOKENS * len(whole))
    if not sent or sent - len(whole) > MISSED * sent:
        problems.append(f"{len(whole)} of {sent} calls are told whole; {unseen:g} records unseen, {skipped} runs skipped")
    if len(lines) > sent:
        problems.append(f"{len(lines)} calls are told, {sent} were made")
    if others:
        problems.append(f"events lost: {others}")
    if not skipped:
        problems.append("the kernel skipped no program: the crowd is not dense enough to show anything")
