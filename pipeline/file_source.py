"""Files of change events → messages: the source of `replay`.

A file is what `binlog-worker run --to DIR` writes: schema lines, each followed by events of its table, and lines
that are messages by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam
import orjson

from pipeline.input_files import find_input
from schemas.event import Message

GROUP_BYTES = 4_000_000
"""How much of a file is one element of the graph, roughly; a single line is never cut."""

MAX_LINE_BYTES = 64_000_000
_SCHEMA = b'{"schema":{'
_LONE = (b'{"heartbeat"', b'{"reload"')
"""How lines begin that are messages by themselves."""


def find_files(patterns: Sequence[str]) -> list[str]:
    """Files, folders (their *.jsonl and *.json) and glob patterns → files. Raises UsageError."""
    return find_input(
        patterns,
        lambda name: name.endswith((".jsonl", ".json")),
        "no files of change events",
        "`binlog-worker run --to DIR` writes them",
    )


def parts(path: str) -> list[tuple[str, int, int]]:
    """(path, start, end) in bytes of the parts of a file; a part owns the lines that begin in it."""
    size = Path(path).stat().st_size
    return [(path, start, min(size, start + GROUP_BYTES)) for start in range(0, size, GROUP_BYTES)]


def messages_of(path: str, start: int, end: int, schema: bytes) -> Iterator[Message]:
    """The lines that begin from `start` to before `end`, as one message per run of events of one schema line.

    `schema` is the schema line in force at `start`. A message's id is file and byte offset.
    """
    with Path(path).open("rb") as file:
        if start:
            file.seek(start - 1)
            file.readline(MAX_LINE_BYTES)
        offset = file.tell()
        at = offset
        events: list[bytes] = []
        while offset < end:
            line = file.readline(MAX_LINE_BYTES)
            if not line:
                break
            text = line.rstrip(b"\r\n")
            head = text.startswith(_SCHEMA) and is_schema(text)
            alone = text.startswith((*_LONE, _SCHEMA)) or not schema
            if events and (head or alone):
                yield _message(path, at, [schema, *events])
                events = []
            if head:
                schema = text
            elif text and alone:
                yield _message(path, offset, [text])
            elif text:
                at = at if events else offset
                events.append(text)
            offset += len(line)
        if events:
            yield _message(path, at, [schema, *events])


def is_schema(line: bytes) -> bool:
    """Whether a line that begins as a schema is one: events of another Debezium may begin alike.

    One that is cut off counts as one too, so that its events are not taken for those of the schema before.
    """
    try:
        return "payload" not in orjson.loads(line)
    except orjson.JSONDecodeError:
        return True


def schema_lines(path: str, starts: Sequence[int]) -> list[bytes]:
    """The schema line in force at each of `starts` (ascending), read in one pass."""
    found, current, offset = [], b"", 0
    pending = list(starts)
    with Path(path).open("rb") as file:
        for line in file:
            while pending and pending[0] <= offset:
                found.append(current)
                pending.pop(0)
            if line.startswith(_SCHEMA) and is_schema(line):
                current = line.rstrip(b"\r\n")
            offset += len(line)
    return found + [current] * len(pending)


def _message(path: str, offset: int, lines: list[bytes]) -> Message:
    return Message(b"\n".join(lines), {}, f"{Path(path).resolve()}:{offset}")


class ReadFile(beam.DoFn):
    """(path, start, end, schema line) → one list of messages."""

    def process(self, part: tuple[str, int, int, bytes]) -> Iterator[list[Message]]:
        yield list(messages_of(*part))


def read_files(paths: Sequence[str]) -> beam.PTransform:
    """Reads files of change events; their parts may be read in any order."""
    listed = []
    for path in paths:
        cut = parts(path)
        schemas = schema_lines(path, [start for _, start, _ in cut])
        listed += [(*part, schema) for part, schema in zip(cut, schemas, strict=True)]
    return beam.Create(listed, reshuffle=False) | "ReadFile" >> beam.ParDo(ReadFile())
