"""Dead letters that the worker writes: rows too large for any message, sent without some of their values or not at all.

Pure but for `overtaken`, which asks the warehouse.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from pipeline.changes import DeadRow
from pipeline.layout import Layout, LayoutProblem, layouts
from pipeline.values import to_arrow
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig
from schemas.errors import DeadLetter, QueryError
from schemas.event import OVERSIZED_ROW, OVERSIZED_VALUES, TableSchema
from schemas.tables import RAW

_REASON = re.compile(r"[a-z_]{1,40}")

EXTRACT = "extract"
"""Attribute of the dead letters of a CSV extract: its path."""

REDERIVED = "rederived"
"""Attribute, and beginning of the id, of the dead letters of `rederive`."""

WAY_OUT = (
    "a row larger than a message never left the worker whole, so it cannot be put through again: name its large"
    " columns under `exclude` in shop.yaml. Such a letter leaves the list, by --retry, once a later version of its row"
    " has come. A line of an extract is read again with its file, by `batch --extract`, once that was corrected; what"
    " `rederive` found incomplete is mended in the shop"
)


def letter_source(event: dict[str, Any]) -> dict[str, Any]:
    """The source block of a line with a letter. Raises DeadLetter."""
    source = event.get("source")
    if not isinstance(source, dict):
        raise DeadLetter("not_an_event", "a letter of the worker without its source")
    return source


def worker_letter(
    event: dict[str, Any], line: bytes, schema: bytes, sequence: str, attributes: dict[str, str]
) -> DeadRow:
    """`line` parsed as `event`, below the line of its table's schema. Raises DeadLetter.

    The sequence number is its id: told twice, or read from files as well, it is one letter all the same.
    """
    letter, source = event["dead_letter"], letter_source(event)
    if not isinstance(letter, dict):
        raise DeadLetter("not_an_event", "a letter of the worker that is no object")
    table, reason, key, columns = (letter.get(name) for name in ("table", "reason", "key", "columns"))
    if not (
        isinstance(table, str)
        and isinstance(reason, str)
        and _REASON.fullmatch(reason)
        and isinstance(key, dict)
        and isinstance(columns, dict)
        and type(letter.get("bytes")) is int
    ):
        raise DeadLetter("not_an_event", "a letter of the worker without table, reason, key, columns or bytes")
    shown = ", ".join(f"{name}={str(part)[:60]}" for name, part in key.items())
    sizes = ", ".join(f"{name} ({size:,} bytes)" for name, size in columns.items() if type(size) is int)
    what = "sent without" if reason == OVERSIZED_VALUES else "nothing of it was sent; its largest:"
    error = (
        f"{shown[:300]}: op {str(letter.get('op'))[:1]}, {letter['bytes']:,} bytes, at {str(source.get('file'))[:80]}:"
        f"{str(source.get('pos'))[:20]}, fits into no message; {what} {sizes}"
    )
    return DeadRow(sequence, 1, table[:200], reason, error[:1000], line, schema, dict(attributes))


def is_final(letter: DeadRow) -> bool:
    """Whether putting it through again would only give the same letter."""
    return letter.reason in (OVERSIZED_ROW, OVERSIZED_VALUES) or bool({EXTRACT, REDERIVED} & letter.attributes.keys())


def overtaken(letter: DeadRow, config: ShopConfig, warehouse: Warehouse) -> bool:
    """Whether wherever its row belongs there is a later version, or the table was emptied since: then nothing is
    missing any more. Raises what the warehouse raises."""
    if {EXTRACT, REDERIVED} & letter.attributes.keys():
        return False
    event = orjson.loads(letter.data)
    try:
        found = layouts(TableSchema.from_body(orjson.loads(letter.schema)["schema"]), config)
        return all(_later(layout, event["dead_letter"]["key"], letter.message_id, warehouse) for layout in found)
    except (LayoutProblem, ValueError, LookupError, QueryError):
        return False  # of a table that is configured otherwise by now, or that holds no row yet


def _later(layout: Layout, key: dict[str, Any], sequence: str, warehouse: Warehouse) -> bool:
    columns = {column.name: column for column in layout.columns}
    parameters = {"table": layout.table, "sequence": sequence}
    for index, name in enumerate(layout.key):
        parameters[f"key{index}"] = to_arrow([key[columns[name].source]], columns[name].type)[0].as_py()
    where = " AND ".join(f"`{name}` = @key{index}" for index, name in enumerate(layout.key))
    later = f"""SELECT _sequence FROM {RAW}.`{layout.table}` WHERE {where} AND _sequence > @sequence
        UNION ALL SELECT _sequence FROM {RAW}.floors WHERE `table` = @table AND _sequence > @sequence"""
    with warehouse.query(later, parameters) as reader:
        return bool(reader.read_all().num_rows)
