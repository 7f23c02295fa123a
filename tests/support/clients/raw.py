#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls made with a plain HTTP library: raw.py SPEC, the library in spec.client: http.client, requests,
httpx, httpx_async, aiohttp, curl, curl_bullseye, curl_trixie (build/clients), openssl_ssl, openssl_ex,
openssl_bio (openssl_api.py). Prints one JSON line per call."""
import asyncio
import concurrent.futures
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import urllib.parse

import openssl_api
from common import Seen, load_spec, request_of, show


def with_http_client(spec):
    import http.client
    at = urllib.parse.urlsplit(spec["base"])
    if spec["client"] in openssl_api.FORMS:
        connection = openssl_api.connect(spec["client"], spec["base"], spec["ca"])
    elif at.scheme == "https":
        connection = http.client.HTTPSConnection(at.hostname, at.port or 443, context=ssl.create_default_context(cafile=spec["ca"]))
    else:
        connection = http.client.HTTPConnection(at.hostname, at.port or 80)

    def call(seen):
        url, headers, data = request_of(spec)
        connection.request("POST", url[len(spec["base"]):], data, headers)
        reply = connection.getresponse()
        seen.head(reply.status, reply.headers.get("content-type", ""))
        while piece := reply.read1(65536):
            seen.feed(piece)
            if seen.abort():
                connection.close()
                return
        reply.close()
    return call


def with_requests(spec):
    import requests
    session = requests.Session()

    def call(seen):
        url, headers, data = request_of(spec)
        with session.post(url, data=data, headers=headers, stream=spec["stream"], verify=spec.get("ca") or True) as reply:
            seen.head(reply.status_code, reply.headers.get("content-type", ""))
            for piece in reply.iter_content(None if spec["stream"] else 65536):
                seen.feed(piece)
                if seen.abort():
                    return
    return call


def with_httpx(spec):
    import httpx
    client = httpx.Client(verify=ssl.create_default_context(cafile=spec["ca"]) if spec.get("ca") else True, timeout=120)

    def call(seen):
        url, headers, data = request_of(spec)
        with client.stream("POST", url, content=data, headers=headers) as reply:
            seen.head(reply.status_code, reply.headers.get("content-type", ""))
            for piece in reply.iter_bytes():
                seen.feed(piece)
                if seen.abort():
                    return
    return call


CLIENTS = pathlib.Path(__file__).resolve().parents[3] / "build/clients"
CURLS = {"curl": "curl", "curl_bullseye": CLIENTS / "bullseye/curl", "curl_trixie": CLIENTS / "trixie/curl"}


def with_curl(spec):
    def call(seen):
        url, headers, data = request_of(spec)
        # The body from a file, as scripts do it with large prompts.
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            command = [CURLS[spec["client"]], "--silent", "--show-error", "--no-buffer", "--http1.1", "--include", "--data-binary", "@" + file.name, url]
            if spec.get("ca"):
                command += ["--cacert", spec["ca"]]
            if "accept-encoding" in headers:
                command += ["--compressed"]
                del headers["accept-encoding"]
            for name, value in headers.items():
                command += ["--header", f"{name}: {value}"]
            port = urllib.parse.urlsplit(url).port or 443
            for host, (address, to) in spec["resolve"].items():
                command += ["--connect-to", f"{host}:{port}:{address}:{to}"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            seen.out["pid"] = process.pid
            head = b""
            while b"\r\n\r\n" not in head or head.startswith(b"HTTP/1.1 100"):
                line = process.stdout.readline()
                if not line:
                    break
                head += line
                if head.startswith(b"HTTP/1.1 100") and head.endswith(b"\r\n\r\n"):
                    head = b""
            if head:
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                seen.head(int(head.split()[1]), fields.get(b"content-type", b"").decode())
            while piece := os.read(process.stdout.fileno(), 65536) if not process.stdout.peek(1) else process.stdout.read1(65536):
                seen.feed(piece)
                if seen.abort():
                    process.kill()
            error = process.stderr.read().decode().strip()
            if process.wait() > 0:
                raise OSError(f"curl ended with {process.returncode}: {error}")
    return call


def run_threads(spec, make):
    def worker(_):
        call, results = make(spec), []
        for _ in range(spec["calls"]):
            seen = Seen(spec)
            try:
                call(seen)
                results.append(seen.result())
            except Exception as error:  # noqa: BLE001: every library has its own; the row decides
                results.append(seen.result(f"{type(error).__name__}: {error}"))
        return results
    with concurrent.futures.ThreadPoolExecutor(spec["concurrency"]) as pool:
        for results in pool.map(worker, range(spec["concurrency"])):
            for result in results:
                show(result, spec)


async def with_httpx_async(spec):
    import httpx
    limits = httpx.Limits(max_connections=spec["concurrency"], max_keepalive_connections=spec["concurrency"])
    context = ssl.create_default_context(cafile=spec["ca"]) if spec.get("ca") else True
    client = httpx.AsyncClient(verify=context, timeout=120, limits=limits)

    async def call(seen):
        url, headers, data = request_of(spec)
        async with client.stream("POST", url, content=data, headers=headers) as reply:
            seen.head(reply.status_code, reply.headers.get("content-type", ""))
            async for piece in reply.aiter_bytes():
                seen.feed(piece)
                if seen.abort():
                    return
    return call, client.aclose


async def with_aiohttp(spec):
    import aiohttp
    context = ssl.create_default_context(cafile=spec["ca"]) if spec.get("ca") else None
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=0) if context else None)

    async def call(seen):
        url, headers, data = request_of(spec)
        async with session.post(url, data=data, headers=headers) as reply:
            seen.head(reply.status, reply.headers.get("content-type", ""))
            async for piece in reply.content.iter_any():
                seen.feed(piece)
                if seen.abort():
                    reply.close()
                    return
    return call, session.close


async def run_tasks(spec, make):
    call, close = await make(spec)

    async def worker():
        for _ in range(spec["calls"]):
            seen = Seen(spec)
            try:
                await call(seen)
                show(seen.result(), spec)
            except Exception as error:  # noqa: BLE001
                show(seen.result(f"{type(error).__name__}: {error}"), spec)
    await asyncio.gather(*(worker() for _ in range(spec["concurrency"])))
    await close()


def main():
    spec = load_spec()
    tasks = {"httpx_async": with_httpx_async, "aiohttp": with_aiohttp}
    threads = {"http.client": with_http_client, "requests": with_requests, "httpx": with_httpx, **dict.fromkeys(CURLS, with_curl),
               **dict.fromkeys(openssl_api.FORMS, with_http_client)}
    name = spec["client"]
    if name in tasks:
        asyncio.run(run_tasks(spec, tasks[name]))
    elif name in threads:
        run_threads(spec, threads[name])
    else:
        sys.exit(f"unknown client {name}: one of {', '.join([*threads, *tasks])}")


if __name__ == "__main__":
    main()
