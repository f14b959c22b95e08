"""Values from packed bytes, checked against packers written here from the documented layouts."""

from __future__ import annotations

import contextlib
import math
import struct
import zlib
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.charsets import text_decoder
from binlog_worker.decoding.column_compression import decompressed
from binlog_worker.decoding.decimals import decimal_size, decimal_text
from binlog_worker.decoding.floats import vector
from binlog_worker.decoding.json_text import double_text, json_text
from binlog_worker.decoding.network_addresses import inet4_text, inet6_text, uuid_text
from binlog_worker.decoding.table_map import Column
from binlog_worker.decoding.temporal import time_text, timestamp_text
from binlog_worker.decoding.values import value_decoder, value_size, value_skipper
from schemas.charset_codecs import decoder_of
from schemas.errors import UnsupportedColumn
from schemas.singles import shortest_single


def packed_decimal(text: str, precision: int, scale: int) -> bytes:
    """Nine digits in four bytes; leftover digits at the outer ends; sign in the first bit, negative ones inverted."""
    whole, _, fraction = text.lstrip("-").partition(".")
    whole = whole.zfill(precision - scale) if precision > scale else ""
    out = b""
    first = len(whole) % 9
    for digits in [
        whole[:first],
        *(whole[i : i + 9] for i in range(first, len(whole), 9)),
        *(fraction[i : i + 9] for i in range(0, scale, 9)),
    ]:
        if digits:
            out += int(digits).to_bytes((0, 1, 1, 2, 2, 3, 3, 4, 4, 4)[len(digits)], "big")
    if text.startswith("-"):
        out = bytes(byte ^ 0xFF for byte in out)
    return bytes((out[0] ^ 0x80,)) + out[1:]


@st.composite
def decimals(draw: st.DrawFn) -> tuple[str, int, int]:
    precision = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(30, precision)))
    number = draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    return _text(number, scale), precision, scale


def _text(number: int, scale: int) -> str:
    if not scale:
        return str(number)
    digits = str(abs(number)).zfill(scale + 1)
    return f"{'-' if number < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


@given(decimals())
def test_decimal(case: tuple[str, int, int]) -> None:
    text, precision, scale = case
    packed = packed_decimal(text, precision, scale)
    assert len(packed) == decimal_size(precision, scale)
    assert decimal_text(packed, precision, scale) == text


def test_money() -> None:
    for text in ("150.00", "-0.05", "0.00", "9999999999.99", "-9999999999.99"):
        assert decimal_text(packed_decimal(text, 12, 2), 12, 2) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_double_text_reads_back_equal(number: float) -> None:
    assert struct.pack("<d", float(double_text(number))) == struct.pack("<d", number)


def digits_of(number: float) -> tuple[int, ...]:
    return Decimal(repr(number)).normalize().as_tuple().digits


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
@example(999999986991104.0)
def test_single_reads_back_as_the_same_bytes(number: float) -> None:
    found = shortest_single(number)
    assert struct.pack("<f", found) == struct.pack("<f", number)
    assert len(digits_of(found)) <= min(9, len(digits_of(number)))


COLUMNS = [
    (Column("c", t.TINY, unsigned=False), b"\xff", -1),
    (Column("c", t.TINY, unsigned=True), b"\xff", 255),
    (Column("c", t.INT24, unsigned=False), b"\x00\x00\x80", -8388608),
    (Column("c", t.INT24, unsigned=True), b"\x00\x00\x80", 8388608),
    (Column("c", t.BIGINT, unsigned=True), b"\xff" * 8, 2**64 - 1),
    (Column("c", t.YEAR), b"\x00", 0),
    (Column("c", t.YEAR), b"\x7a", 2022),
    (Column("c", t.BIT, 2, 11), b"\x04\x01", 1025),
    (Column("c", t.DATE), (2022 << 9 | 0 << 5 | 10).to_bytes(3, "little"), "2022-00-10"),
    (Column("c", t.DATE), b"\0\0\0", "0000-00-00"),
    (Column("c", t.DATETIME), b"\x80\0\0\0\0", "0000-00-00T00:00:00.000000"),
    (Column("c", t.TIMESTAMP, 3), bytes(6), "0000-00-00T00:00:00.000000Z"),
    (Column("c", t.TIMESTAMP, 3), struct.pack(">IH", 1_642_068_000, 1230), "2022-01-13T10:00:00.123000Z"),
    (Column("c", t.TIME), b"\x80\0\0", "00:00:00.000000"),
    (Column("c", t.TIME), (0x800000 - (838 << 12 | 59 << 6 | 59)).to_bytes(3, "big"), "-838:59:59.000000"),
    (Column("c", t.TIME, 1), (0x80000000 - 40).to_bytes(4, "big"), "-00:00:00.400000"),
    (Column("c", t.ENUM, 1, labels=("a", "b")), b"\x00", ""),
    (Column("c", t.ENUM, 2, labels=("a", "b")), b"\x02\x00", "b"),
    (Column("c", t.SET, 1, labels=("a", "b", "c")), b"\x05", ["a", "c"]),
    (Column("c", t.STRING, 5, collation=63), b"\x02\x01\x00", "AQAAAAA="),
    (Column("c", t.VARCHAR, 300, collation=63), b"\x02\x00\x01\x00", "AQA="),
    (Column("c", t.VARCHAR, 20, collation=8), b"\x02\xe9\x81", "é\x81"),
    (Column("c", t.VARCHAR, 300, collation=45), b"\x02\x00\xc3\xa9", "é"),
    (Column("c", t.BLOB, 3, collation=63), b"\x01\x00\x00\xff", "/w=="),
    (Column("c", t.GEOMETRY, 4), b"\x0a\0\0\0" + b"\xe6\x10\0\0" + b"\x01\x01\0\0\0\xff", "AQEAAAD/"),
    (Column("c", t.JSON, 4), b"\x03\0\0\0" + b"\x05\xff\xff", "-1"),
    (Column("c", t.GEOMETRY, 4), b"\0\0\0\0", ""),
    (Column("c", t.VECTOR, 4), b"\x08\0\0\0" + struct.pack("<2f", 0.1, -1.5), [0.1, -1.5]),
    (Column("c", t.MARIADB_VECTOR, 8, collation=63), b"\x08" + struct.pack("<2f", 0.1, -1.5), [0.1, -1.5]),
    (Column("c", t.MARIADB_VECTOR, 256, collation=63), b"\x04\x00" + struct.pack("<f", 3.4028235e38), [3.40282347e38]),
    (Column("c", t.UUID, 16, collation=63), b"\x02\x12\x34", "12340000-0000-0000-0000-000000000000"),
    (Column("c", t.INET4, 4, collation=63), b"\x01\x7f", "127.0.0.0"),
    (Column("c", t.INET6, 16, collation=63), b"\x00", "::"),
    (Column("c", t.COMPRESSED_VARCHAR, 21, collation=45), b"\x03\0\xc3\xa9", "é"),
    (Column("c", t.COMPRESSED_VARCHAR, 256, collation=8), b"\x02\0" + b"\0\xe9", "é"),
    (Column("c", t.COMPRESSED_BLOB, 2, collation=63), b"\x00\x00", ""),
    (Column("c", t.TIME_53), (-123456).to_bytes(3, "little", signed=True), "-12:34:56.000000"),
    (Column("c", t.TIME_53, 1), (30204000 - 452961).to_bytes(4, "big"), "-12:34:56.100000"),
    (Column("c", t.TIME_53, 6), (3020400000000 + 1).to_bytes(6, "big"), "00:00:00.000001"),
    (Column("c", t.DATETIME_53), (20220113101112).to_bytes(8, "little"), "2022-01-13T10:11:12.000000"),
    (Column("c", t.DATETIME_53), bytes(8), "0000-00-00T00:00:00.000000"),
    (Column("c", t.DATETIME_53, 1), bytes.fromhex("00a938551b89"), "2022-01-13T10:11:12.900000"),
    (Column("c", t.TIMESTAMP_53), bytes.fromhex("c0fadf61"), "2022-01-13T10:11:12.000000Z"),
    (Column("c", t.TIMESTAMP_53, 2), bytes.fromhex("61dffac062"), "2022-01-13T10:11:12.980000Z"),
    (Column("c", t.TIMESTAMP_53, 4), bytes(6), "0000-00-00T00:00:00.000000Z"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "data", "value"), COLUMNS)
def test_value_and_position(column: Column, data: bytes, value: object) -> None:
    assert value_decoder(column)(b"\xee" + data + b"\xee", 1) == (value, 1 + len(data))
    assert value_skipper(column)(b"\xee" + data + b"\xee", 1) == (None, 1 + len(data))


@pytest.mark.parametrize(
    ("column", "data"),
    [
        (Column("c", t.ENUM, 1, labels=("a",)), b"\x02"),
        (Column("c", t.SET, 1, labels=("a",)), b"\x02"),
        (Column("c", t.VARCHAR, 20, collation=45), b"\x01\xff"),
        (Column("c", t.VARCHAR, 20, collation=65), b"\x01\xff"),
        (Column("c", t.GEOMETRY, 1), b"\x03abc"),
        (Column("c", t.JSON, 1), b"\x02\x0f\x99"),
        (Column("c", t.FLOAT), struct.pack("<f", float("inf"))),
        (Column("c", t.DOUBLE), struct.pack("<d", float("nan"))),
        (Column("c", t.VECTOR, 1), b"\x04" + struct.pack("<f", float("-inf"))),
        (Column("c", t.VECTOR, 1), b"\x03abc"),
        (Column("c", t.UUID, 17, collation=63), b"\x11" + bytes(17)),
        (Column("c", t.STRING, 5, collation=63), b"\x06abcdef"),
        (Column("c", t.BIT, 2, 11), b"\x08\x00"),
        (Column("c", t.DATE), (2022 << 9 | 13 << 5 | 1).to_bytes(3, "little")),
        (Column("c", t.DATE), (12022 << 9 | 1 << 5 | 1).to_bytes(3, "little")),
        (Column("c", t.DATETIME), (1 << 39 | 24 << 12).to_bytes(5, "big")),
        (Column("c", t.DATETIME, 2), (1 << 47 | 100).to_bytes(6, "big")),
        (Column("c", t.DATETIME), b"\x7f\0\0\0\0"),
        (Column("c", t.TIMESTAMP, 6), struct.pack(">I", 5) + b"\xff\xff\xff"),
        (Column("c", t.TIME), (0x800000 + (839 << 12)).to_bytes(3, "big")),
        (Column("c", t.TIME), (0x800000 + 60).to_bytes(3, "big")),
        (Column("c", t.TIME_53), (1060).to_bytes(3, "little")),
        (Column("c", t.DATETIME_53), (20221301000000).to_bytes(8, "little")),
        (Column("c", t.DATETIME_53), (20220132000000).to_bytes(8, "little")),
        (Column("c", t.DATETIME_53), (20220101240000).to_bytes(8, "little")),
        (Column("c", t.DECIMAL, 12, 2), b"\xff" * 6),
        (Column("c", t.DECIMAL, 12, 2), b"\x80\0\0\0\0\x64"),
        (Column("c", t.DECIMAL, 20, 0), b"\x80\x3b\x9a\xca\x00\0\0\0\0"),
    ],
)
def test_bytes_that_are_no_value_raise(column: Column, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        value_decoder(column)(data, 0)


REFUSED = [
    Column("c", t.LOOKALIKE, 16, collation=63),
    Column("c", t.OLD_DATETIME),
    Column("c", 200),
    Column("c", t.LONG),
    Column("c", t.ENUM, 1),
    Column("c", t.VARCHAR, 10),
    Column("c", t.VARCHAR, 10, collation=9999),
]


@pytest.mark.parametrize("column", REFUSED)
def test_refused_by_name(column: Column) -> None:
    with pytest.raises(UnsupportedColumn, match="column c") as raised:
        value_decoder(column)
    assert raised.value.hint


def test_length_must_be_known_to_pass_over_a_column() -> None:
    assert value_skipper(Column("c", t.LOOKALIKE, 16, collation=63))(b"\x02ab", 0) == (None, 3)
    for kind in (t.OLD_DATETIME, 200):
        with pytest.raises(UnsupportedColumn):
            value_skipper(Column("c", kind))


@given(st.binary(max_size=60))
def test_json_of_any_bytes_raises_or_answers(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(json_text(data), str)


def array(*members: bytes) -> bytes:
    """A JSON array of small arrays."""
    ends = accumulate(map(len, members), initial=4 + 3 * len(members))
    entries = b"".join(b"\2" + end.to_bytes(2, "little") for end, _ in zip(ends, members, strict=False))
    return len(members).to_bytes(2, "little") + bytes(2) + entries + b"".join(members)


def test_json_nested_too_deeply() -> None:
    document = array()
    for _ in range(99):
        document = array(document)
    assert json_text(b"\2" + document) == "[" * 100 + "]" * 100
    with pytest.raises(ValueError, match="deep"):
        json_text(b"\2" + array(array(document)))


LOOP = b"\x02\x01\x00\x07\x00\x02\x00\x00"
TWICE = b"\x02\x02\0\0\0" + b"\x02\x0a\0" * 2 + array(array(), array())
SAME_KEY = b"\0" + (200).to_bytes(2, "little") + bytes(2) + (4).to_bytes(2, "little") * 400 + b"\4\0\0" * 200
DOUBLING = b"\2" + b"".join(b"\2\0\0\0" + b"\2\x0a\0" * 2 for _ in range(90)) + bytes(4)
"""An array that contains itself; one in which two members are the same; an object whose keys are; and arrays of twice
the next one, which would be 2**90 members."""


@pytest.mark.parametrize("document", [LOOP, TWICE, SAME_KEY, DOUBLING], ids=["loop", "twice", "key", "doubling"])
def test_json_is_not_longer_than_its_bytes(document: bytes) -> None:
    with pytest.raises(ValueError, match="values overlap"):
        json_text(document)


def test_json_length_without_an_end() -> None:
    with pytest.raises(ValueError, match="a length without an end"):
        json_text(b"\x0c" + b"\xff" * 1_000_000)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_has_no_such_number(number: float) -> None:
    with pytest.raises(ValueError, match="is no number"):
        json_text(b"\x0b" + struct.pack("<d", number))


def test_times() -> None:
    assert time_text(-((838 << 12 | 59 << 6 | 59) << 24)) == "-838:59:59.000000"
    assert timestamp_text(2**32 - 1, 999999) == "2106-02-07T06:28:15.999999Z"


def test_japanese_and_chinese_exceptions() -> None:
    assert text_decoder(13)(b"\x81\x5f\\") == "\\\\"
    assert text_decoder(1)(b"\xf9\xd6A") == "碁A"
    assert text_decoder(12)(b"\xf5\xa1\x8f\xf5\xa1") == "\ue000\ue3ac"
    assert text_decoder(248)(b"\xa8\xbc") == "ḿ"
    with pytest.raises(UnicodeDecodeError):
        text_decoder(1)(b"\xf9\xdd")


@pytest.mark.parametrize(
    ("charset", "raw"),
    [
        ("ucs2", b"\xd8\x3d\xde\x00"),
        ("cp932", b"\x80"),
        ("cp932", b"a\xff"),
        ("eucjpms", b"\xad"),
        ("eucjpms", b"\x8f\xf4"),
        ("eucjpms", b"\xad\xfe"),
        ("geostd8", b"\x81"),
        ("utf8mb3", b"\xed\xa0\x80"),
        ("utf16", b"\xd8\x3d"),
        ("tis620", b"\xa0"),
    ],
)
def test_bytes_that_are_no_text_raise(charset: str, raw: bytes) -> None:
    decode = decoder_of(charset)
    assert decode is not None
    with pytest.raises(ValueError, match=r"."):
        decode(raw)


def test_the_full_width_tilde_of_eucjpms_is_not_the_ascii_one() -> None:
    assert text_decoder(97)(b"~\x8f\xa2\xb7\xa1\xc1") == "~\uff5e\uff5e"


def test_addresses() -> None:
    """As MariaDB prints them: `::` for a single zero group too, and the first of the longest."""
    found = {raw: inet6_text(bytes.fromhex(raw)) for raw in (
        "20010db8000000000000000000000001", "00010000000200000003000000040000", "00000000000000000000000000000001",
        "0000000000000000000000007f000001", "00000000000000000000ffff7f000001", "0001000200030004000500060007abcd",
        "00000000000100000000000100000000",
    )}  # fmt: skip
    assert list(found.values()) == [
        "2001:db8::1", "1::2:0:3:0:4:0", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "1:2:3:4:5:6:7:abcd",
        "::1:0:0:1:0:0",
    ]  # fmt: skip
    assert inet4_text(b"\xff\x00\x01") == "255.0.1.0"
    assert uuid_text(bytes(range(16))) == "00010203-0405-0607-0809-0a0b0c0d0e0f"


@given(st.binary(max_size=300), st.booleans())
def test_compressed_value(data: bytes, framed: bool) -> None:
    head = bytes((0x80 | (0 if framed else 8) | 2,)) + len(data).to_bytes(2, "big")
    stream = zlib.compressobj(wbits=15 if framed else -15)
    packed = head + stream.compress(data) + stream.flush()
    assert decompressed(packed) == data
    assert decompressed(b"\0" + data) == data
    for broken in (packed[:-1], packed + b"\0", packed[:2] + b"\xff" + packed[3:], b"\x90" + packed[1:]):
        with pytest.raises(ValueError, match=r"compress"):
            decompressed(broken)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=20))
def test_vector(numbers: list[float]) -> None:
    packed = struct.pack(f"<{len(numbers)}f", *numbers)
    assert struct.pack(f"<{len(numbers)}f", *vector(packed)) == packed


def test_old_times_have_the_length_that_the_catalogue_says() -> None:
    sizes = {kind: [value_size(Column("c", kind, digits)) for digits in range(7)] for kind in
             (t.TIME_53, t.DATETIME_53, t.TIMESTAMP_53)}  # fmt: skip
    assert sizes == {
        t.TIME_53: [3, 4, 4, 5, 5, 5, 6],
        t.DATETIME_53: [8, 6, 6, 7, 7, 7, 8],
        t.TIMESTAMP_53: [4, 5, 5, 6, 6, 7, 7],
    }
