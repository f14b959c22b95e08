"""A recorded log, undamaged, gives exactly the changes that were made while it was recorded."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from binlog_worker.log import dump
from schemas.errors import SourceUnavailable
from tests.corrupt import life
from tests.corrupt.recordings import LIVES, Line, Outcome, cut_out, read_stream
from tests.corrupt.recordings import life as recorded_life
from tests.dump_connection import framed


def changes(lines: list[Line]) -> Iterator[life.Change]:
    for line in lines:
        found = orjson.loads(line.line)
        table = line.table.removeprefix(f"{life.DATABASE}.")
        yield life.Change(found["op"], table, life.shown(found["before"]), life.shown(found["after"]))


def check(flavor: str, outcome: Outcome) -> None:
    assert list(changes(outcome.in_order())) == list(life.changes(flavor == "mariadb"))
    assert type(outcome.error) is SourceUnavailable, "nothing more was sent"


@pytest.mark.parametrize("ahead", [True, False], ids=["ordinary path", "general path"])
@pytest.mark.parametrize("receive_bytes", [1, 7, 100, 1_000, 4_096, 1 << 18])
@pytest.mark.parametrize(("flavor", "checksum"), LIVES)
def test_undamaged(
    flavor: str, checksum: str, receive_bytes: int, ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump, "RECEIVE_BYTES", receive_bytes)
    recording = recorded_life(flavor, checksum)
    check(flavor, read_stream(recording, recording.stream, ahead=ahead))


@pytest.mark.parametrize(("flavor", "checksum"), LIVES)
def test_both_paths_make_the_same_lines(flavor: str, checksum: str) -> None:
    recording = recorded_life(flavor, checksum)
    ahead, behind = (read_stream(recording, recording.stream, ahead=ahead) for ahead in (True, False))
    assert ahead.in_order() == behind.lines
    assert ahead.place == behind.place


@pytest.mark.parametrize(("flavor", "checksum"), LIVES)
def test_framing_has_an_inverse(flavor: str, checksum: str) -> None:
    recording = recorded_life(flavor, checksum)
    assert list(cut_out(framed(cut_out(recording.stream)))) == list(cut_out(recording.stream))
    assert len(framed(cut_out(recording.stream))) == len(recording.stream)
