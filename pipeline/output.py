"""Results on stdout: a table for people, CSV or JSON lines for programs. Streamed, except the table."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import json
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa

FORMATS = ("table", "csv", "json")
TABLE_ROWS = 10_000
"""A table is measured before it is printed; beyond this many rows it says so and names the other formats."""


def write(reader: pa.RecordBatchReader, form: str, out: IO[str], width: int | None = None) -> int:
    """Prints a result; returns the number of rows printed."""
    if form == "csv":
        return _csv(reader, out)
    if form == "json":
        return _json(reader, out)
    return _table(reader, out, width)


def _rows(reader: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    for batch in reader:
        yield from batch.to_pylist()


def text_of(value: Any) -> str:
    """A value as a person and a spreadsheet read it; money without an exponent and without needless zeros."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, decimal.Decimal):
        return decimal_text(value)
    if isinstance(value, dt.datetime):
        text = value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds").removesuffix(".000000")
        return f"{text}Z" if value.tzinfo else text
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | dict):
        return json.dumps(value, default=text_of, ensure_ascii=False)
    return str(value)


def decimal_text(value: decimal.Decimal) -> str:
    """At least two decimals where there are any, no zeros beyond: 225, 187.50, 0.125."""
    text = f"{value:f}"
    if "." not in text:
        return text
    whole, _, fraction = text.rstrip("0").partition(".")
    return f"{whole}.{fraction:0<2}" if fraction else f"{whole}.00"


def _csv(reader: pa.RecordBatchReader, out: IO[str]) -> int:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(reader.schema.names)
    count = 0
    for row in _rows(reader):
        writer.writerow([text_of(value) for value in row.values()])
        count += 1
    return count


def _json(reader: pa.RecordBatchReader, out: IO[str]) -> int:
    count = 0
    for row in _rows(reader):
        out.write(json.dumps({name: _json_value(value) for name, value in row.items()}, ensure_ascii=False) + "\n")
        count += 1
    return count


def _json_value(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str | list) else text_of(value)


def _table(reader: pa.RecordBatchReader, out: IO[str], width: int | None) -> int:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for field in reader.schema:
        number = pa.types.is_integer(field.type) or pa.types.is_decimal(field.type) or pa.types.is_floating(field.type)
        table.add_column(Text(field.name), justify="right" if number else "left", overflow="fold")
    count, more = 0, False
    for row in _rows(reader):
        if count == TABLE_ROWS:
            more = True
            break
        table.add_row(*(Text(text_of(value)) for value in row.values()))
        count += 1
    console = Console(file=out, width=width)
    console.print(table)
    console.print(
        f"the first {count:,} rows; --format csv prints all" if more else f"{count:,} row{'' if count == 1 else 's'}"
    )
    return count
