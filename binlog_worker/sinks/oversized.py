"""Rows that fit into no Pub/Sub message: what of such a row is sent all the same, and the letter about the rest. Pure.

What a role needs of a row (its mapped columns, `where`, segments) and the key always stay: an order's amount must not
go missing because of its note.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from schemas.config import ShopConfig
from schemas.event import OVERSIZED_ROW, OVERSIZED_VALUES, TableSchema, dead_letter_line

LARGEST_REQUEST_BYTES = 10_000_000
"""Pub/Sub, «Quotas and limits»: size of a Publish request and of a message."""

REQUEST_ROOM_BYTES = 4_096
"""For all but the data of a request of one message: topic, attributes, protobuf's own bytes (at most some 1,700)."""

LARGEST_DATA_BYTES = LARGEST_REQUEST_BYTES - REQUEST_ROOM_BYTES

_NAMED_AT_MOST = 20


class Fitted(NamedTuple):
    """`line` is what fits of the row, None where nothing does; `left_out`: columns that are null in it although the row
    has a value, and its bytes in JSON; `letter` says so, None where nobody misses what was left out.

    `outcome` is without_before, without_columns or not_sent; `key` is for people.
    """

    line: bytes | None
    left_out: dict[str, int]
    letter: bytes | None
    outcome: str
    key: str


def needed_columns(config: ShopConfig, table: str) -> frozenset[str]:
    """The source columns of a table without which its row would be no order, item, charge or customer any more."""
    needed: set[str] = set()
    for _, definition in config.roles_of.get(table, ()):
        needed |= {column.column for column in definition.columns.values()} | set(definition.segments)
        needed |= {definition.where.column} if definition.where else set()
    return frozenset(needed)


def fit(line: bytes, schema: TableSchema, needed: Collection[str], largest: int) -> Fitted:
    """What is sent in place of `line`, an event of more than `largest` bytes.

    An update goes without its image before, if that is enough; else values are left out, the largest first, until the
    rest fits. A deletion needs nothing but its key.
    """
    event = orjson.loads(line)
    op, source = event["op"], event["source"]
    row: dict[str, Any] = event["before" if op == "d" else "after"]
    key = {name: row[name] for name in schema.primary_key}
    shown = ", ".join(f"{name}={str(value)[:60]}" for name, value in key.items())
    if op == "u":
        event["before"] = None
        without_before = orjson.dumps(event)
        if len(without_before) <= largest:
            return Fitted(without_before, {}, None, "without_before", shown)
    sizes = {name: len(orjson.dumps(value)) for name, value in row.items() if value is not None}
    order = sorted(sizes, key=lambda name: (-sizes[name], name))
    left_out = _enough(event, [name for name in order if name not in key and (op == "d" or name not in needed)], sizes,
                       largest)  # fmt: skip
    if left_out is None:
        largest_ones = {name: sizes[name] for name in order[:_NAMED_AT_MOST]}
        letter = _letter(event, schema.table, OVERSIZED_ROW, key, len(line), largest_ones)
        return Fitted(None, {}, letter, "not_sent", shown)
    said = None if op == "d" else _letter(event, schema.table, OVERSIZED_VALUES, key, len(line), left_out)
    row.update(dict.fromkeys(left_out))
    event["source"] = {**source, "left_out": list(left_out)}
    return Fitted(orjson.dumps(event), left_out, said, "without_columns", shown)


def _enough(
    event: dict[str, Any], candidates: Sequence[str], sizes: Mapping[str, int], largest: int
) -> dict[str, int] | None:
    """The first so many candidates without which the event fits, and their sizes; None where all are too few."""
    size = len(orjson.dumps(event)) + len(b',"left_out":[]')
    left_out: dict[str, int] = {}
    for name in candidates:
        left_out[name] = sizes[name]
        size += len(b"null,") + len(orjson.dumps(name)) - sizes[name]
        if size <= largest:
            return left_out
    return None


def _letter(
    event: dict[str, Any], table: str, reason: str, key: dict[str, Any], size: int, columns: dict[str, int]
) -> bytes:
    letter = {"table": table, "reason": reason, "op": event["op"], "key": key, "bytes": size, "columns": columns}
    return dead_letter_line(letter, event["source"], event["ts_ms"])
