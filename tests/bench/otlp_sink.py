# SPDX-License-Identifier: Apache-2.0
"""An OTLP collector over HTTP that counts the spans it is sent."""
import http.server
import threading


def fields(message):
    """(number, bytes) of the length-delimited fields of a protobuf message; others are stepped over."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 2:
            size = varint()
            yield key >> 3, message[at:at + size]
            at += size
        elif kind == 0:
            varint()
        else:
            at += 8 if kind == 1 else 4


def count_spans(request):
    """opentelemetry/proto/trace/v1: resource_spans 1, scope_spans 2, spans 2. Spans within a call have a parent."""
    found = 0
    for number, resource_spans in fields(request):
        if number != 1:
            continue
        for inner, scope_spans in fields(resource_spans):
            if inner != 2:
                continue
            for innermost, span in fields(scope_spans):
                # The call's own span is the one that says which model it asked for.
                found += innermost == 2 and b"gen_ai.request.model" in span
    return found


class OtlpSink:
    def __init__(self):
        sink = self
        self.spans = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path.endswith("/v1/traces"):
                    found = count_spans(memoryview(body).tobytes())
                    with sink.lock:
                        sink.spans += found
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
