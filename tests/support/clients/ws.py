#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of LLM APIs on WebSockets: ws.py SPEC. Each sends its messages and reads until all are answered."""
import asyncio
import json
import pathlib
import sys

LAST = ("response.done", "response.completed")


async def websockets(spec):
    from websockets.asyncio.client import connect
    from websockets.typing import Subprotocol
    named = {"compression": spec["compression"], "additional_headers": spec.get("headers", {}),
             "subprotocols": [Subprotocol(name) for name in spec.get("subprotocols", [])] or None}
    gate = pathlib.Path(spec["gate"]) if "gate" in spec else None
    async with connect(spec["url"] + spec["path"], **named) as socket:
        pending = spec["messages"]
        # Lanes are asked at once, conversations turn by turn.
        for turn in [pending] if spec.get("at_once") else [[message] for message in pending]:
            for message in turn:
                await socket.send(json.dumps(message))
            left = spec.get("answers") or len(turn)
            while left:
                reply = json.loads(await socket.recv())
                left -= reply.get("type") in (*LAST, "error") or "turnComplete" in reply.get("serverContent", {}) or "setupComplete" in reply or "echo" in reply
            if gate:
                print("answered", flush=True)
                while not gate.exists():
                    await asyncio.sleep(0.05)
                gate = None


def openai(spec):
    from openai import OpenAI
    client = OpenAI(api_key="sk-test-0123456789", base_url=spec["url"].replace("ws", "http", 1) + "/v1")
    realtime = spec["api"] == "realtime"
    with client.realtime.connect(model=spec["model"]) if realtime else client.responses.connect() as connection:
        for message in spec["messages"]:
            connection.send(message)
            for event in connection:
                if event.type in LAST:
                    break


async def genai(spec):
    from google import genai as library
    client = library.Client(api_key="AIzaTest0123456789", http_options={"base_url": spec["url"].replace("ws", "http", 1)})
    async with client.aio.live.connect(model=spec["model"], config={"response_modalities": ["AUDIO"]}) as session:
        for message in spec["messages"]:
            await session.send_client_content(**message)
            async for _ in session.receive():
                pass


def main():
    spec = json.loads(sys.argv[1])
    result = {"python": websockets, "openai_sdk": openai, "genai_sdk": genai}[spec["client"]](spec)
    if result is not None:
        asyncio.run(result)


if __name__ == "__main__":
    main()
