# SPDX-License-Identifier: Apache-2.0
"""Requests that are no LLM call, the same again and again, and then calls on the same connections."""
import wire

HEALTH = b"GET /health HTTP/1.1\r\nhost: here\r\nuser-agent: a checker\r\n\r\n"
DEEP = b"GET /health?deep=1 HTTP/1.1\r\nhost: here\r\n\r\n"
POST = b"POST /orders HTTP/1.1\r\nhost: here\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nsame"
FINE = wire.reply(b'{"status":"fine"}')
TIMES, CONNECTIONS = 150, 10


def repeats(bench, tap, certs):
    """The calls come last: of a workload that serves calls every request is of interest."""
    model, problems = bench.model("repeats"), []
    before = bench.books(tap).total("llmtap_events_total")
    connections = [wire.Connection(certs) for _ in range(CONNECTIONS)]
    for other in (HEALTH, DEEP, POST):
        for _ in range(TIMES):
            for connection in connections:
                connection.exchange(other, FINE)
    # Each is two messages at two ends.
    most = 4 * 3 * TIMES * CONNECTIONS
    events = bench.books(tap).total("llmtap_events_total") - before
    if events > most / 2:
        problems.append(f"{events:.0f} events, of {most} messages that repeat: they are not skipped")
    for number, connection in enumerate(connections):
        connection.exchange(wire.request(model), wire.reply(wire.reply_body(model, number)))
        connection.exchange(POST, FINE)
        connection.exchange(wire.request(model), wire.reply(wire.reply_body(model, number)))
        connection.close()
    return problems + bench.wait_exact(tap, model, 2 * CONNECTIONS)


def plain(bench):
    tap = bench.tap()
    return repeats(bench, tap, None) + bench.end(tap)


def tls(bench):
    tap = bench.tap()
    return repeats(bench, tap, bench.certs) + bench.end(tap)


CASES = [("calls after repeats, plain", plain), ("calls after repeats, TLS", tls)]
