"""Generated row decoders give what the decoders of the single values give, for any layout, NULLs and columns kept."""

from __future__ import annotations

import struct
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binlog_worker.decoding import row_code
from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.decimals import decimal_size
from binlog_worker.decoding.row_code import BAD_IMAGE, RowCode, Texts
from binlog_worker.decoding.table_map import Column, TableLayout
from binlog_worker.decoding.values import value_decoder

UTF8, LATIN1, BYTES = 45, 8, 63


def packed_decimal(value: int, precision: int, scale: int) -> bytes:
    """`value` in units of the last digit, as the server packs it (MySQL source documentation "decimal2bin")."""
    digits = f"{abs(value):0{precision}d}"
    whole, fraction = digits[: precision - scale], digits[precision - scale :]
    sizes = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
    groups = [whole[: len(whole) % 9], *(whole[at : at + 9] for at in range(len(whole) % 9, len(whole), 9))]
    groups += [fraction[at : at + 9] for at in range(0, len(fraction), 9)]
    raw = b"".join(int(group).to_bytes(sizes[len(group)], "big") for group in groups if group)
    if value < 0:
        raw = bytes(byte ^ 255 for byte in raw)
    return bytes((raw[0] ^ 128,)) + raw[1:]


def decimal_value(draw: Any, column: Column) -> bytes:
    most = 10**column.a - 1
    return packed_decimal(draw(st.integers(-most, most)), column.a, column.b)


def text_value(draw: Any, column: Column) -> bytes:
    raw = draw(st.text(max_size=20)).encode()
    return len(raw).to_bytes(1 if column.a < 256 else 2, "little") + raw


def bytes_value(draw: Any, column: Column) -> bytes:
    raw = draw(st.binary(max_size=20))
    return len(raw).to_bytes(column.a, "little") + raw


def fixed(size: int) -> Any:
    return lambda draw, column: draw(st.binary(min_size=size, max_size=size))


def double_value(draw: Any, column: Column) -> bytes:
    return struct.pack("<d", draw(st.floats(allow_nan=False, allow_infinity=False)))


def date_time_value(draw: Any, column: Column) -> bytes:
    day = draw(st.integers(0, 9999)) * 13 + draw(st.integers(0, 12))
    clock = draw(st.integers(0, 23)) << 12 | draw(st.integers(0, 59)) << 6 | draw(st.integers(0, 59))
    packed = (day << 5 | draw(st.integers(0, 31))) << 17 | clock
    extra = (column.a + 1) // 2
    fraction = draw(st.integers(0, (100, 100, 10_000, 1_000_000)[extra] - 1)) if extra else 0
    return (packed + (1 << 39)).to_bytes(5, "big") + fraction.to_bytes(extra, "big")


KINDS: list[tuple[Column, Any]] = [
    *(
        (Column("", kind, unsigned=unsigned), fixed(size))
        for kind, size in ((t.TINY, 1), (t.SHORT, 2), (t.INT24, 3), (t.LONG, 4), (t.BIGINT, 8))
        for unsigned in (False, True)
    ),
    (Column("", t.DOUBLE), double_value),
    *((Column("", t.DECIMAL, precision, scale), decimal_value)
      for precision, scale in ((1, 0), (5, 2), (12, 2), (10, 4), (18, 0), (9, 9), (19, 4), (38, 6), (4, 4))),
    (Column("", t.VARCHAR, 80, collation=UTF8), text_value),
    (Column("", t.VARCHAR, 400, collation=UTF8), text_value),
    (Column("", t.STRING, 80, collation=UTF8), text_value),
    (Column("", t.BLOB, 2, collation=BYTES), bytes_value),
    *((Column("", t.DATETIME, digits), date_time_value) for digits in (0, 3, 6)),
    (Column("", t.TIMESTAMP, 0), fixed(4)),
    (Column("", t.ENUM, 1, labels=("new", "päid")), lambda draw, column: bytes((draw(st.integers(0, 2)),))),
    (Column("", t.SET, 1, labels=("a", "b")), lambda draw, column: bytes((draw(st.integers(0, 3)),))),
    (Column("", t.YEAR), fixed(1)),
]  # fmt: skip


@st.composite
def tables(draw: Any) -> tuple[TableLayout, list[int], bytes, list[list[Any]]]:
    """A layout, the columns kept, row images, and their values as the single decoders have them."""
    chosen = draw(st.lists(st.sampled_from(range(len(KINDS))), min_size=1, max_size=20))
    columns = [
        Column(f"c{index} \"'%{{}}", kind.kind, kind.a, kind.b, True, kind.unsigned, kind.collation, kind.labels)
        for index, (kind, _) in ((index, KINDS[choice]) for index, choice in enumerate(chosen))
    ]
    keep = sorted(draw(st.sets(st.sampled_from(range(len(columns))), min_size=1)))
    size, images, expected = (len(columns) + 7) // 8, b"", []
    for _ in range(draw(st.integers(1, 6))):
        nulls = draw(st.integers(0, (1 << len(columns)) - 1)) if draw(st.booleans()) else 0
        unused = draw(st.sampled_from((0, (1 << 8 * size) - (1 << len(columns)))))
        images += (nulls | unused).to_bytes(size, "little")
        values: list[Any] = []
        for index, column in enumerate(columns):
            if nulls >> index & 1:
                values.append(None)
                continue
            raw = KINDS[chosen[index]][1](draw, column)
            value, end = value_decoder(column)(b"?" + raw, 1)
            assert end == len(raw) + 1
            values.append(value)
            images += raw
        expected.append([values[index] for index in keep])
    return TableLayout("shop", "orders", tuple(columns), (keep[0],), False, True), keep, images, expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine a draw may stand still
@given(tables(), st.integers(0, 9))
def test_as_the_single_decoders(table: Any, before: int) -> None:
    layout, keep, images, expected = table
    code, data = RowCode(layout, keep), b"#" * before + images + b"behind"
    end = before + len(images)
    assert code.rows(data, before, end) == (expected, [])
    names = [layout.columns[index].name for index in keep]
    got, keys = code.variant(as_json=True, key=layout.primary_key or ()).rows(data, before, end)
    assert [orjson.loads(image) for image in got] == [dict(zip(names, row, strict=True)) for row in expected]
    assert keys == [(row[0],) for row in expected]
    assert code.read(data, before, end, 1)[0] == expected[:1]
    try:
        fewer = code.rows(images + b"behind", 0, len(images) - 1)[0]
    except BAD_IMAGE:
        return
    assert fewer == expected[:-1], "a row that was cut off must not come"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables())
def test_patterns_without_code_of_their_own(table: Any) -> None:
    layout, keep, images, expected = table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_code, "MOST_PATTERNS", 1)
        assert RowCode(layout, keep).rows(images, 0, len(images)) == (expected, [])
        keyed = RowCode(layout, keep).variant(as_json=True, key=(keep[0],)).rows(images, 0, len(images))
    assert [list(orjson.loads(image).values()) for image in keyed[0]] == expected
    assert keyed[1] == [(row[0],) for row in expected]


@pytest.mark.parametrize(("precision", "scale"), [(12, 2), (10, 2), (5, 0), (19, 4), (4, 4)])
@given(data=st.data())
def test_bytes_that_are_no_decimal(precision: int, scale: int, data: Any) -> None:
    size = decimal_size(precision, scale)
    raw = data.draw(st.binary(min_size=size, max_size=size))
    column = Column("amount", t.DECIMAL, precision, scale)
    code = RowCode(TableLayout("shop", "orders", (column,), (0,), False, True))
    try:
        expected = value_decoder(column)(raw, 0)[0]
    except ValueError:
        with pytest.raises(BAD_IMAGE):
            code.rows(b"\0" + raw, 0, size + 1)
    else:
        assert code.rows(b"\0" + raw, 0, size + 1)[0] == [[expected]]


def test_an_enum_index_without_a_label_is_no_value() -> None:
    column = Column("status", t.ENUM, 1, labels=("new",))
    code = RowCode(TableLayout("shop", "orders", (column,), None, False, True))
    assert code.rows(b"\0\1", 0, 2)[0] == [["new"]]
    with pytest.raises(BAD_IMAGE):
        code.rows(b"\0\2", 0, 2)


def test_kept_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_code, "MOST_TEXTS", 10)
    texts = Texts(lambda raw: raw.hex())
    for number in range(100):
        assert texts[bytes((number,))] == f"{number:02x}"
        assert len(texts) <= 10
