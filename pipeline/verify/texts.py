"""A column's values as text, in the SQL of both sides: equal values give equal texts, others never do.

The texts are those of `schemas/types.md`, but that binary numbers are written as whole ones (`floats`) and a time has a
space before it. A long value is its SHA-256. NULL is NULL; `joined` makes one text of a row that cannot be forged: a
text stands behind its length, and N, which no other text is, for NULL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.google_names import quoted as name_in_warehouse
from pipeline.layout import LOCAL_DATES, Layout, LayoutColumn
from pipeline.values import arrow_type
from pipeline.verify import floats
from schemas.catalogue import CatalogueColumn, CatalogueTable, declared_size, wire_type
from schemas.columns import ColumnType, Kind
from schemas.config import DATE_COLUMNS, ShopConfig
from schemas.errors import UnsupportedColumn
from schemas.identifiers import quoted

TIME_FORMAT = "%Y-%m-%d %H:%M:%E6S"
SHORT = 255
"""Declared characters (or bytes) up to which a text itself is compared, not its hash."""
_TEXTS = frozenset({"char", "varchar", "text", "enum", "set"})
_LONG = frozenset({"tinytext", "text", "mediumtext", "longtext", "json", "geometry"})
_LONG_BYTES = frozenset({"tinyblob", "blob", "mediumblob", "longblob", "geometry"})
_FRACTIONS = [".000000", "00000", "0000", "000", "00", "0", ""]
_NUMBERS = (Kind.INT64, Kind.DECIMAL, Kind.FLOAT64)
NUMERIC_SCALE = 9
"""Decimals of GoogleSQL's NUMERIC."""
_UTF8 = frozenset({"utf8mb4"})


@dataclass(frozen=True)
class ColumnText:
    """`source` is SQL of MySQL and MariaDB, `warehouse` GoogleSQL; `free`: may hold any character.

    `null`: whether `source` may be NULL.
    """

    name: str
    source: str
    warehouse: str
    free: bool = False
    null: bool = True


@dataclass(frozen=True)
class StoredColumn:
    """A column of the raw table, and the type that the warehouse says it has by now; None where it is not there."""

    name: str
    type: pa.DataType | None


def source_hash(text: str) -> str:
    """60 bits of the SHA-256 of a text, which MySQL 9.6 and later have without any component, unlike MD5."""
    return f"CAST(CONV(LEFT(SHA2({text}, 256), 15), 16, 10) AS UNSIGNED)"


def warehouse_hash(text: str) -> str:
    return f"CAST(CONCAT('0x', SUBSTR(TO_HEX(SHA256({text})), 1, 15)) AS INT64)"


def source_joined(texts: Sequence[ColumnText]) -> str:
    """One text of all; never NULL."""
    parts = []
    for text in texts:
        part = f"CONCAT(LENGTH({text.source}), ':', {text.source})" if text.free else text.source
        parts.append(f"COALESCE({part}, 'N')" if text.null else part)
    return f"CONCAT_WS(',', {', '.join(parts)})"


def warehouse_joined(texts: Sequence[ColumnText]) -> str:
    parts = []
    for text in texts:
        part = text.warehouse
        if text.free:
            part = f"CONCAT(CAST(BYTE_LENGTH({part}) AS STRING), ':', {part})"
        parts.append(f"COALESCE({part}, 'N')")
    return f"ARRAY_TO_STRING([{', '.join(parts)}], ',')"


def column_texts(
    layout: Layout, table: CatalogueTable, stored: dict[str, pa.DataType], config: ShopConfig
) -> list[ColumnText]:
    """All columns of a raw table, for checksums. Raises UnsupportedColumn where the two types do not compare."""
    found: list[ColumnText] = []
    catalogue = {column.name: column for column in table.columns}
    for column in layout.columns:
        source = catalogue[column.source]
        if layout.role and column.name in DATE_COLUMNS:
            found += role_date_texts(column, source, zone_of(layout, column, config), config.time_zone)
        else:
            found.append(column_text(column, source, StoredColumn(column.name, stored.get(column.name)), table.name))
    return found


def key_texts(layout: Layout, table: CatalogueTable, stored: dict[str, pa.DataType]) -> list[ColumnText]:
    """The columns of the key; none of them is long."""
    catalogue = {column.name: column for column in table.columns}
    columns = {column.name: column for column in layout.columns}
    return [
        column_text(
            columns[name], catalogue[columns[name].source], StoredColumn(name, stored.get(name)), table.name, whole=True
        )
        for name in layout.key
    ]


def zone_of(layout: Layout, column: LayoutColumn, config: ShopConfig) -> str:
    mapped = layout.definition.columns[column.name].time_zone if layout.definition else None
    return mapped or config.time_zone


def role_date_texts(column: LayoutColumn, source: CatalogueColumn, zone: str, shop_zone: str) -> list[ColumnText]:
    """An instant and its local date. The warehouse turns the instant back into what the database holds: that needs none
    of MySQL's zone tables. Of a wall-clock time that the clock skipped nothing is known then; `rows` knows."""
    stored, local = name_in_warehouse(column.name), name_in_warehouse(LOCAL_DATES[column.name])
    wall = f"DATETIME({stored}, '{zone}')"
    if column.type.kind is Kind.TIMESTAMP:
        text = f"FORMAT_TIMESTAMP('{TIME_FORMAT}', {stored}, 'UTC')"
        date = f"CAST(DATETIME({stored}, '{shop_zone}') AS DATE)"
    else:
        text = f"FORMAT_DATETIME('{TIME_FORMAT}', {wall})"
        date = f"CAST({wall if zone == shop_zone else f'DATETIME({stored}, {shop_zone!r})'} AS DATE)"
    right = f"IF({local} IS NOT DISTINCT FROM {date}, '', COALESCE(CAST({local} AS STRING), 'NULL'))"
    return [
        ColumnText(column.name, source_wall(source), text, null=source.nullable),
        ColumnText(LOCAL_DATES[column.name], "''", right, null=False),
    ]


def source_wall(column: CatalogueColumn) -> str:
    """A date or time with six digits of its second."""
    name = quoted(column.name)
    if column.type == "date":
        return f"CONCAT({name}, ' 00:00:00.000000')"
    return f"CONCAT({name}, '{_FRACTIONS[declared_size(column)]}')"


def column_text(
    column: LayoutColumn, source: CatalogueColumn, stored: StoredColumn, table: str, *, whole: bool = False
) -> ColumnText:
    """One column that is stored as it is. `whole`: never by its hash. Raises UnsupportedColumn."""
    source_sql, null = _source(source, whole=whole)
    if stored.type is None:  # added at the source, and no row has come since
        return ColumnText(column.name, source_sql, "CAST(NULL AS STRING)", _free(source), null=True)
    value, kind = name_in_warehouse(stored.name), column.type
    natural = arrow_type(kind)
    if stored.type != natural and not (pa.types.is_large_string(stored.type) and natural == pa.string()):
        return _widened(column, source, stored, source_sql, table, whole=whole)
    return ColumnText(column.name, source_sql, _warehouse(value, kind, source, whole=whole), _free(source), null)


def _free(source: CatalogueColumn) -> bool:
    return wire_type(source).split("(")[0] in _TEXTS and not is_long(source)


def is_long(source: CatalogueColumn) -> bool:
    if source.type in _LONG or source.type in _LONG_BYTES:
        return True
    return source.type in ("char", "varchar", "binary", "varbinary") and declared_size(source) > SHORT


def _source(column: CatalogueColumn, *, whole: bool) -> tuple[str, bool]:
    """The text in the database's SQL, and whether it may be NULL."""
    name, kind, declared = quoted(column.name), column.type, column.full_type.lower()
    if kind in ("bit", "year") or ("zerofill" in declared and kind not in ("decimal", "float", "double")):
        text = f"({name} + 0)"
    elif kind == "decimal" and "zerofill" in declared:
        text = f"CAST({name} AS {_decimal_of(column)})"
    elif kind in ("float", "double"):
        text = floats.source_text(f"({name} + 0e0)")
    elif kind == "date":
        return f"IF(YEAR({name}) AND MONTH({name}) AND DAYOFMONTH({name}), {name}, NULL)", True
    elif kind in ("datetime", "timestamp"):
        checked = f"IF(YEAR({name}) AND MONTH({name}) AND DAYOFMONTH({name}), {name}, NULL)"
        return f"CONCAT({checked}, '{_FRACTIONS[declared_size(column)]}')", True
    elif kind == "time":
        text = f"CONCAT({name}, '{_FRACTIONS[declared_size(column)]}')"
    elif kind == "vector":
        text = floats.source_vector(name)
    elif kind in ("binary", "varbinary") or kind in _LONG_BYTES or is_geometry(column):
        raw = f"SUBSTRING({name}, 5)" if is_geometry(column) else name
        text = f"HEX({raw})" if whole or (not is_long(column) and not is_geometry(column)) else f"SHA2({raw}, 256)"
    elif wire_type(column).split("(")[0] in (*_TEXTS, "json"):
        plain = plain_text(column)
        text = f"SHA2({plain}, 256)" if is_long(column) and not whole else plain
    elif kind in ("uuid", "inet4", "inet6"):
        text = f"CAST({name} AS CHAR)"
    else:
        text = name
    return text, column.nullable


def plain_text(column: CatalogueColumn) -> str:
    """A text column in UTF-8."""
    name = quoted(column.name)
    if column.type in ("enum", "set", "json"):
        return f"CONVERT(CAST({name} AS CHAR) USING utf8mb4)"
    return name if column.charset in _UTF8 else f"CONVERT({name} USING utf8mb4)"


def is_geometry(column: CatalogueColumn) -> bool:
    return wire_type(column) == "geometry"


def _decimal_of(column: CatalogueColumn) -> str:
    return re.sub(r"^(decimal\([\d,]+\)).*$", r"\1", column.full_type.lower())


def _warehouse(value: str, kind: ColumnType, source: CatalogueColumn, *, whole: bool) -> str:
    """The text in GoogleSQL of a value that has the natural type of its source."""
    wire = wire_type(source).split("(")[0].split()[0]
    if kind.kind is Kind.DECIMAL:
        return f"FORMAT('%.{kind.scale}f', {value})" if kind.scale else f"CAST({value} AS STRING)"
    if kind.kind is Kind.FLOAT64:
        return floats.warehouse_text(floats.warehouse_single(value) if wire == "float" else value)
    if kind.kind is Kind.DATETIME:
        return f"FORMAT_DATETIME('{TIME_FORMAT}', {value})"
    if kind.kind is Kind.TIMESTAMP:
        return f"FORMAT_TIMESTAMP('{TIME_FORMAT}', {value}, 'UTC')"
    if kind.kind is Kind.BYTES:
        hashed = (is_long(source) or is_geometry(source)) and not whole
        return f"TO_HEX(SHA256({value}))" if hashed else f"UPPER(TO_HEX({value}))"
    if kind.kind is Kind.JSON:
        text = f"FORMAT('%p', {value})"
        return text if whole else f"TO_HEX(SHA256({text}))"
    if kind.kind is Kind.STRINGS:
        return f"ARRAY_TO_STRING({value}, ',')"
    if kind.kind is Kind.FLOATS:
        return floats.warehouse_vector(value)
    if kind.kind is Kind.STRING:
        return f"TO_HEX(SHA256({value}))" if is_long(source) and not whole else value
    return f"CAST({value} AS STRING)"


def _widened(
    column: LayoutColumn, source: CatalogueColumn, stored: StoredColumn, source_sql: str, table: str, *, whole: bool
) -> ColumnText:
    """A column that was altered at the source: the warehouse has a type that holds all that ever came, or still the one
    of before."""
    value, kind, natural = name_in_warehouse(stored.name), stored.type, column.type
    assert kind is not None
    is_number = pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind)
    if is_number and natural.kind in _NUMBERS:
        return _numbers(column, source, value, kind)
    if is_number and natural.kind is Kind.STRING:
        text = f"FORMAT('%.{kind.scale}f', {value})" if pa.types.is_decimal(kind) else f"CAST({value} AS STRING)"
        return ColumnText(column.name, source_sql, text, _free(source))
    if pa.types.is_string(kind):
        if natural.kind is Kind.DECIMAL and natural.scale <= NUMERIC_SCALE:
            exact = f"FORMAT('%.{NUMERIC_SCALE}f', SAFE_CAST({value} AS NUMERIC))"
            wide = f"CAST({quoted(source.name)} AS DECIMAL(65,{NUMERIC_SCALE}))"
            return ColumnText(column.name, wide, f"COALESCE({exact}, {value})")
        return ColumnText(column.name, source_sql, _from_text(value, natural, source, whole=whole), _free(source))
    raise UnsupportedColumn(
        f"column {column.name} is {kind} in the warehouse and {source.full_type[:60]} in the database: they do not"
        " compare",
        table=table,
        hint="load the table into a new warehouse file, or exclude the column",
    )


def _numbers(column: LayoutColumn, source: CatalogueColumn, value: str, kind: pa.DataType) -> ColumnText:
    """Two types of numbers: as decimals of the longer fraction, or as binary ones where either is."""
    name = quoted(source.name)
    if pa.types.is_floating(kind) or column.type.kind is Kind.FLOAT64:
        double = f"CAST({value} AS FLOAT64)"
        ours = floats.warehouse_text(floats.warehouse_single(double) if source.type == "float" else double)
        return ColumnText(column.name, floats.source_text(f"({name} + 0e0)"), ours)
    scale = max(kind.scale if pa.types.is_decimal(kind) else 0, column.type.scale)
    return ColumnText(column.name, f"CAST({name} AS DECIMAL(65,{min(scale, 30)}))", f"FORMAT('%.{scale}f', {value})")


def _from_text(value: str, kind: ColumnType, source: CatalogueColumn, *, whole: bool) -> str:
    """The text of a value that the warehouse keeps as text by now."""
    if kind.kind is Kind.STRINGS:
        return value
    if kind.kind is Kind.JSON:
        return value if whole else f"TO_HEX(SHA256({value}))"
    if kind.kind is Kind.BYTES:
        return _warehouse(f"FROM_HEX({value})", kind, source, whole=whole)
    back = f"SAFE_CAST({value} AS {kind.bigquery()})"
    return f"COALESCE({_warehouse(back, kind, source, whole=whole)}, {value})"
