"""Every byte of every event of a recorded log with checksums, with a bit of it flipped: a named error each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from binlog_worker.log import events
from schemas.errors import BadPosition, CorruptBinlog, Terminal, UnsupportedEvent
from tests.corrupt.damage import FIRST, before
from tests.corrupt.recordings import (
    FLAVORS,
    Outcome,
    Recording,
    a_reader,
    is_prefix,
    life,
    past_logs,
    read,
    right_lines,
    seen_schemas,
)
from tests.dump_connection import framed

ALGORITHM = 5
"""The byte of a FORMAT_DESCRIPTION, from its end, that says whether events have checksums."""

IN_USE = 17
"""The byte of an event's flags with the one that is no part of the checksum of a FORMAT_DESCRIPTION."""

KINDS = sorted((flavor, kind) for flavor in FLAVORS for kind in {event.kind for event in life(flavor, "crc32").events})


def damaged(recording: Recording, kind: int) -> Iterator[tuple[int, int, Outcome]]:
    """Index of an event, place in it, and what comes of it."""
    flavor = recording.flavor
    for index, event in enumerate(recording.events):
        if event.kind != kind or index < FIRST:
            continue
        place, raws = before(recording, index)
        for at in range(len(event.raw)):
            wrong = bytearray(event.raw)
            wrong[at] ^= 1 << (at + index) % 8
            stream = framed([*raws, bytes(wrong)])
            reader = a_reader(flavor, place, schemas=seen_schemas(flavor, "crc32"), past=past_logs(flavor, "crc32"))
            yield index, at, read(reader, flavor, stream)


@pytest.mark.parametrize(("flavor", "kind"), KINDS, ids=[f"{flavor}-{kind}" for flavor, kind in KINDS])
def test_flipped(flavor: str, kind: int) -> None:
    """Kinds by number: see `events.EVENT_KINDS`."""
    recording = life(flavor, "crc32")
    right = right_lines(recording)
    for index, at, outcome in damaged(recording, kind):
        event, error = recording.events[index], outcome.error
        if kind == events.FORMAT_DESCRIPTION and at == IN_USE and index % 8 == IN_USE % 8:
            continue
        where = f"event {index} of type {kind}, byte {at}: {error!r}"
        kinds = (BadPosition,) if index == FIRST else (CorruptBinlog, UnsupportedEvent)
        assert isinstance(error, kinds), where
        assert f"position {event.file}:{event.start}" in str(error), where
        assert is_prefix(outcome.in_order(), right), where


@pytest.mark.parametrize("index", range(FIRST), ids=["rotate", "format description"])
@pytest.mark.parametrize("checksum", ["crc32", "none"])
@pytest.mark.parametrize("flavor", FLAVORS)
def test_what_is_sent_first(flavor: str, checksum: str, index: int) -> None:
    """The server makes it up; whether there are checksums is not known yet. What is wrong in it is an error, or does
    not matter: then all is as if it were right."""
    recording = life(flavor, checksum)
    right = right_lines(recording)
    raws = [event.raw for event in recording.events]
    errors = 0
    for at in range(len(raws[index])):
        for bit in range(8) if len(raws[index]) - at == ALGORITHM else (at % 8,):
            wrong = bytearray(raws[index])
            wrong[at] ^= 1 << bit
            stream = framed([*raws[:index], bytes(wrong), *raws[index + 1 :]])
            outcome = read(a_reader(flavor, recording.begin), flavor, stream)
            where = f"byte {at}, bit {bit}: {outcome.error!r}"
            if isinstance(outcome.error, Terminal):
                errors += 1
                assert recording.begin.file in str(outcome.error), where
                assert outcome.in_order() == right[: len(outcome.lines)], where
            else:
                assert outcome.in_order() == right, where
    assert errors
