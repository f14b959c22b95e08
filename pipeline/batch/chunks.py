"""Chunks: ranges of the primary key that together hold every row of a table exactly once.

Boundaries are keys of rows, found one after the other in the key's own order, so that chunks are even however sparse or
skewed the keys are. Rows that come or go meanwhile change how many a chunk has, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.batch.keys import Key, check_key, comparison, key_columns, key_expression, read_key
from schemas.catalogue import CatalogueTable
from schemas.errors import UnsupportedKey
from schemas.identifiers import quoted, quoted_table
from schemas.source import Connection
from schemas.source import rows as fetch_rows


@dataclass(frozen=True)
class Chunk:
    """The rows whose key is above `lower` and not above `upper`; None: from the first row, to the last."""

    number: int
    lower: Key | None
    upper: Key | None


def cut(
    connection: Connection,
    table: CatalogueTable,
    rows: int,
    *,
    after: Key | None = None,
    where: str | None = None,
    first: int = 1,
) -> Iterator[Chunk]:
    """Chunks of `rows` rows each that fulfil `where`, fewer in the last one, in key order, from above `after` on,
    numbered from `first` on. The last one is open above.

    Each is one short query on `connection`, which must be in autocommit mode, made when the chunk is asked for. Raises
    UnsupportedKey.
    """
    check_key(table)
    _check_order(connection, table)
    keys = ", ".join(key_expression(column) for column in key_columns(table))
    order = ", ".join(quoted(name) for name in table.primary_key)
    chunk = Chunk(first, after, None)
    while True:
        found = fetch_rows(
            connection,
            f"SELECT {keys} FROM {quoted_table(table.name)} FORCE INDEX (PRIMARY)"
            f" WHERE {condition(table, chunk, where)} ORDER BY {order} LIMIT 1 OFFSET {rows - 1}",
        )
        if not found:
            yield chunk
            return
        upper = read_key(table, found[0])
        yield Chunk(chunk.number, chunk.lower, upper)
        chunk = Chunk(chunk.number + 1, upper, None)


def condition(table: CatalogueTable, chunk: Chunk, where: str | None = None) -> str:
    """What stands behind WHERE: the rows of the chunk that fulfil `where`. Both servers read it off the primary key as
    ranges, without a row too many.

    Trap: hand it to the driver without parameters, for `where` may hold a percent sign. Raises UnsupportedKey.
    """
    parts = []
    if chunk.lower is not None:
        parts.append(_beyond(table, chunk.lower, ">", ">"))
    if chunk.upper is not None:
        parts.append(_beyond(table, chunk.upper, "<", "<="))
    if where is not None:
        parts.append(f"(\n{where}\n)")  # it may end with a comment
    return " AND ".join(parts) or "TRUE"


def _beyond(table: CatalogueTable, key: Key, strict: str, last: str) -> str:
    """`(a > 1) OR (a = 1 AND b > 2)`, as no server ranges over `(a, b) > (1, 2)`.

    Trap: parts that are the same of two keys are not taken out, for parts that only compare equal would look different.
    """
    columns = key_columns(table)
    if len(columns) != len(key):
        raise UnsupportedKey(
            f"a key of {len(key)} values, the primary key has {len(columns)} columns",
            table=table.name,
            hint="the table was altered since: load it anew",
        )
    branches = []
    for index, (column, value) in enumerate(zip(columns, key, strict=True)):
        same = [comparison(column, "=", value) for column, value in zip(columns[:index], key, strict=False)]
        sign = last if index == len(columns) - 1 else strict
        branches.append(" AND ".join([*same, comparison(column, sign, value)]))
    return "(" + " OR ".join(f"({branch})" for branch in branches) + ")"


def _check_order(connection: Connection, table: CatalogueTable) -> None:
    """Neither server walks an index that is partly descending in an order that is ascending throughout."""
    database, name = table.name.split(".", 1)
    found = fetch_rows(
        connection,
        "SELECT DISTINCT collation FROM information_schema.statistics"
        " WHERE table_schema = %s AND table_name = %s AND index_name = 'PRIMARY'",
        (database, name),
    )
    if len(found) > 1:
        raise UnsupportedKey(
            "some parts of the primary key are ascending and some descending",
            table=table.name,
            hint="make all of them ascending, or all descending",
        )
