"""What to SELECT of a column so that nothing of its values is lost or replaced on the way, see `schemas/types.md`.

Most columns are selected as they are. A session of `schemas.source.connect` prints times in UTC and text in utf8mb4.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from schemas.catalogue import CatalogueColumn, CatalogueTable
from schemas.identifiers import quoted

_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum"})


_LABEL = re.compile(r"'(?:[^']|'')*'")


def select_expression(column: CatalogueColumn, flavor: str) -> str:
    """SQL over one column, for `text_to_arrow`. `flavor` is "mariadb" or "mysql"."""
    name, declared = quoted(column.name), column.full_type.lower()
    if column.type == "float" or (column.type == "double" and declared.startswith("double(")):
        return f"{name} * 1e0"  # a FLOAT is printed with six digits, and both with the decimals declared
    if column.type == "bit":
        return f"{name} + 0"
    if column.type == "set":
        return _set_expression(name, column)
    if column.type == "decimal" and "zerofill" in declared:
        return f"CAST({name} AS {declared.partition(')')[0]}))"
    if column.type in _TEXTS and column.charset not in (None, "utf8mb4"):
        return f"CAST({name} AS BINARY)"  # the server puts `?` for what it cannot convert
    return name


def selected_charset(column: CatalogueColumn) -> str | None:
    """The character set of what `select_expression` selects; None: UTF-8, or no text."""
    return None if column.type == "set" and _has_empty_label(column) else column.charset


def _has_empty_label(column: CatalogueColumn) -> bool:
    return "''" in _LABEL.findall(column.full_type)


def _set_expression(name: str, column: CatalogueColumn) -> str:
    """Each label behind a comma, for the set of the empty label alone is not the empty set. The server leaves an empty
    label out of what it prints."""
    if not _has_empty_label(column):
        return f"CASE WHEN {name} + 0 = 0 THEN '' ELSE CAST(CONCAT(',', {name}) AS BINARY) END"
    bits, labels = f"CAST({name} AS UNSIGNED)", _LABEL.findall(column.full_type)
    parts = (f"IF({bits} & {1 << index}, CONCAT(',', {label}), '')" for index, label in enumerate(labels))
    return f"IF({name} IS NULL, NULL, CONCAT({', '.join(parts)}))"


def select_list(table: CatalogueTable, published: Collection[str], flavor: str) -> str:
    """The expressions of the `published` columns, in the table's order; invisible columns too."""
    return ", ".join(select_expression(column, flavor) for column in table.columns if column.name in published)
