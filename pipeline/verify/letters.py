"""Rows that differ because a change of theirs became a dead letter: known, and reported as such."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson

from pipeline.changes import DeadRow
from pipeline.verify.differences import Difference
from pipeline.verify.tables import ComparedTable
from schemas.catalogue import CatalogueColumn, wire_type


def explained(differences: Iterable[Difference], table: ComparedTable, letters: Iterable[DeadRow]) -> list[Difference]:
    """The same differences; those whose key has a dead letter say so in their note."""
    reasons: dict[tuple[str | None, ...], str] = {}
    for letter in letters:
        key = _key(letter, table)
        if key is not None:
            reasons[key] = f"dead letter: {letter.reason}: {letter.error}"
    found = []
    for difference in differences:
        reason = reasons.get(tuple(difference.key.values()))
        notes = [note for note in (difference.note, reason) if note]
        found.append(replace(difference, note="; ".join(notes)))
    return found


def _key(letter: DeadRow, table: ComparedTable) -> tuple[str | None, ...] | None:
    """The key of the row that a letter is about, as `ComparedTable.keys` write it; None where it tells of none."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        line = orjson.loads(letter.data)
        event = line.get("payload") or line
        if "dead_letter" in event:
            row: Any = event["dead_letter"].get("key")
        else:
            row = event.get("before") if event.get("op") == "d" else event.get("after")
        if isinstance(row, dict) and all(column.name in row for column in table.key_columns):
            return tuple(_text(row[column.name], column) for column in table.key_columns)
    return None


def _text(value: object, column: CatalogueColumn) -> str | None:
    if value is None:
        return None
    if isinstance(value, list):
        return ",".join(map(str, value))
    text = str(value)
    kind = wire_type(column).split("(")[0]
    if kind in ("binary", "varbinary"):
        return base64.b64decode(text).hex().upper()
    return text.replace("T", " ").removesuffix("Z") if kind in ("datetime", "timestamp") else text
