#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server that speaks LLM APIs on WebSockets: ws_server.py --certs DIR --ledger FILE

/v1/responses (with lanes), /v1/realtime, and Gemini Live on any path that ends with its RPC's name; each
response is one line of the ledger. /chat echoes: no LLM's. Prints one JSON line {"pid", "tls_port",
"plain_port"} when it listens."""
import argparse
import asyncio
import json
import os
import ssl
import sys
import urllib.parse

from websockets.asyncio.server import serve

WORDS, SOUND = "word " * 40, "UklG" * 40


class Server:
    def __init__(self, ledger):
        self.file, self.count = open(ledger, "a", encoding="utf-8"), 0

    def entry(self, **fields):
        """The next response's numbers, which no other has."""
        self.count += 1
        return {"id": f"resp_{os.getpid()}_{self.count}", "outcome": "ok", "stream": True, "input_tokens": 1000 + self.count,
                "output_tokens": 10 + self.count, "cached_tokens": 5 + self.count, "audio": False, **fields}

    def done(self, entry):
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()

    async def connection(self, socket):
        url = urllib.parse.urlsplit(socket.request.path)
        if url.path == "/chat":
            async for text in socket:
                await socket.send(text)
        elif "BidiGenerateContent" in url.path:
            await self.live(socket)
        elif url.path.endswith("/realtime"):
            await self.realtime(socket, urllib.parse.parse_qs(url.query)["model"][0])
        else:
            await self.responses(socket)

    async def realtime(self, socket, model):
        await socket.send(json.dumps({"type": "session.created", "event_id": "ev_0", "session": {"id": "sess_1", "type": "realtime", "model": model}}))
        async for text in socket:
            message = json.loads(text)
            if message["type"] != "response.create":
                continue
            metadata = (message.get("response") or {}).get("metadata", {})
            if "error" in metadata:
                await socket.send(json.dumps({"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_value", "message": metadata["error"]}}))
                continue
            cancelled = metadata.get("end") == "cancelled"
            entry = self.entry(model=model, operation="realtime", audio=True, outcome="client_aborted" if cancelled else "ok")
            response = {"object": "realtime.response", "id": entry["id"], "status": "in_progress", "status_details": None, "output": [], "usage": None}

            async def say(kind, **fields):
                await socket.send(json.dumps({"type": kind, "event_id": f"ev_{self.count}", **fields}))
            await say("response.created", response=response)
            for _ in range(10):
                item = {"response_id": entry["id"], "item_id": "item_1", "output_index": 0, "content_index": 0}
                await say("response.output_audio.delta", **item, delta=SOUND)
                await say("response.output_audio_transcript.delta", **item, delta=WORDS)
            self.done(entry)
            usage = {"total_tokens": entry["input_tokens"] + entry["output_tokens"], "input_tokens": entry["input_tokens"], "output_tokens": entry["output_tokens"],
                     "input_token_details": {"text_tokens": 1, "audio_tokens": 2, "cached_tokens": entry["cached_tokens"]},
                     "output_token_details": {"text_tokens": 1, "audio_tokens": 3}}
            end = {"status": "cancelled", "status_details": {"type": "cancelled", "reason": "client_cancelled"}} if cancelled else {"status": "completed"}
            await say("response.done", response={**response, **end, "usage": usage})

    async def responses(self, socket):
        lanes = {}
        async for text in socket:
            message = json.loads(text)
            if message["type"] != "response.create":
                continue
            # One after the other in a lane, all lanes at once.
            lane = message.get("stream_id", "")
            lanes[lane] = asyncio.create_task(self.response(socket, message, lanes.get(lane)))

    async def response(self, socket, message, before):
        if before:
            await before
        warm = message.get("generate") is False
        entry = self.entry(model=message["model"], operation="warmup" if warm else "responses", previous=message.get("previous_response_id") or "")
        if warm:
            entry.update(output_tokens=0, audio=None)
        lane = {"stream_id": message["stream_id"]} if "stream_id" in message else {}
        response = {"id": entry["id"], "object": "response", "created_at": 1, "model": entry["model"], "status": "in_progress", "output": [],
                    "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}

        async def say(kind, **fields):
            await socket.send(json.dumps({"type": kind, "sequence_number": 1, **fields, **lane}))
            await asyncio.sleep(0)
        await say("response.created", response=response)
        for _ in range(0 if warm else 10):
            await say("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, logprobs=[], delta=WORDS)
        self.done(entry)
        usage = {"input_tokens": entry["input_tokens"], "input_tokens_details": {"cached_tokens": entry["cached_tokens"]}, "output_tokens": entry["output_tokens"],
                 "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": entry["input_tokens"] + entry["output_tokens"]}
        await say("response.completed", response={**response, "status": "completed", "usage": usage})

    async def live(self, socket):
        # Google's server sends JSON as binary.
        async def say(value):
            await socket.send(json.dumps(value).encode())
        model = json.loads(await socket.recv())["setup"]["model"].removeprefix("models/")
        await say({"setupComplete": {}})
        async for text in socket:
            message = json.loads(text)
            content = message.get("client_content") or message.get("clientContent") or {}
            if not (content.get("turn_complete") or content.get("turnComplete")):
                continue
            entry = self.entry(model=model, operation="realtime", audio=True, id=None)
            for _ in range(10):
                await say({"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm", "data": SOUND}}]}}})
                await say({"serverContent": {"outputTranscription": {"text": WORDS}}})
            await say({"serverContent": {"generationComplete": True}})
            self.done(entry)
            await say({"serverContent": {"turnComplete": True}, "usageMetadata": {
                "promptTokenCount": entry["input_tokens"], "responseTokenCount": entry["output_tokens"], "cachedContentTokenCount": entry["cached_tokens"],
                "totalTokenCount": entry["input_tokens"] + entry["output_tokens"], "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}]}})


async def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--certs", required=True)
    parser.add_argument("--ledger", required=True)
    arguments = parser.parse_args()
    server = Server(arguments.ledger)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{arguments.certs}/server.pem", f"{arguments.certs}/server.key")
    accepted = {"select_subprotocol": lambda _connection, offered: offered[0] if offered else None}
    async with serve(server.connection, "127.0.0.1", 0, ssl=context, **accepted) as tls, serve(server.connection, "127.0.0.1", 0, **accepted) as plain:
        print(json.dumps({"pid": os.getpid(), "tls_port": tls.sockets[0].getsockname()[1], "plain_port": plain.sockets[0].getsockname()[1]}), flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
