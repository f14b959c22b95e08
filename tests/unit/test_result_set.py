"""Answers of a server as bytes, whole and cut into pieces → arrays, or an error of ours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batch.answer import BUFFER_BYTES, Answer
from pipeline.batch.packets import LANES, LONGEST
from pipeline.batch.result_set import arrays
from schemas.errors import LtvError, SourceRefused, SourceUnavailable

Value = bytes | None
Row = Sequence[Value]

EOF, MORE, OK = b"\xfe\0\0\2\0", b"\xfe\0\0\x0a\0", b"\xfe\0\0\2\0\0\0"
ERR = b"\xff\x25\x05#70100Query execution was interrupted"


def length(size: int) -> bytes:
    if size < 251:
        return bytes((size,))
    mark, width = (b"\xfc", 2) if size < 1 << 16 else (b"\xfd", 3) if size < 1 << 24 else (b"\xfe", 8)
    return mark + size.to_bytes(width, "little")


def payload(row: Row) -> bytes:
    return b"".join(b"\xfb" if value is None else length(len(value)) + value for value in row)


def packets(payloads: Sequence[bytes], first: int = 1) -> bytes:
    """As a server writes them: a payload of 2**24 - 1 bytes, or more, goes on in the next packet."""
    out, number = bytearray(), first
    for whole in payloads:
        for start in range(0, len(whole) + 1, LONGEST):
            part = whole[start : start + LONGEST]
            out += len(part).to_bytes(3, "little") + bytes((number & 0xFF,)) + part
            number += 1
    return bytes(out)


def answer(rows: Sequence[Row], *end: bytes, columns: int | None = None, ok: bool = False) -> bytes:
    count = columns or len(rows[0])
    definitions = [b"\3def"] * count + ([] if ok else [EOF])
    return packets([length(count), *definitions, *map(payload, rows), *(end or (OK if ok else EOF,))])


class Wire:
    """Gives the bytes of an answer in pieces of the `sizes`, over and over, and then nothing more."""

    def __init__(self, sent: bytes, sizes: Sequence[int], ok: bool) -> None:
        self.ends_with_ok, self.finished = ok, False
        self._sent, self._at, self._sizes = memoryview(sent), 0, cycle(sizes)

    def receive_into(self, room: memoryview) -> int:
        part = self._sent[self._at : self._at + min(len(room), next(self._sizes))]
        assert len(room) and len(part), "the reader waits for what will never come"
        room[: len(part)] = part
        self._at += len(part)
        return len(part)

    @property
    def received(self) -> int:
        return self._at

    def refusal(self, packet: bytes) -> LtvError:
        self.finish()
        return SourceRefused(packet[9:].decode())

    def finish(self) -> None:
        self.finished = True


def read(sent: bytes, *sizes: int, ok: bool = False, buffer: int = BUFFER_BYTES) -> list[tuple[Value, ...]]:
    wire = Wire(sent, sizes or (1 << 20,), ok)
    whole = Answer(wire, buffer_bytes=buffer)
    columns = whole.columns()
    found: list[tuple[Value, ...]] = []
    for rows in whole.rows():
        found += zip(*(array.to_pylist() for array in arrays(rows, columns)), strict=True)
    assert wire.finished
    return found


BOUNDARIES = [0, 1, 250, 251, 252, 65_535, 65_536, 65_537]


@pytest.mark.parametrize("ok", [False, True])
def test_every_length_of_a_length(ok: bool) -> None:
    rows = [(b"x" * size, None, b"\xfe" * (size % 7), b"y" * after) for size in BOUNDARIES for after in BOUNDARIES]
    sent = answer(rows, ok=ok)
    for sizes in ((1 << 20,), (1_448, 3, 65_536), (16_384,)):
        assert read(sent, *sizes, ok=ok) == rows


@pytest.mark.parametrize("size", [LONGEST - 6, LONGEST - 5, LONGEST - 4, LONGEST, LONGEST + 1, 2 * LONGEST - 10])
def test_rows_of_16_mb_and_more(size: int) -> None:
    """A row of exactly 2**24 - 1 bytes, or a multiple, has an empty packet behind it."""
    rows = [(b"1", b"a"), (b"2", bytes(size)), (None, b"\xff" * 9), (b"4", b"b" * (size - 1)), (b"5", b"")]
    assert read(answer(rows)) == rows


def test_a_row_that_is_as_long_as_two_whole_packets() -> None:
    rows = [(b"x" * (2 * LONGEST - 9),), (b"\xff\xff\xff",)]
    assert len(payload(rows[0])) == 2 * LONGEST
    assert read(answer(rows), 1 << 22) == rows


def test_no_rows() -> None:
    assert read(answer([], columns=3)) == []
    assert read(answer([], columns=300, ok=True), 1, ok=True) == []


VALUES = st.none() | st.binary(max_size=12) | st.binary(min_size=245, max_size=260)


@settings(deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[VALUES] * width), min_size=1, max_size=40)),
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
    st.booleans(),
)
def test_any_rows_in_any_pieces(rows: list[Row], sizes: list[int], ok: bool) -> None:
    assert read(answer(rows, ok=ok), *sizes, ok=ok, buffer=64) == rows


LOOKS_LIKE_AN_END = [packets([EOF], number) for number in range(256)] + [packets([ERR], 7), b"\xff", b"\xfe"]


@pytest.mark.parametrize("sizes", [(7,), (100, 1), (1_000,)])
def test_values_that_look_like_the_end(sizes: tuple[int, ...]) -> None:
    rows = [(value, str(number).encode()) for number, value in enumerate(LOOKS_LIKE_AN_END)]
    assert read(answer(rows), *sizes) == rows
    assert read(answer([row[::-1] for row in rows]), *sizes) == [row[::-1] for row in rows]


def in_many_parts(kind: str, count: int) -> list[Row]:
    """Enough that they are split at many places at once; some look like packets inside."""
    if kind == "alike":
        return [(str(number).encode(), b"paid", None, b"2022-01-13 10:00:00") for number in range(count)]
    if kind == "zeros":
        return [(bytes(number % 60), b"\0\0\0\1" * (number % 9)) for number in range(count)]
    if kind == "packets in packets":
        inside = packets([b"abc", b"", b"\1\0\0"] * 3, 250)
        return [(inside[number % 12 :], str(number).encode()) for number in range(count)]
    return [(b"z" * (number % 50_000 if number % 500 == 0 else number % 23),) for number in range(count)]


@pytest.mark.parametrize("kind", ["alike", "zeros", "packets in packets", "of very different sizes"])
def test_many_rows_at_once(kind: str) -> None:
    rows = in_many_parts(kind, 60_000)
    sent = answer(rows)
    assert len(sent) > LANES * 4_000
    assert read(sent, 300_000) == rows
    assert read(sent, 1_000_003, 5) == rows


@pytest.mark.parametrize("before", [0, 1, 5_000])
def test_an_error_in_the_middle(before: int) -> None:
    sent = answer([(b"1", b"x" * 40)] * before, ERR, columns=2)
    for sizes in ((1 << 20,), (11,)):
        with pytest.raises(SourceRefused, match="interrupted"):
            read(sent, *sizes)


def test_an_error_in_place_of_an_answer() -> None:
    with pytest.raises(SourceRefused, match="interrupted"):
        read(packets([ERR]))


def test_the_farewell_of_a_server_that_shuts_down() -> None:
    """MariaDB gives that packet the number 0."""
    whole = answer([(b"1",)] * 3)
    with pytest.raises(SourceRefused, match="interrupted"):
        read(whole[: -len(packets([EOF]))] + packets([ERR], 0))


def test_a_statement_without_a_result() -> None:
    with pytest.raises(SourceRefused, match="no result"):
        read(packets([b"\0\0\0\2\0\0\0"]))


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (answer([(b"1",)], MORE), "more than one"),
        (answer([(b"1",), (b"2",)], EOF, EOF), "longer than its row"),
        (packets([b"\1", b"\3def", b"\3def", b"\1" + b"1", EOF]), "no end of the column definitions"),
        (packets([b"\2", b"\3def", b"\3def", EOF, b"\1" + b"1", EOF]), "too few"),
        (packets([b"\1", b"\3def", EOF, b"\1" + b"1" + b"\1" + b"2", EOF]), "too many"),
        (packets([b"\1", b"\3def", EOF, b"\5" + b"1", EOF]), "longer than its row"),
        (packets([b"\1", b"\3def", EOF, b"\xfc\x05", b"\1" + b"1", EOF]), "longer than its row"),
        (packets([b"\1", b"\3def", EOF, b"\xfd\xff\xff\xff" + b"1", EOF]), "longer than its row"),
        (packets([b"\1", b"\3def", EOF]) + packets([b"\1" + b"1", EOF], 9), "count up"),
        (packets([b"\1"]) + packets([b"\3def", EOF], 5), "instead of"),
    ],
)  # fmt: skip
def test_what_is_no_answer(sent: bytes, what: str) -> None:
    with pytest.raises(SourceUnavailable, match=what):
        read(sent)


def test_no_more_is_received_than_is_asked_for() -> None:
    sent = answer([(b"v" * 100,)] * 10_000)
    wire = Wire(sent, (3_000,), False)
    whole = Answer(wire, buffer_bytes=64_000)
    pieces = whole.rows() if whole.columns() else iter(())
    for number in range(1, 6):
        next(pieces)
        assert wire.received < number * 64_000 + 100 < len(sent)


def test_a_long_row_leaves_no_large_buffer_behind() -> None:
    rows = [(b"a" * 100,)] * 1_000
    whole = Answer(Wire(answer([*rows, (bytes(5_000_000),), *rows * 100]), (64_000,), False), buffer_bytes=64_000)
    assert whole.columns() == 1
    sizes = [whole.buffer_size for _ in whole.rows()]
    assert max(sizes) > 5_000_000 and sizes[-1] == 64_000


def test_arrays_own_their_bytes() -> None:
    """The buffer that they come from is used again."""
    wire = Wire(answer([(str(number).encode(), b"v" * 100) for number in range(3_000)]), (50_000,), False)
    whole = Answer(wire, buffer_bytes=64_000)
    columns = whole.columns()
    kept = [arrays(rows, columns)[0] for rows in whole.rows()]
    assert len(kept) > 3
    assert pa.concat_arrays(kept).to_pylist() == [str(number).encode() for number in range(3_000)]
