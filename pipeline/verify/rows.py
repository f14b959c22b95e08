"""A row as both sides have it, column by column: for the few that a checksum points to, to be judged and shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from pipeline.google_names import quoted as name_in_warehouse
from pipeline.layout import LOCAL_DATES, Layout, LayoutColumn
from pipeline.local_time import instant_and_date
from pipeline.verify import floats
from pipeline.verify.texts import (
    TIME_FORMAT,
    StoredColumn,
    column_text,
    is_geometry,
    is_long,
    plain_text,
    source_wall,
    zone_of,
)
from schemas.catalogue import CatalogueColumn, CatalogueTable
from schemas.columns import Kind
from schemas.config import DATE_COLUMNS, ShopConfig
from schemas.identifiers import quoted

SHOWN = 60
"""Characters of a long value that are read, beside its length and hash."""


@dataclass(frozen=True)
class RowText:
    """`source` and `warehouse` are SQL as in `texts`; `expected` makes of the database's text what the warehouse's
    should be. `number`: it is written as `floats` does."""

    name: str
    source: str
    warehouse: str
    expected: Callable[[str | None], str | None] = lambda text: text
    number: bool = False

    def shown(self, text: str | None) -> str | None:
        """For people."""
        if text is None or not self.number:
            return text
        value = floats.number_of(text)
        return text if value is None else repr(value)


def row_texts(
    layout: Layout, table: CatalogueTable, stored: dict[str, pa.DataType], config: ShopConfig
) -> list[RowText]:
    """All columns of a raw table. Raises UnsupportedColumn as `texts.column_texts`."""
    catalogue = {column.name: column for column in table.columns}
    found: list[RowText] = []
    for column in layout.columns:
        source = catalogue[column.source]
        kept = stored.get(column.name)
        if layout.role and column.name in DATE_COLUMNS:
            found += _role_date(column, source, zone_of(layout, column, config), config.time_zone)
        elif is_long(source) or is_geometry(source):
            found.append(_long(column, source, kept, table.name))
        else:
            text = column_text(column, source, StoredColumn(column.name, kept), table.name)
            number = column.type.kind is Kind.FLOAT64 or (kept is not None and pa.types.is_floating(kept))
            found.append(RowText(column.name, text.source, text.warehouse, number=number))
    return found


def _role_date(column: LayoutColumn, source: CatalogueColumn, zone: str, shop_zone: str) -> list[RowText]:
    wall = source_wall(source)
    has_zone = column.type.kind is Kind.TIMESTAMP

    def stored(text: str | None) -> tuple[str | None, str | None]:
        """Instant and local date, as the pipeline makes them of the database's value."""
        if text is None or text.startswith("0000") or text[5:7] == "00" or text[8:10] == "00":
            return None, None
        times = pa.array([text]).cast(pa.timestamp("us"))
        times = times.cast(pa.timestamp("us", "UTC")) if has_zone else times
        instants, dates = instant_and_date(times, zone, shop_zone)
        instant = instants[0].as_py()
        return instant.strftime("%Y-%m-%d %H:%M:%S.%f"), str(dates[0].as_py())

    kept, local = name_in_warehouse(column.name), name_in_warehouse(LOCAL_DATES[column.name])
    return [
        RowText(column.name, wall, f"FORMAT_TIMESTAMP('{TIME_FORMAT}', {kept}, 'UTC')", lambda text: stored(text)[0]),
        RowText(LOCAL_DATES[column.name], wall, f"CAST({local} AS STRING)", lambda text: stored(text)[1]),
    ]


def _long(column: LayoutColumn, source: CatalogueColumn, kept: pa.DataType | None, table: str) -> RowText:
    """Length, hash and beginning."""
    hashed = column_text(column, source, StoredColumn(column.name, kept), table)
    name = quoted(source.name)
    if column.type.kind is Kind.BYTES:
        raw = f"SUBSTRING({name}, 5)" if is_geometry(source) else name
        length, begin = f"LENGTH({raw})", f"HEX(LEFT({raw}, {SHOWN // 2}))"
    else:
        plain = plain_text(source)
        length, begin = f"CHAR_LENGTH({plain})", f"LEFT({plain}, {SHOWN})"
    theirs = f"CONCAT({length}, ', ', LEFT({hashed.source}, 12), ': ', {begin})"
    if kept is None:
        return RowText(column.name, theirs, "CAST(NULL AS STRING)")
    value = name_in_warehouse(column.name)
    if pa.types.is_binary(kept):
        length, begin = f"LENGTH({value})", f"SUBSTR(UPPER(TO_HEX({value})), 1, {SHOWN // 2 * 2})"
    else:
        plain = f"FORMAT('%p', {value})" if column.type.kind is Kind.JSON else value
        length, begin = f"CHAR_LENGTH({plain})", f"SUBSTR({plain}, 1, {SHOWN})"
    ours = f"CONCAT(CAST({length} AS STRING), ', ', SUBSTR({hashed.warehouse}, 1, 12), ': ', {begin})"
    return RowText(column.name, theirs, ours)
