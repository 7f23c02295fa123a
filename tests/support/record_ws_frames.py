#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/unit/protocols/websockets_recorded.inc: conversations as Python's websockets frames them.

Its client and its server talk to each other without a network; what each sends is recorded, and what the
other's parser made of it. Run with the clients' python (scripts/setup-clients) to write it anew."""
import json
import pathlib
import random

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

OUTPUT = pathlib.Path(__file__).resolve().parents[1] / "unit/protocols/websockets_recorded.inc"
# (server_no_context_takeover, client_no_context_takeover, server_max_window_bits, client_max_window_bits)
DEFLATE = {
    "Plain": None,
    "Deflate": (False, False, None, None),
    "ServerForgets": (True, False, None, None),
    "ClientForgets": (False, True, None, None),
    "BothForget": (True, True, None, None),
    "SmallWindows": (False, False, 9, 10),
    "SmallForgetful": (True, True, 9, 9),
}


def peers(parameters):
    client_extensions = server_extensions = None
    if parameters:
        settings = {"memLevel": 4}
        client_extensions = [ClientPerMessageDeflateFactory(*parameters, compress_settings=settings)]
        server_extensions = [ServerPerMessageDeflateFactory(*parameters, compress_settings=settings)]
    client = ClientProtocol(parse_uri("ws://h/v1/responses"), extensions=client_extensions, max_size=None)
    server = ServerProtocol(extensions=server_extensions, max_size=None)
    client.send_request(client.connect())
    server.receive_data(b"".join(client.data_to_send()))
    reply = server.accept(server.events_received()[0])
    server.send_response(reply)
    client.receive_data(b"".join(server.data_to_send()))
    client.events_received()
    return client, server, reply.headers.get("Sec-WebSocket-Extensions", "")


def send(rng, source, text):
    """One message in fragments, control frames between them."""
    data = text.encode()
    cuts = sorted(rng.randrange(len(data)) for _ in range(rng.choice((0, 0, 1, 3))))
    pieces = [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)])]
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        if index == 0:
            # A server may frame JSON as binary, as Google's does.
            (source.send_binary if rng.random() < 0.3 else source.send_text)(piece, last)
        else:
            source.send_continuation(piece, last)
        if rng.random() < 0.3:
            source.send_ping(b"p" * rng.randrange(5))


def messages_of(target):
    """What the other side's parser made of it."""
    texts, open_text = [], b""
    for frame in target.events_received():
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            open_text += frame.data
            if frame.fin:
                texts.append(open_text.decode())
                open_text = b""
    return texts


def conversation(rng, parameters):
    client, server, extensions = peers(parameters)
    steps = []

    def turn(source, target, texts, mark):
        for text in texts:
            send(rng, source, text)
        data = b"".join(source.data_to_send())
        target.receive_data(data)
        got = messages_of(target)
        assert got == texts, (got, texts)
        # The answers to pings, which the other side has sent by itself.
        back = b"".join(target.data_to_send())
        source.receive_data(back)
        source.events_received()
        steps.append((mark, data.hex(), texts))
        if back:
            steps.append(("<" if mark == ">" else ">", back.hex(), []))

    for number in range(3):
        name = f"resp_{number}"
        words = " ".join(rng.choice(("alpha", "beta", "gamma", "дельта")) for _ in range(rng.randrange(40)))
        turn(client, server, [json.dumps({"type": "response.create", "model": "m", "input": words}, ensure_ascii=False)], ">")
        events = [{"type": "response.created", "response": {"id": name, "object": "response"}}]
        events += [{"type": "response.output_text.delta", "delta": word} for word in words.split()[:5]]
        events.append({"type": "response.completed", "response": {"id": name, "output": words, "usage": {"input_tokens": number, "output_tokens": 1}}})
        turn(server, client, [json.dumps(event) for event in events], "<")
    client.send_close(1000)
    steps.append((">", b"".join(client.data_to_send()).hex(), []))
    return extensions, steps


def main():
    def quoted(text):
        return 'R"~(' + text + ')~"'
    lines = ["// SPDX-License-Identifier: Apache-2.0", "// Written by tests/support/record_ws_frames.py."]
    for name, parameters in DEFLATE.items():
        extensions, steps = conversation(random.Random(name), parameters)
        lines.append(f'{{"{name}", "{extensions}", {{')
        for mark, data, texts in steps:
            lines.append(f"    {{'{mark}', \"{data}\", {{{', '.join(map(quoted, texts))}}}}},")
        lines.append("}},")
    OUTPUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
