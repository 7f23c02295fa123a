#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes README's support matrix from the rows of the end-to-end table.

  matrix.py                     prints the table
  matrix.py --write README.md   puts it between the markers
  matrix.py --check README.md   fails when it is out of date; without markers there is nothing to check
"""
import argparse
import collections
import difflib
import pathlib
import sys

import ws_rows
from rows import NODE, OPENSSL, all_rows

BEGIN, END = "<!-- matrix:begin -->", "<!-- matrix:end -->"
CLIENTS = {
    "curl": "curl", "curl_bullseye": "curl of Debian 11", "curl_trixie": "curl of Debian 13",
    "openssl_ssl": "OpenSSL's API, SSL_read", "openssl_ex": "OpenSSL's API, SSL_read_ex", "openssl_bio": "OpenSSL's API, BIO_read", "http.client": "Python http.client", "requests": "Python requests", "httpx": "Python httpx",
    "httpx_async": "Python httpx, asyncio", "aiohttp": "Python aiohttp", "openai_sdk": "openai (Python)",
    "openai_sdk_async": "openai (Python, asyncio)", "anthropic_sdk": "anthropic (Python)", "genai_sdk": "google-genai (Python)", "boto3_sdk": "boto3",
    "node_fetch": "Node fetch", "node_openai": "openai (Node)", "node_anthropic": "@anthropic-ai/sdk (Node)",
    "node_genai": "@google/genai (Node)",
}
DIALECTS = {
    "openai_chat": "OpenAI chat", "openai_completions": "OpenAI completions", "openai_responses": "OpenAI responses",
    "openai_embeddings": "OpenAI embeddings", "anthropic": "Anthropic messages", "gemini": "Gemini", "gemini_array": "Gemini (array)",
    "ollama": "Ollama chat", "ollama_generate": "Ollama generate", "bedrock_converse": "Bedrock Converse",
    "bedrock_invoke": "Bedrock InvokeModel",
}


WEBSOCKET_CLIENTS = {
    "python": "Python websockets", "openai_sdk": "openai (Python)", "genai_sdk": "google-genai (Python)", "node": "ws (Node)",
    "node_openai": "openai (Node)", "node_http2": "ws on HTTP/2 (Node)",
}
WEBSOCKET_APIS = {"responses": "OpenAI Responses", "lanes": "Responses with lanes", "realtime": "OpenAI Realtime", "live": "Gemini Live"}


def listed(values):
    return ", ".join(dict.fromkeys(values))


def table():
    by_client = collections.defaultdict(list)
    for row in all_rows():
        if row.outcome == "ok" and not row.outcomes:
            by_client[row.client].append(row)
    lines = ["| client | TLS library | APIs | streamed | compressed | also |", "| --- | --- | --- | --- | --- | --- |"]
    for client, name in CLIENTS.items():
        rows = by_client[client]
        tls = listed(row.tls for row in rows if row.tls != "none")
        also = listed({"plain": "plain HTTP", "nginx": "behind nginx (TLS)", "nginx_plain": "behind nginx (plain)"}[row.via]
                      for row in rows if row.via != "tls")
        streamed = "yes" if any(row.stream for row in rows) else "no"
        lines.append(f"| {name} | {tls} | {listed(DIALECTS[row.dialect] for row in rows)} | {streamed} | "
                     f"{listed(row.encoding for row in rows if row.encoding)} | {also} |")
    other = [row for row in all_rows() if row.outcome != "ok" or row.outcomes or row.heavy]
    lines += ["", "Also rows of that table: " + "; ".join(row.name for row in other) + "."]
    return "\n".join([*lines, "", *websocket_table()])


def websocket_table():
    lines = ["| client on WebSockets | TLS library | APIs | compressed | also |", "| --- | --- | --- | --- | --- |"]
    for client, name in WEBSOCKET_CLIENTS.items():
        rows = [row for row in ws_rows.ROWS if row.client == client and row.api in WEBSOCKET_APIS]
        forget = {bool(row.options.get("serverNoContextTakeover")) for row in rows if row.compression}
        compressed = listed(["deflate"] * (False in forget) + ["deflate without context takeover"] * (True in forget))
        lines.append(f"| {name} | {NODE if client.startswith('node') else OPENSSL} | {listed(WEBSOCKET_APIS[row.api] for row in rows)} | "
                     f"{compressed} | {'' if all(row.tls for row in rows) else 'clear text'} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--check", type=pathlib.Path)
    arguments = parser.parse_args()
    path = arguments.write or arguments.check
    if not path:
        print(table())
        return 0
    text = path.read_text() if path.exists() else ""
    if BEGIN not in text or END not in text:
        print(f"{path} has no markers {BEGIN} and {END}")
        return 1 if arguments.write else 77
    head, rest = text.split(BEGIN, 1)
    old, tail = rest.split(END, 1)
    new = f"\n\n{table()}\n\n"
    if arguments.write:
        path.write_text(head + BEGIN + new + END + tail)
        return 0
    if old == new:
        return 0
    print("\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), str(path), "rows.py", lineterm="")))
    print(f"run: tests/e2e/matrix.py --write {path}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
