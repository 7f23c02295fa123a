# SPDX-License-Identifier: Apache-2.0
"""What a recording becomes when it is changed: one record missing or out of order touches one call, and
a wall clock that was set touches none."""
import collections
import json
import signal
import struct

import wire
from case import lines_with
from compare import samples
from endings import recording
from harness import Failure

HEADER = struct.Struct("<QIHHIIQ")  # struct llmtap_event_hdr
DATA_FIELDS = struct.Struct("<QQIIIBBBB")  # the rest of struct llmtap_data_event
CLOCK_FIELDS = struct.Struct("<QQ")  # boottime, realtime
FILE_HEADER_BYTES, DATA, CLOCK, READ = 32, 1, 7, 0
CHUNKS, HOUR_NS = 30, 3600 * 10**9


def records_of(path):
    data, at, records = path.read_bytes(), FILE_HEADER_BYTES, []
    while at + HEADER.size <= len(data):
        size = HEADER.unpack_from(data, at)[1]
        end = at + size + (-size % 8)
        records.append(data[at:end])
        at = end
    return data[:FILE_HEADER_BYTES], records


def kind_of(record):
    return HEADER.unpack_from(record)[2]


def stream(connection, model, number):
    """One call whose answer comes in many writes."""
    def event(value):
        text = b"data: " + value + b"\n\n"
        wire.move(connection.server, connection.client, f"{len(text):x}\r\n".encode() + text + b"\r\n")

    def chunk(delta, **more):
        return json.dumps({"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "model": model, "choices": delta, **more}).encode()
    wire.move(connection.client, connection.server, wire.request(model, wire.body_of(model, stream=True)))
    wire.move(connection.server, connection.client, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(CHUNKS):
        event(chunk([{"index": 0, "delta": {"content": "ho"}}]))
    event(chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    event(chunk([], usage={"prompt_tokens": 7, "completion_tokens": CHUNKS, "total_tokens": 7 + CHUNKS}))
    event(b"[DONE]")
    wire.move(connection.server, connection.client, b"0\r\n\r\n")


class Recording:
    def __init__(self, bench):
        self.bench, self.number = bench, 0
        path, self.model = bench.folder / "a.events", bench.model("changed")
        process = recording(bench, path)
        for pair in range(2):
            with wire.Connection(bench.certs if pair else None) as connection:
                for number in range(3):
                    stream(connection, self.model, 10 * pair + number)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        self.head, self.records = records_of(path)

    def replayed(self, records):
        """({(direction, id): line}, metrics) of these records; whatever is reported twice is an error."""
        self.number += 1
        path, log = self.bench.folder / f"{self.number}.events", self.bench.folder / f"{self.number}.jsonl"
        path.write_bytes(self.head + b"".join(records))
        status, text, metrics = self.bench.command("replay", "--metrics", "--log-requests", log, path)
        if status:
            raise Failure(f"replay ended with {status}: {text}")
        lines = lines_with(log, self.model)
        calls = {(line["direction"], line.get("response_id")): line for line in lines}
        if len(calls) != len(lines):
            raise Failure(f"{len(lines)} lines of {len(calls)} calls")
        return calls, list(samples(metrics))

    def chunks(self):
        """Places of the records that hold a content event, by the call they belong to."""
        places = collections.defaultdict(list)
        for place, record in enumerate(self.records):
            if kind_of(record) != DATA:
                continue
            payload = record[HEADER.size + DATA_FIELDS.size:]
            direction = DATA_FIELDS.unpack_from(record, HEADER.size)[5]
            for number in (0, 1, 2, 10, 11, 12):
                # Both the model and the id: other programs of this machine talk too.
                if f'"id": "chatcmpl-{number}"'.encode() in payload and self.model.encode() in payload and b'"ho"' in payload:
                    places["outbound" if direction == READ else "inbound", f"chatcmpl-{number}"].append(place)
        return places


def one_record_touches_one_call(bench):
    tape, problems = Recording(bench), []
    whole, _ = tape.replayed(tape.records)
    places = tape.chunks()
    if len(whole) != 12 or any(line.get("incomplete") or line.get("output_tokens") != CHUNKS for line in whole.values()):
        return [f"the recording is not whole: {[(key, line.get('incomplete'), line.get('output_tokens')) for key, line in whole.items()]}"]
    if set(places) != set(whole) or any(len(mine) < CHUNKS for mine in places.values()):
        return [f"records by call: { {key: len(mine) for key, mine in places.items()} }"]

    def dropped(first, _):
        return [record for place, record in enumerate(tape.records) if place != first]

    def swapped(first, second):
        records = list(tape.records)
        records[first], records[second] = records[second], records[first]
        return records
    for change in (dropped, swapped):
        for key, mine in places.items():
            for at in (0, CHUNKS // 2, CHUNKS - 2):
                name = f"{change.__name__} {at} of {key}"
                calls, _ = tape.replayed(change(mine[at], mine[at + 1]))
                if at == 0 and (key[0], None) in calls:
                    # With the size line of a chunk what is behind it is lost, here all events with an id.
                    calls[key] = calls.pop((key[0], None), {})
                if set(calls) != set(whole):
                    problems.append(f"{name}: calls {set(calls) ^ set(whole)} came or went")
                    continue
                if calls[key].get("incomplete") != "lost_segment" or calls[key]["outcome"] != "ok":
                    problems.append(f"{name}: it says {calls[key]['outcome']}, {calls[key].get('incomplete')}")
                touched = {other: sorted(field for field in line.keys() | calls[other].keys() if line.get(field) != calls[other].get(field))
                           for other, line in whole.items() if other != key and calls[other] != line}
                if touched:
                    problems.append(f"{name}: others changed: {touched}")
    return problems


def the_wall_clock_is_set(bench):
    """An hour forward in mid-stream, and back: no duration knows of it."""
    tape, problems = Recording(bench), []
    whole, before = tape.replayed(tape.records)
    middle = tape.chunks()["outbound", "chatcmpl-1"][CHUNKS // 2]
    for step in (HOUR_NS, -HOUR_NS):
        records, seen = [], 0
        for place, record in enumerate(tape.records):
            if kind_of(record) == CLOCK and place > middle:
                boot, real = CLOCK_FIELDS.unpack_from(record, HEADER.size)
                record, seen = record[:HEADER.size] + CLOCK_FIELDS.pack(boot, real + step), seen + 1
            records.append(record)
        if not seen:
            # A short recording: the clock is read once more, as capture would have.
            return ["no clock event after the middle of the stream: this test sees nothing"]
        calls, after = tape.replayed(records)
        if set(calls) != set(whole):
            problems.append(f"calls {set(calls) ^ set(whole)} came or went")
        for key, line in whole.items():
            times = {field for field in line if field.endswith("_ms") or field in ("incomplete", "outcome", "output_tokens")}
            changed = sorted(field for field in times if calls.get(key, {}).get(field) != line[field])
            if changed:
                problems.append(f"{key}: {changed} changed with the wall clock")
        counts = [sum(value for name, _, value in found if name == "llmtap_clock_steps_total") for found in (before, after)]
        if counts != [0, 1]:
            problems.append(f"clock steps counted without and with one: {counts}")
    return problems


CASES = [("one record that is missing or late touches one call", one_record_touches_one_call),
         ("the wall clock is set in mid-stream", the_wall_clock_is_set)]
