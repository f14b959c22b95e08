"""TABLE_MAP events: which columns of which types the rows that follow have.

Layout: MySQL source documentation "Table_map_event" with its optional metadata fields 1 to 13 (`binlog_row_metadata`),
MariaDB knowledge base "TABLE_MAP_EVENT" (fields 1 to 11).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from binlog_worker.decoding.charsets import BINARY, UTF8MB4, text_decoder
from binlog_worker.log.event_bodies import HEADER_SIZE, read_lenenc
from schemas.errors import CorruptBinlog, UnsupportedColumn

TINY, SHORT, LONG, FLOAT, DOUBLE, OLD_TIMESTAMP, BIGINT, INT24 = 1, 2, 3, 4, 5, 7, 8, 9
DATE, OLD_TIME, OLD_DATETIME, YEAR, VARCHAR, BIT, TIMESTAMP, DATETIME, TIME = 10, 11, 12, 13, 15, 16, 17, 18, 19
COMPRESSED_BLOB, COMPRESSED_VARCHAR, VECTOR, JSON, DECIMAL = 140, 141, 242, 245, 246
ENUM, SET, BLOB, VAR_STRING, STRING, GEOMETRY = 247, 248, 252, 253, 254, 255

UUID, INET4, INET6, MARIADB_VECTOR, LOOKALIKE = 256, 257, 258, 259, 260
TIME_53, DATETIME_53, TIMESTAMP_53 = 261, 262, 263
"""Not the server's codes: what `true_types` makes of a BINARY, of a VARBINARY and of OLD_TIME, OLD_DATETIME and
OLD_TIMESTAMP, whose types the log does not tell. A LOOKALIKE has bytes that may mean one thing or another."""

_FRACTIONAL = frozenset((TIME, DATETIME, TIMESTAMP, TIME_53, DATETIME_53, TIMESTAMP_53))
_NUMERIC = frozenset((TINY, SHORT, INT24, LONG, BIGINT, FLOAT, DOUBLE, DECIMAL, YEAR))
_CHARACTER = frozenset((VARCHAR, VAR_STRING, STRING, BLOB, COMPRESSED_BLOB, COMPRESSED_VARCHAR))
_COLLATED = {True: _CHARACTER | {GEOMETRY}, False: _CHARACTER | {VECTOR}}
"""On MariaDB, on MySQL: columns that have a collation in the log."""
_METADATA_1 = frozenset(
    (FLOAT, DOUBLE, BLOB, GEOMETRY, JSON, VECTOR, TIME, DATETIME, TIMESTAMP, COMPRESSED_BLOB, 249, 250, 251)
)
_METADATA_2 = frozenset((VARCHAR, BIT, DECIMAL, ENUM, SET, VAR_STRING, STRING, COMPRESSED_VARCHAR))


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` is the server's type code, with ENUM and SET told apart from STRING. `a` and `b` are what the type's
    metadata says: DECIMAL precision and scale; BIT bytes and bits; strings: bytes of their longest value; BLOB, JSON,
    geometry, VECTOR: bytes of the length; ENUM, SET: bytes of the value; temporal types: fraction digits.

    None stands for what the server did not log (`binlog_row_metadata` other than FULL).
    """

    name: str
    kind: int
    a: int = 0
    b: int = 0
    nullable: bool = True
    unsigned: bool | None = None
    collation: int | None = None
    labels: tuple[str, ...] | None = None
    visible: bool = True

    @property
    def type(self) -> str:
        """The column's type in the words of `schemas/types.md`."""
        if self.kind in _CHARACTER:
            binary = self.collation == BINARY
            if self.kind in (BLOB, COMPRESSED_BLOB):
                return "blob" if binary else "text"
            name = "char" if self.kind == STRING else "varchar"
            return {"char": "binary", "varchar": "varbinary"}[name] if binary else name
        name = _TYPE_NAMES.get(self.kind, f"type{self.kind}")
        if self.kind == DECIMAL:
            return f"decimal({self.a},{self.b})"
        if self.kind == BIT:
            return f"bit({self.b})"
        if self.kind in _FRACTIONAL and self.a:
            return f"{name}({self.a})"
        return f"{name} unsigned" if self.unsigned and self.kind != YEAR else name

    def unsupported(self, why: str, hint: str | None = None) -> UnsupportedColumn:
        return UnsupportedColumn(f"column {self.name} {why}", hint=hint or "exclude the column in shop.yaml")


_TYPE_NAMES = {
    TINY: "tinyint",
    SHORT: "smallint",
    INT24: "mediumint",
    LONG: "int",
    BIGINT: "bigint",
    FLOAT: "float",
    DOUBLE: "double",
    DATE: "date",
    YEAR: "year",
    TIME: "time",
    DATETIME: "datetime",
    TIMESTAMP: "timestamp",
    OLD_TIME: "time",
    OLD_DATETIME: "datetime",
    OLD_TIMESTAMP: "timestamp",
    BIT: "bit",
    DECIMAL: "decimal",
    ENUM: "enum",
    SET: "set",
    JSON: "json",
    GEOMETRY: "geometry",
    VECTOR: "vector",
    MARIADB_VECTOR: "vector",
    UUID: "uuid",
    INET4: "inet4",
    INET6: "inet6",
    TIME_53: "time",
    DATETIME_53: "datetime",
    TIMESTAMP_53: "timestamp",
    LOOKALIKE: "binary",
}


@dataclass(frozen=True, slots=True, eq=False)
class TableLayout:
    """A table as its rows were written. Compared and hashed by identity.

    `primary_key` holds column indexes, None when not logged or absent; `prefix_key`: part of it is the start of a
    column only.
    """

    schema: str
    table: str
    columns: tuple[Column, ...]
    primary_key: tuple[int, ...] | None
    prefix_key: bool
    has_names: bool

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"


def table_id(data: bytes) -> int:
    """Of a TABLE_MAP or a row event."""
    return int.from_bytes(data[HEADER_SIZE : HEADER_SIZE + 6], "little")


def parse_table_map(data: bytes, *, mariadb: bool) -> TableLayout:
    """Body: table id 6, flags 2, schema and table (length 1, name, NUL), number of columns, a type each, their metadata
    (length and bytes), a bitmap of nullable ones, then optional fields (type 1, length, value). Raises CorruptBinlog.

    The one difference: MariaDB counts geometry, MySQL VECTOR among the columns that have a character set.
    """
    try:
        return _parse(data, mariadb)
    except (ValueError, IndexError) as error:
        raise CorruptBinlog(f"malformed TABLE_MAP event: {error}") from error


def _parse(data: bytes, mariadb: bool) -> TableLayout:
    pos = HEADER_SIZE + 8
    names = []
    for _ in range(2):
        end = pos + 1 + data[pos]
        names.append(data[pos + 1 : end].decode("utf-8"))
        if data[end]:
            raise ValueError("a name does not end where it should")
        pos = end + 1
    count, pos = read_lenenc(data, pos)
    kinds = data[pos : pos + count]
    if not count or len(kinds) != count:
        raise ValueError(f"{count} columns")
    size, pos = read_lenenc(data, pos + count)
    shapes = list(_shapes(kinds, data[pos : pos + size]))
    if not all(_is_possible(*shape) for shape in shapes):
        raise ValueError("column metadata that no type has")
    pos += size
    nullable = data[pos : pos + (count + 7) // 8]
    pos += len(nullable)
    fields: dict[int, bytes] = {}
    while pos < len(data):
        field = data[pos]
        size, pos = read_lenenc(data, pos + 1)
        if pos + size > len(data):
            raise ValueError(f"optional field {field} is cut off")
        fields[field] = data[pos : pos + size]
        pos += size
    return _layout(names[0], names[1], shapes, nullable, fields, mariadb)


_MOST = {
    **dict.fromkeys((BLOB, GEOMETRY, JSON, VECTOR, COMPRESSED_BLOB), 4),
    **dict.fromkeys(_FRACTIONAL, 6),
    ENUM: 2,
    SET: 8,
}
"""Of `Column.a`."""


def _is_possible(kind: int, a: int, b: int) -> bool:
    if kind == DECIMAL:
        return 0 < a <= 65 and b <= a
    if kind == BIT:
        return 0 < b <= 64 and a == (b + 7) // 8
    return a <= _MOST.get(kind, a) and (a > 0 or kind not in _MOST or kind in _FRACTIONAL)


def _shapes(kinds: bytes, metadata: bytes) -> Iterator[tuple[int, int, int]]:
    """(kind, a, b) of every column, see `Column`. Temporal types of before MySQL 5.6 and others have no metadata."""
    pos = 0
    for kind in kinds:
        if kind in _METADATA_1:
            yield (BLOB if 249 <= kind <= 251 else kind), metadata[pos], 0
            pos += 1
        elif kind in _METADATA_2:
            first, second = metadata[pos], metadata[pos + 1]
            pos += 2
            if kind in (VARCHAR, COMPRESSED_VARCHAR):
                yield kind, first | second << 8, 0
            elif kind == BIT:
                yield kind, second + (first > 0), second * 8 + first
            elif kind in (STRING, VAR_STRING) and first not in (ENUM, SET):
                yield STRING, second | ((first & 0x30) ^ 0x30) << 4, 0
            elif kind == STRING:
                yield first, second, 0
            else:
                yield kind, first, second
        else:
            yield kind, 0, 0
    if pos != len(metadata):
        raise ValueError("column metadata of the wrong length")


def _bits(value: bytes) -> Iterator[bool]:
    """Bits of a field, highest first."""
    for byte in value:
        for shift in range(7, -1, -1):
            yield bool(byte >> shift & 1)


def _numbers(value: bytes) -> list[int]:
    numbers, pos = [], 0
    while pos < len(value):
        number, pos = read_lenenc(value, pos)
        numbers.append(number)
    return numbers


def _strings(value: bytes, pos: int, count: int) -> tuple[list[bytes], int]:
    found = []
    for _ in range(count):
        size, pos = read_lenenc(value, pos)
        found.append(value[pos : pos + size])
        pos += size
    if pos > len(value):
        raise ValueError("names or labels are cut off")
    return found, pos


def _collations(default: bytes | None, each: bytes | None, count: int) -> list[int | None]:
    """Of the `count` columns that have one: either a default and (index, collation) pairs, or one each, or not
    logged."""
    if default is not None:
        numbers = _numbers(default)
        found: list[int | None] = [numbers[0]] * count
        for index, collation in zip(numbers[1::2], numbers[2::2], strict=True):
            found[index] = collation
        return found
    if each is not None:
        numbers = _numbers(each)
        if len(numbers) != count:
            raise ValueError(f"{len(numbers)} collations for {count} columns")
        return list(numbers)
    return [None] * count


def _labels(value: bytes | None, collations: list[int | None]) -> list[tuple[str, ...] | None]:
    """The labels of every ENUM, or every SET, column; None where not logged, or not to be decoded."""
    if value is None:
        return [None] * len(collations)
    found: list[tuple[str, ...] | None] = []
    pos = 0
    for collation in collations:
        count, pos = read_lenenc(value, pos)
        raw, pos = _strings(value, pos, count)
        found.append(_decode_labels(raw, collation))
    return found


def _decode_labels(raw: list[bytes], collation: int | None) -> tuple[str, ...] | None:
    """Labels are in their column's own character set; those of CHARACTER SET binary mostly in UTF-8."""
    if collation is None:
        return None
    try:
        decode = text_decoder(UTF8MB4 if collation == BINARY else collation)
        return tuple(decode(label) for label in raw)
    except (UnsupportedColumn, ValueError):
        return None


def _layout(
    schema: str,
    table: str,
    shapes: list[tuple[int, int, int]],
    nullable: bytes,
    fields: dict[int, bytes],
    mariadb: bool,
) -> TableLayout:
    kinds = [kind for kind, _, _ in shapes]
    unsigned: dict[int, bool] = {}
    if 1 in fields:
        numeric = [index for index, kind in enumerate(kinds) if kind in _NUMERIC]
        if len(fields[1]) != (len(numeric) + 7) // 8:
            raise ValueError("signedness of the wrong length")
        unsigned = dict(zip(numeric, _bits(fields[1]), strict=False))
    collation: dict[int, int | None] = {}
    for chosen, default, each in ((_COLLATED[mariadb], 2, 3), (frozenset((ENUM, SET)), 10, 11)):
        having = [index for index, kind in enumerate(kinds) if kind in chosen]
        collation.update(zip(having, _collations(fields.get(default), fields.get(each), len(having)), strict=True))
    labels: dict[int, tuple[str, ...] | None] = {}
    for kind, field in ((SET, 5), (ENUM, 6)):
        having = [index for index, found in enumerate(kinds) if found == kind]
        labels.update(zip(having, _labels(fields.get(field), [collation[i] for i in having]), strict=True))
    names = [f"@{index + 1}" for index in range(len(kinds))]
    if 4 in fields:
        names = [name.decode("utf-8") for name in _strings(fields[4], 0, len(kinds))[0]]
        if len(set(names)) != len(names):
            raise ValueError("two columns of one name")
    visible = dict(enumerate(_bits(fields.get(12, b""))))
    columns = tuple(
        Column(
            name=names[index],
            kind=kind,
            a=a,
            b=b,
            nullable=bool(nullable[index >> 3] >> (index & 7) & 1),
            unsigned=unsigned.get(index),
            collation=collation.get(index),
            labels=labels.get(index),
            visible=visible.get(index, True),
        )
        for index, (kind, a, b) in enumerate(shapes)
    )
    primary_key, prefix_key = None, False
    if 8 in fields:
        primary_key = tuple(_numbers(fields[8]))
    elif 9 in fields:
        numbers = _numbers(fields[9])
        primary_key, prefix_key = tuple(numbers[::2]), any(numbers[1::2])
    if primary_key is not None and not all(index < len(columns) for index in primary_key):
        raise ValueError(f"a primary key of {len(primary_key)} columns, not all of which are there")
    return TableLayout(schema, table, columns, primary_key, prefix_key, 4 in fields)
