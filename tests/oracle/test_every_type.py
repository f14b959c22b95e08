"""One table with a column of every type: each decoded value is what SELECT returns, and what mysql-replication makes of
it where that is right."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import gcd
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from tests.oracle.column_type import WRONG, ColumnType
from tests.oracle.column_types import column_types, old_times
from tests.oracle.source import Source

ROWS = 4_700
"""Of the table with every type, on each server."""
LIBRARY_ROWS = 300
RANDOM_VALUES = 30
"""Of each type, put together to rows in ever other ways."""


def random_values(kind: ColumnType) -> list[str]:
    """Literals that hypothesis finds for a type."""
    found: list[str] = []

    @settings(
        max_examples=RANDOM_VALUES, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck)
    )
    @given(kind.random)
    def collect(literal: str) -> None:
        found.append(literal)

    collect()
    return found


def literals(types: Mapping[str, ColumnType], count: int) -> Iterator[str]:
    """Rows of an INSERT: number, -7, the values, 9. First a row of NULLs, then all extremes, then random values, in a
    third of the rows with NULLs among them."""
    dice = random.Random(7)
    pools = [random_values(kind) for kind in types.values()]
    steps = [dice.choice([step for step in range(1, 200) if gcd(step, len(pool)) == 1]) for pool in pools]
    longest = max(len(kind.extremes) for kind in types.values())
    for number in range(count):
        if not number:
            values = ["NULL"] * len(pools)
        else:
            values = [pool[number * step % len(pool)] for pool, step in zip(pools, steps, strict=True)]
        if 0 < number <= longest:
            extremes = [kind.extremes or pool for kind, pool in zip(types.values(), pools, strict=True)]
            values = [found[number % len(found)] for found in extremes]
        elif number % 3 == 0:
            values = [value if dice.random() > 0.2 else "NULL" for value in values]
        yield f"({number},-7,{','.join(values)},9)"


class Filled:
    """A table with a column of each of `types`, rows in it, and where they stand in the log."""

    def __init__(self, source: Source, types: Mapping[str, ColumnType], rows: int) -> None:
        self.source, self.types = source, types
        columns = ", ".join(f"c{index} {kind.sql}" for index, kind in enumerate(types.values()))
        source.run(f"CREATE TABLE t (id INT PRIMARY KEY, before_ TINYINT NOT NULL, {columns}, after_ TINYINT NOT NULL)")
        self.start = source.position()
        source.insert("t", list(literals(types, rows)))

    def selected(self) -> dict[int, tuple[Any, ...]]:
        expressions = (kind.select.format(f"c{index}") for index, kind in enumerate(self.types.values()))
        return {row[0]: row[1:] for row in self.source.run(f"SELECT id, {', '.join(expressions)} FROM t")}


def wrong_values(types: Mapping[str, ColumnType], row: list[Any], theirs: tuple[Any, ...]) -> list[str]:
    found = []
    for (name, kind), ours, raw in zip(types.items(), row, theirs, strict=True):
        expected = None if raw is None else kind.convert(raw)
        if (ours is None or raw is None) and ours is not expected:
            found.append(f"{name}: {ours!r} instead of {expected!r}")
        elif ours is not None and not kind.equal(ours, expected):
            found.append(f"{name}: {ours!r:.200} instead of {expected!r:.200}")
    return found


def assert_selected(filled: Filled) -> list[list[Any]]:
    rows = filled.source.inserted(filled.start, table="t")
    expected = filled.selected()
    assert len(rows) == len(expected)
    for row in rows:
        wrong = wrong_values(filled.types, row[2:-1], expected[row[0]])
        assert not wrong, f"row {row[0]}: {'; '.join(wrong[:5])}"
        assert (row[1], row[-1]) == (-7, 9), "a neighbour was read at the wrong place"
    return rows


def in_any_order(types: Mapping[str, ColumnType]) -> dict[str, ColumnType]:
    """What the log says of a column depends on those before it."""
    return dict(random.Random(len(types)).sample(sorted(types.items(), key=lambda item: item[0]), len(types)))


def test_every_value_is_what_the_server_selects(source: Source) -> None:
    filled = Filled(source, in_any_order(column_types(source.mariadb, source.version)), ROWS)
    rows = assert_selected(filled)
    assert all(any(row[index] is None for row in rows) for index in range(2, len(rows[0]) - 1))
    kept = range(0, len(filled.types) + 3, 3)
    passed_over = source.inserted(filled.start, keep=kept, table="t")
    assert passed_over == [[row[index] for index in kept] for row in rows]


def test_values_are_those_of_mysql_replication_where_it_is_right(source: Source) -> None:
    every = column_types(source.mariadb, source.version)
    types = {name: kind for name, kind in every.items() if kind.library not in (WRONG, None)}
    assert len(types) > 50
    filled = Filled(source, types, LIBRARY_ROWS)
    ours = source.inserted(filled.start, table="t")
    theirs = list(read_by_library(source, filled.start))
    assert len(ours) == len(theirs) == LIBRARY_ROWS
    for row, other in zip(ours, theirs, strict=True):
        for (name, kind), mine, found in zip(types.items(), row[2:-1], other[2:-1], strict=True):
            assert callable(kind.library)
            value = None if found is None else kind.library(found)
            assert (mine is value) if mine is None else kind.equal(mine, value), (name, mine, found)


def read_by_library(source: Source, start: tuple[str, int]) -> Iterator[list[Any]]:
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.row_event import WriteRowsEvent

    settings = {name: getattr(source.server, name) for name in ("host", "port", "user")}
    stream = BinLogStreamReader(
        {**settings, "passwd": source.server.password},
        server_id=source.server_id + 1,
        log_file=start[0],
        log_pos=start[1],
        resume_stream=True,
        only_events=[WriteRowsEvent],
        only_schemas=[source.database],
        only_tables=["t"],
    )
    try:
        for event in stream:
            yield from (list(row["values"].values()) for row in event.rows)
    finally:
        stream.close()


@contextmanager
def temporal_format_of_before(source: Source) -> Iterator[None]:
    source.run("SET GLOBAL mysql56_temporal_format=OFF")
    try:
        yield
    finally:
        source.run("SET GLOBAL mysql56_temporal_format=ON")


def test_times_in_the_format_of_before_mysql_56(mariadb_source: Source) -> None:
    """MySQL 9 has no such tables: it upgrades none that does."""
    source = mariadb_source
    with temporal_format_of_before(source):
        filled = Filled(source, old_times(), 400)
    rows = assert_selected(filled)
    kept = range(0, len(filled.types) + 3, 2)
    assert source.inserted(filled.start, keep=kept, table="t") == [[row[index] for index in kept] for row in rows]
