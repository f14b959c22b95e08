"""Primary keys whose values can be ranged: which types, how a value is read exactly, and how it is compared in SQL.

A key is a tuple of integers and texts, one for each column of the primary key: what JSON can hold, exactly. The server
alone compares keys, by the column's own order (its collation too), so that an index serves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from schemas.catalogue import CatalogueColumn, CatalogueTable
from schemas.errors import UnsupportedKey
from schemas.identifiers import quoted

Key: TypeAlias = tuple[int | str, ...]

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_NUMBERED = frozenset({"year", "bit", "enum"})
"""Read as the number that the server sorts them by."""

_PRINTED = {
    "decimal": re.compile(r"-?\d{1,65}(\.\d{1,38})?"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "datetime": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?"),
    "timestamp": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?"),
    "time": re.compile(r"-?\d{2,3}:\d\d:\d\d(\.\d{1,6})?"),
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "inet4": re.compile(r"\d{1,3}(\.\d{1,3}){3}"),
    "inet6": re.compile(r"[0-9a-f:.]{2,45}"),
}
"""Read as the server prints them, a TIMESTAMP in UTC; such a text is compared as a value of the column's type."""

_ZERO_DATE = re.compile(r"0000-00-00|[1-9]\d{3}-(00-\d\d|\d\d-00)")
_BYTES = frozenset({"char", "varchar", "binary", "varbinary"})
_HEXADECIMAL = re.compile(r"([0-9A-F]{2})*")
_CHARSET = re.compile(r"[a-z0-9_]+")
_LABEL = re.compile(r"'((?:[^']|'')*)'")


def check_key(table: CatalogueTable) -> None:
    """Raises UnsupportedKey where the table cannot be cut into ranges of its primary key."""
    if not table.primary_key:
        raise UnsupportedKey(
            "the table has no primary key, by which it could be read in parts and its rows told apart",
            table=table.name,
            hint="add one",
        )
    if table.prefix_key:
        raise UnsupportedKey(
            "a part of the primary key is only the start of a column, which is no order of its rows",
            table=table.name,
            hint="make a key of whole columns",
        )
    for column in key_columns(table):
        if column.type in ("float", "double"):
            problem, hint = "a number that is not what it prints", "make it a DECIMAL"
        elif column.type == "enum" and not _has_clear_labels(column):
            problem, hint = "whose labels cannot be told apart here", "take labels of plain letters, none of them empty"
        elif column.type in _INTEGERS | _NUMBERED | _PRINTED.keys() | _BYTES:
            continue
        else:
            problem, hint = "which cannot be cut into ranges", "make a key of integers, texts, decimals, dates or times"
        raise UnsupportedKey(
            f"primary key column {column.name} is {column.full_type:.60}, {problem}", table=table.name, hint=hint
        )


def key_columns(table: CatalogueTable) -> list[CatalogueColumn]:
    columns = {column.name: column for column in table.columns}
    return [columns[name] for name in table.primary_key]


def key_expression(column: CatalogueColumn) -> str:
    """What to SELECT for the exact value of a key column, see `read_key`."""
    name = quoted(column.name)
    if column.type in _BYTES:
        return f"HEX({name})"
    if column.type in _PRINTED:
        return f"CAST({name} AS CHAR)"
    if column.type == "enum":
        return f"CAST({name} AS UNSIGNED)"
    return f"{name} + 0" if column.type in _NUMBERED else name


def read_key(table: CatalogueTable, row: Sequence[object]) -> Key:
    """The key of a row of `key_expression`s."""
    columns = key_columns(table)
    return tuple(
        str(value) if column.type in _BYTES or column.type in _PRINTED else int(str(value))
        for column, value in zip(columns, row, strict=True)
    )


def comparison(column: CatalogueColumn, sign: str, value: int | str) -> str:
    """`sign` is `<`, `<=`, `=`, `>=` or `>`. Nothing of the value gets into the SQL unless it has the form of the
    column's type; raises UnsupportedKey where it has not, as when the table was altered."""
    name = quoted(column.name)
    if column.type == "enum" and type(value) is int:
        return _in_labels(column, name, sign, value)
    return f"{name} {sign} {_literal(column, value)}"


def _literal(column: CatalogueColumn, value: int | str) -> str:
    if type(value) is int and column.type in _INTEGERS | _NUMBERED:
        return str(value)
    if isinstance(value, str):
        form = _PRINTED.get(column.type)
        if form is not None and form.fullmatch(value):
            if _ZERO_DATE.match(value):
                return re.sub("[- :]", "", value)  # as a text MySQL refuses it, as a number neither server does
            return value if column.type == "decimal" else f"'{value}'"
        if column.type in _BYTES and _HEXADECIMAL.fullmatch(value):
            if column.charset in (None, "binary"):
                return f"x'{value}'"
            if _CHARSET.fullmatch(column.charset or ""):
                return f"_{column.charset} x'{value}'"  # its charset is the column's, whose collation compares
    raise UnsupportedKey(
        f"{value!r:.60} is no value of the key column {column.name} ({column.full_type:.60})",
        hint="the table was altered since: load it anew",
    )


def _in_labels(column: CatalogueColumn, name: str, sign: str, value: int) -> str:
    """An ENUM is sorted by the numbers of its labels and compared by their text, so all labels are named. The number 0
    is the empty text, which an ENUM has without being told."""
    wanted = {
        "<": range(value),
        "<=": range(value + 1),
        "=": range(value, value + 1),
        ">=": range(value, 1 << 16),
        ">": range(value + 1, 1 << 16),
    }[sign]
    labels = ["", *_labels(column)]
    chosen = [label for number, label in enumerate(labels) if number in wanted]
    if not 0 <= value < len(labels):
        raise UnsupportedKey(f"{value} is no value of the key column {column.name}", hint="load the table anew")
    texts = ", ".join(f"_utf8mb4 x'{label.encode().hex()}'" for label in chosen)
    return f"{name} IN ({texts})" if chosen else "FALSE"


def _labels(column: CatalogueColumn) -> list[str]:
    return [label.replace("''", "'") for label in _LABEL.findall(column.full_type)]


def _has_clear_labels(column: CatalogueColumn) -> bool:
    """The catalogue escapes what it cannot print by a backslash, and puts `?` for what it cannot convert."""
    labels = _labels(column)
    unclear = column.charset == "binary" or not {"\\", "?"}.isdisjoint(column.full_type)
    return not unclear and "" not in labels and len({label.casefold() for label in labels}) == len(labels)
