"""TABLE_MAP and row events, built by hand: what real servers write is in tests/oracle."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Any

import pytest

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.rows import Tables, decode_rows
from binlog_worker.decoding.table_map import TableLayout, parse_table_map
from binlog_worker.log import events
from binlog_worker.log.events import RawEvent
from schemas.errors import CorruptBinlog, UndecodableValue, UnsupportedColumn, UnsupportedRowImage

AT = "mysql-bin.000003"


def raw(kind: int, body: bytes) -> RawEvent:
    return RawEvent(kind, 0, 1, 0, AT, 400, 500, bytes(19) + body)


def field(number: int, value: bytes) -> bytes:
    return bytes((number, len(value))) + value


def table_map(kinds: bytes, metadata: bytes, *fields: bytes, nullable: int = 0xFF, number: int = 9) -> RawEvent:
    body = number.to_bytes(6, "little") + b"\1\0" + b"\4shop\0" + b"\6orders\0" + bytes((len(kinds),)) + kinds
    body += bytes((len(metadata),)) + metadata + bytes([nullable]) * ((len(kinds) + 7) // 8) + b"".join(fields)
    return raw(19, body)


def row_event(
    kind: int, columns: int, images: bytes, present: bytes = b"\xff", number: int = 9, flags: int = 1
) -> RawEvent:
    body = number.to_bytes(6, "little") + flags.to_bytes(2, "little")
    if kind >= 30:
        body += b"\x05\x00abc"
    body += bytes((columns,)) + present * (2 if kind in (24, 31) else 1) + images
    return raw(kind, body)


INT_AND_TEXT = table_map(
    bytes((t.LONG, t.VARCHAR)),
    b"\x50\x00",
    field(1, b"\x80"),
    field(2, b"\x2d"),
    field(4, b"\2id\4note"),
    field(8, b"\0"),
    nullable=2,
)


def tables_of(event: RawEvent, keep: Collection[int] | None = None, *, mariadb: bool = False) -> Tables:
    tables = Tables(lambda layout: range(len(layout.columns)) if keep is None else keep, mariadb=mariadb)
    tables.remember(event)
    return tables


def changes(event: RawEvent, tables: Tables) -> list[Any]:
    rows = decode_rows(event, tables)
    assert rows is not None
    return list(rows.changes)


def layout_of(event: RawEvent, *, mariadb: bool = False) -> TableLayout:
    return parse_table_map(event.data, mariadb=mariadb)


def test_layout() -> None:
    layout = layout_of(INT_AND_TEXT)
    assert (layout.name, layout.primary_key, layout.prefix_key, layout.has_names) == ("shop.orders", (0,), False, True)
    assert [(column.name, column.type, column.nullable) for column in layout.columns] == [
        ("id", "int unsigned", False),
        ("note", "varchar", True),
    ]


def test_without_metadata_nothing_is_guessed() -> None:
    event = table_map(bytes((t.LONG, t.VARCHAR, t.STRING)), b"\x50\x00" + bytes((t.ENUM, 1)))
    layout = layout_of(event)
    assert (layout.primary_key, layout.has_names, layout.columns[0].unsigned) == (None, False, None)
    for keep, what in ((0, "sign"), (1, "character set"), (2, "labels")):
        with pytest.raises(UnsupportedColumn, match=f"{what}.*shop.orders"):
            changes(row_event(30, 3, b""), tables_of(event, [keep]))


def test_default_collation_with_exceptions_counts_character_columns_only() -> None:
    kinds = bytes((t.VARCHAR, t.LONG, t.BLOB, t.STRING, t.STRING))
    metadata = b"\x50\x00" + b"\x02" + bytes((t.STRING, 5)) + bytes((t.ENUM, 1))
    event = table_map(kinds, metadata, field(2, bytes((45, 1, 63, 2, 8))), field(10, b"\x08"), field(6, b"\2\1\xe4\1b"))
    columns = layout_of(event).columns
    assert [column.collation for column in columns] == [45, None, 63, 8, 8]
    assert columns[4].labels == ("ä", "b")
    assert [column.type for column in columns] == ["varchar", "int", "blob", "char", "enum"]


def test_geometry_has_a_collation_on_mariadb_only() -> None:
    kinds, metadata = bytes((t.GEOMETRY, t.VARCHAR)), b"\x04\x50\x00"
    assert layout_of(table_map(kinds, metadata, field(3, b"\x3f\x08")), mariadb=True).columns[1].collation == 8
    assert layout_of(table_map(kinds, metadata, field(3, b"\x08"))).columns[1].collation == 8


def test_vector_has_a_collation_on_mysql_only() -> None:
    kinds, metadata = bytes((t.VECTOR, t.VARCHAR)), b"\x04\x50\x00"
    assert layout_of(table_map(kinds, metadata, field(3, b"\x3f\x08"))).columns[1].collation == 8
    assert layout_of(table_map(kinds, metadata, field(2, b"\x2d\x00\x3f"))).columns[1].collation == 45


def test_labels_that_are_no_text_harm_no_other_column() -> None:
    kinds, metadata = bytes((t.STRING, t.LONG)), bytes((t.ENUM, 1))
    event = table_map(kinds, metadata, field(1, b"\x80"), field(11, b"\x3f"), field(6, b"\1\1\xff"))
    assert layout_of(event).columns[0].labels is None
    assert changes(row_event(30, 2, b"\xfc\x01\5\0\0\0"), tables_of(event, [1])) == [(None, [5])]
    with pytest.raises(UnsupportedColumn, match="labels"):
        tables_of(event, [0])


def test_labels_that_are_cut_off_are_corrupt() -> None:
    for number, value in ((6, b"\1\5ab"), (4, b"\5ab")):
        with pytest.raises(CorruptBinlog, match="cut off"):
            layout_of(table_map(bytes((t.STRING,)), bytes((t.ENUM, 1)), field(11, b"\x08"), field(number, value)))


def test_string_longer_than_255_bytes_hides_two_bits_in_its_type() -> None:
    column = layout_of(table_map(bytes((t.STRING,)), bytes((0xFE ^ 0x30, 252)), field(2, b"\x2d"))).columns[0]
    assert (column.kind, column.a) == (t.STRING, 1020)


def test_prefix_key() -> None:
    layout = layout_of(table_map(bytes((t.LONG, t.VARCHAR)), b"\x50\x00", field(9, b"\1\x0a\0\0")))
    assert (layout.primary_key, layout.prefix_key) == ((1, 0), True)


@pytest.mark.parametrize("size", range(20, len(INT_AND_TEXT.data)))
def test_cut_off_table_map_is_corrupt(size: int) -> None:
    try:
        layout = parse_table_map(INT_AND_TEXT.data[:size], mariadb=False)
    except CorruptBinlog:
        return
    full = layout_of(INT_AND_TEXT)
    assert (layout.name, len(layout.columns)) == (full.name, 2), (
        "cut between two optional fields, as an older server writes it"
    )


ROW = b"\xfc" + (4_000_000_000).to_bytes(4, "little") + b"\2hi"
NULL_ROW = b"\xfe" + (5).to_bytes(4, "little")


@pytest.mark.parametrize(("kind", "op"), [(23, "c"), (30, "c"), (25, "d"), (32, "d")])
def test_rows_of_both_versions(kind: int, op: str) -> None:
    rows = decode_rows(row_event(kind, 2, ROW + NULL_ROW), tables_of(INT_AND_TEXT))
    assert rows is not None and (rows.op, rows.statement_end) == (op, True)
    images = [before if op == "d" else after for before, after in rows.changes]
    assert images == [[4_000_000_000, "hi"], [5, None]]


@pytest.mark.parametrize("kind", [24, 31])
def test_updates(kind: int) -> None:
    assert changes(row_event(kind, 2, ROW + NULL_ROW, flags=0), tables_of(INT_AND_TEXT)) == [
        ([4_000_000_000, "hi"], [5, None])
    ]


def test_only_kept_columns() -> None:
    assert changes(row_event(30, 2, ROW + NULL_ROW), tables_of(INT_AND_TEXT, [1])) == [(None, ["hi"]), (None, [None])]
    assert changes(row_event(30, 2, ROW + NULL_ROW), tables_of(INT_AND_TEXT, [0])) == [
        (None, [4_000_000_000]),
        (None, [5]),
    ]


@pytest.mark.parametrize("size", [1, 4, 5, 6, 7, 9])
def test_cut_off_row_is_corrupt(size: int) -> None:
    with pytest.raises(CorruptBinlog, match=rf"shop.orders.*{AT}:400"):
        changes(row_event(30, 2, ROW + ROW[:size] if size < len(ROW) else ROW + b"\xfc"), tables_of(INT_AND_TEXT))


def test_undecodable_bytes_name_table_and_column() -> None:
    bad = b"\xfc" + bytes(4) + b"\2\xff\xfe"
    with pytest.raises(UndecodableValue, match=rf"column note.*shop.orders.*{AT}:400"):
        changes(row_event(30, 2, bad), tables_of(INT_AND_TEXT))


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_double_that_is_no_number_is_no_value(number: float) -> None:
    """JSON would make null of it."""
    event = table_map(bytes((t.LONG, t.DOUBLE)), b"\x08", field(1, b"\x80"), field(4, b"\2id\1d"), field(8, b"\0"))
    rows = decode_rows(row_event(30, 2, b"\xfc\1\0\0\0" + struct.pack("<d", number)), tables_of(event))
    assert rows is not None
    with pytest.raises(UndecodableValue, match=r"column d .*no number.*shop\.orders"):
        rows.images()


def test_partial_image_is_refused() -> None:
    with pytest.raises(UnsupportedRowImage, match=r"shop\.orders"):
        decode_rows(row_event(30, 2, ROW, present=b"\x01"), tables_of(INT_AND_TEXT))


@pytest.mark.parametrize(("kind", "present"), [(30, b"\x05"), (31, b"\x05"), (32, b"\xfd")])
def test_columns_that_an_event_lacks_but_nobody_wants(kind: int, present: bytes) -> None:
    """As MariaDB 11 leaves out generated columns; the bitmap of NULLs counts the columns present."""
    event = table_map(
        bytes((t.LONG, t.LONG, t.VARCHAR)), b"\x50\x00", field(1, b"\xc0"), field(2, b"\x2d"), field(8, b"\0")
    )
    image, null = b"\xfc\7\0\0\0\2hi", b"\xfe\7\0\0\0"
    op = {30: "c", 31: "u", 32: "d"}[kind]
    expected = {
        "c": [(None, [7, "hi"]), (None, [7, None])],
        "u": [([7, "hi"], [7, None])],
        "d": [([7, "hi"], None), ([7, None], None)],
    }
    rows = row_event(kind, 3, image + null, present)
    assert changes(rows, tables_of(event, [0, 2])) == expected[op]
    for keep in ([0, 1, 2], [1]):
        with pytest.raises(UnsupportedRowImage, match=r"without all columns: @2 .*shop\.orders"):
            decode_rows(rows, tables_of(event, keep))


def test_images_of_one_event_that_differ_in_their_columns_are_refused() -> None:
    event = row_event(31, 2, ROW + ROW)
    data = event.data.replace(b"\x02\xff\xff", b"\x02\xff\x01")
    with pytest.raises(UnsupportedRowImage, match=r"shop\.orders"):
        decode_rows(event._replace(data=data), tables_of(INT_AND_TEXT, [0]))


def test_rows_without_their_table_map() -> None:
    tables = tables_of(INT_AND_TEXT)
    with pytest.raises(CorruptBinlog, match="TABLE_MAP"):
        decode_rows(row_event(30, 2, ROW, number=10), tables)
    assert decode_rows(row_event(30, 0, b"", number=0xFFFFFF), tables) is None, (
        "the empty event that only ends a statement"
    )
    with pytest.raises(CorruptBinlog, match="3 columns"):
        decode_rows(row_event(30, 3, ROW), tables)


def test_table_that_is_not_wanted() -> None:
    tables = Tables(lambda layout: None, mariadb=False)
    assert tables.remember(INT_AND_TEXT) is None
    assert decode_rows(row_event(30, 2, b"garbage", present=b"\0"), tables) is None


def test_equal_bytes_are_parsed_once() -> None:
    asked = []
    tables = Tables(lambda layout: asked.append(layout.name) or [0], mariadb=False)
    assert tables.remember(INT_AND_TEXT) is tables.remember(
        INT_AND_TEXT._replace(data=INT_AND_TEXT.data[:19] + b"\x0b" + INT_AND_TEXT.data[20:])
    )
    assert asked == ["shop.orders"]
    assert set(events.ROWS) == {23, 24, 25, 30, 31, 32}
