#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README's table of kernels, from the rows that scripts/test-vm wrote: table.py DIR"""
import json
import pathlib
import sys

FEATURES = ("BPF programs", "uprobe_multi", "uprobe session", "records", "system calls", "maps", "kernel reads")
NAMES = {"uprobe_multi": "uprobes", "uprobe session": "returns"}


def order(result):
    number = result["row"].split()[0].split("-")[0]
    return ([int(part) for part in number.split(".")] if number[0].isdigit() else [1000], result["row"])


def main():
    results = sorted((json.loads(path.read_text()) for path in pathlib.Path(sys.argv[1]).glob("*.json")), key=order)
    print("| row | kernel | calls | " + " | ".join(NAMES.get(name, name) for name in FEATURES) + " |")
    print("| --- " * (len(FEATURES) + 3) + "|")
    for result in results:
        facts = {fact["name"]: fact["detail"] for fact in result["facts"]}
        said = "exact" if not result["problems"] else "not exact"
        if "sent" in result:
            said = f"{result['calls']:,} of {result['sent']:,}"
        what = {"tls": " (TLS only)", "plain": " (plain HTTP only)"}.get(result["condition"], "")
        print(f"| {result['row']} | {result['kernel']} | {said}{what} | " + " | ".join(facts.get(name, "") for name in FEATURES) + " |")


if __name__ == "__main__":
    main()
