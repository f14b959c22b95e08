"""Columns of the rolled-up tables as what the page shows: exact decimal texts, months, days, instants, texts of the
shop that are short enough to show."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.warehouse import Warehouse

LONGEST = 200
"""Characters of a text of the shop."""

Columns = dict[str, list[Any]]


def read(
    warehouse: Warehouse,
    source: str,
    plain: Sequence[str] = (),
    money: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
) -> Columns:
    """Column → its values, in the order of the rows. `source` is what follows SELECT … FROM.

    `money` comes as texts without needless zeros. The warehouse writes them, so that no float is ever between.
    """
    listed = [*plain, *(f"CAST({name} AS STRING) AS {_alias(name)}" for name in money)]
    with warehouse.query(f"SELECT {', '.join(listed)} FROM {source}", parameters) as reader:
        table = reader.read_all()
    exact = {_alias(name) for name in money}
    return {
        name: (_trimmed(column) if name in exact else column).to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _alias(name: str) -> str:
    return name.rpartition(".")[2]


def _trimmed(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """225.000000000 → 225, 187.500000000 → 187.5, 100 → 100."""
    short = pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".")
    return pc.if_else(pc.match_substring(texts, "."), short, texts)


def count(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def rows(columns: Columns) -> list[dict[str, Any]]:
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def month(day: dt.date) -> str:
    return day.isoformat()[:7]


def day(value: dt.date | None) -> str | None:
    return None if value is None else value.isoformat()


def instant(value: dt.datetime | None) -> str | None:
    """2022-01-31T10:00:00Z, less what is below a second."""
    return (
        None
        if value is None
        else f"{value.astimezone(dt.timezone.utc).replace(tzinfo=None, microsecond=0).isoformat()}Z"
    )


def shown(text: str | None) -> str | None:
    """A text of the shop. What is cut ends in eight digits of the hash of the whole, so that two that begin alike are
    still two."""
    if text is None or len(text) <= LONGEST:
        return text
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: LONGEST - len(mark) - 2]}… {mark}"
