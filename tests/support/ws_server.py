#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server that speaks LLM APIs on WebSockets: ws_server.py --certs DIR --ledger FILE

/v1/responses and /v1/realtime; each response is one line of the ledger. Prints one JSON line
{"pid", "tls_port", "plain_port"} when it listens."""
import argparse
import asyncio
import json
import os
import ssl
import sys

from websockets.asyncio.server import serve


class Server:
    def __init__(self, ledger):
        self.file, self.count = open(ledger, "a", encoding="utf-8"), 0

    async def connection(self, socket):
        path = socket.request.path
        realtime = path.startswith("/v1/realtime")
        model = path.partition("model=")[2]
        if realtime:
            await socket.send(json.dumps({"type": "session.created", "session": {"id": "sess_1", "model": model}}))
        async for text in socket:
            message = json.loads(text)
            if message["type"] != "response.create":
                continue
            self.count += 1
            rid = f"resp_{os.getpid()}_{self.count}"
            last = "response.done" if realtime else "response.completed"
            base = {"id": rid, "object": "response", **({} if realtime else {"model": message["model"]})}
            await socket.send(json.dumps({"type": "response.created", "response": {**base, "status": "in_progress"}}))
            warm = message.get("generate") is False
            for _ in range(0 if warm else 10):
                await socket.send(json.dumps({"type": "response.output_text.delta", "delta": "word " * 40}))
            numbers = {"input_tokens": 100 + self.count, "output_tokens": 0 if warm else 10 + self.count}
            entry = {"id": rid, "model": model or message["model"], "operation": "warmup" if warm else "realtime" if realtime else "responses",
                     "previous": message.get("previous_response_id", ""), **numbers}
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()
            await socket.send(json.dumps({"type": last, "response": {**base, "status": "completed", "usage": numbers}}))


async def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--certs", required=True)
    parser.add_argument("--ledger", required=True)
    arguments = parser.parse_args()
    server = Server(arguments.ledger)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{arguments.certs}/server.pem", f"{arguments.certs}/server.key")
    async with serve(server.connection, "127.0.0.1", 0, ssl=context) as tls, serve(server.connection, "127.0.0.1", 0) as plain:
        print(json.dumps({"pid": os.getpid(), "tls_port": tls.sockets[0].getsockname()[1], "plain_port": plain.sockets[0].getsockname()[1]}), flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
