#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An OpenTelemetry collector's receiver that knows only the protocol: reads the protobuf messages of
traces by their field numbers and writes each span as text.

  otlp_receiver.py grpc|http FILE [--refuse N] [--hang]

Prints its port, then serves until it is killed. --refuse: so many requests are told to come again
(gRPC UNAVAILABLE, HTTP 503). --hang: no request is ever answered; each is noted in FILE.
"""
import argparse
import http.server
import struct
import sys
import threading

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
lock = threading.Lock()


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """{number: [value, …]}: bytes, or an integer; fixed64 as its 8 bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = data[at:at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def value_of(data):
    (number, (value,)), = fields(data).items()
    if number == 1:
        return repr(value.decode())
    if number == 2:
        return "true" if value else "false"
    if number == 3:
        return str(value - (1 << 64) if value >> 63 else value)
    if number == 4:
        return repr(struct.unpack("<d", value)[0])
    assert number == 5, number
    return "[" + ", ".join(value_of(one) for one in fields(value).get(1, [])) + "]"


def attributes(entries, indent):
    pairs = [fields(entry) for entry in entries]
    return [f"{indent}{key} = {value_of(value)}" for key, value in sorted((pair[1][0].decode(), pair[2][0]) for pair in pairs)
            if key != "telemetry.sdk.version"]


def fixed64(value):
    return struct.unpack("<Q", value)[0]


def text_of(span):
    kind = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT"}[span[6][0]]
    lines = [f"span {span[5][0].decode()!r} {kind} trace {span[1][0].hex()} id {span[2][0].hex()} parent {span.get(4, [b''])[0].hex() or '-'}",
             f"  from {fixed64(span[7][0])} to {fixed64(span[8][0])}"]
    status = fields(span.get(15, [b""])[0])
    if status:
        lines.append(f"  status {status.get(3, [0])[0]} {status.get(2, [b''])[0].decode()!r}")
    lines += attributes(span.get(9, []), "  ")
    for event in map(fields, span.get(11, [])):
        lines += [f"  event {event[2][0].decode()} at {fixed64(event[1][0])}", *attributes(event.get(3, []), "    ")]
    return lines


def request_text(body):
    lines = []
    for resource_spans in map(fields, fields(body).get(1, [])):
        lines += ["resource", *attributes(fields(resource_spans[1][0]).get(1, []), "  ")]
        for scope_spans in map(fields, resource_spans[2]):
            scope = fields(scope_spans[1][0])
            lines.append(f"scope {scope[1][0].decode()} {scope.get(2, [b''])[0].decode()}")
            for span in scope_spans[2]:
                lines += text_of(fields(span))
    return "\n".join(lines) + "\n"


class Receiver:
    def __init__(self, file, refuse, hang):
        self.file, self.refuse, self.hang = file, refuse, hang

    def take(self, body, header):
        """Whether the request was taken."""
        with lock, open(self.file, "a", encoding="utf-8") as out:
            if self.hang:
                out.write("request\n")
            elif self.refuse > 0:
                self.refuse -= 1
                out.write("refused\n")
                return False
            else:
                out.write(f"x-tenant: {header}\n{request_text(body)}")
        if self.hang:
            threading.Event().wait()
        return True


def serve_http(receiver):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            good = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
            taken = good and receiver.take(body, self.headers["x-tenant"])
            self.send_response(200 if taken else 503 if good else 400)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def serve_grpc(receiver):
    import grpc  # pylint: disable=import-outside-toplevel
    from concurrent import futures  # pylint: disable=import-outside-toplevel

    def export(body, context):
        metadata = dict(context.invocation_metadata())
        if not receiver.take(body, metadata.get("x-tenant")):
            context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        return b""

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            if handler_call_details.method != METHOD:
                return None
            return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("protocol", choices=("grpc", "http"))
    parser.add_argument("file")
    parser.add_argument("--refuse", type=int, default=0)
    parser.add_argument("--hang", action="store_true")
    arguments = parser.parse_args()
    receiver = Receiver(arguments.file, arguments.refuse, arguments.hang)
    (serve_grpc if arguments.protocol == "grpc" else serve_http)(receiver)


if __name__ == "__main__":
    sys.exit(main())
