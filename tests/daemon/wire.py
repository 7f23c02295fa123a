# SPDX-License-Identifier: Apache-2.0
"""Bytes over loopback as they are: no library between that would refuse to send what is malformed."""
import json
import socket
import ssl
import threading

STEP = 65536


class Lost(Exception):
    """A side of an exchange did not get what the other sent."""


class Repeat:
    """head + piece × times + tail, never in memory as a whole."""

    def __init__(self, head, piece, times, tail=b""):
        self.head, self.piece, self.times, self.tail = head, piece, times, tail

    def __len__(self):
        return len(self.head) + len(self.piece) * self.times + len(self.tail)

    def __iter__(self):
        yield self.head
        for _ in range(self.times):
            yield self.piece
        yield self.tail


class Connection:
    """Both ends of one connection, in this process."""

    def __init__(self, certs=None):
        listener = socket.create_server(("127.0.0.1", 0))
        self.client = socket.create_connection(listener.getsockname())
        self.server, _ = listener.accept()
        listener.close()
        for end in (self.client, self.server):
            end.settimeout(120)
        if certs:
            outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            outer.load_cert_chain(f"{certs}/server.pem", f"{certs}/server.key")
            inner = ssl.create_default_context(cafile=f"{certs}/ca.pem")
            accepted = []
            thread = threading.Thread(target=lambda: accepted.append(outer.wrap_socket(self.server, server_side=True)))
            thread.start()
            self.client = inner.wrap_socket(self.client, server_hostname="api.openai.com")
            thread.join()
            self.server = accepted[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.client.close()
        self.server.close()

    def exchange(self, request, reply):
        move(self.client, self.server, request)
        move(self.server, self.client, reply)


def move(source, target, data):
    want, got = len(data), [0]

    def receive():
        while got[0] < want:
            piece = target.recv(min(STEP, want - got[0]))
            if not piece:
                return
            got[0] += len(piece)
    thread = threading.Thread(target=receive)
    thread.start()
    for piece in [data] if isinstance(data, bytes) else data:
        source.sendall(piece)
    thread.join()
    if got[0] != want:
        raise Lost(f"{got[0]} of {want} bytes came")


def request(model, body=None, headers=(), path="/v1/chat/completions"):
    body = body_of(model) if body is None else body
    lines = [f"POST {path} HTTP/1.1", "host: api.openai.com", "content-type: application/json", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def body_of(model, **more):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **more}).encode()


def reply_body(model, number=0, **more):
    return json.dumps({"id": f"chatcmpl-{number}", "object": "chat.completion", "model": model, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "ho"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}, **more}).encode()


def reply(body, headers=(), content_type="application/json"):
    lines = ["HTTP/1.1 200 OK", f"content-type: {content_type}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
