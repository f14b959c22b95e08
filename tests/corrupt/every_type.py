"""Tables of a few columns each that have every type between them, and rows in them: the extremes of the oracle tests,
as far as they are short."""

from __future__ import annotations

from collections.abc import Iterator

from tests.oracle.column_types import column_types, old_times

COLUMNS, ROWS, LONGEST_LITERAL = 9, 3, 70
"""Columns of one table besides its key, rows with values in them, characters of a literal."""

VERSIONS = {"mariadb": (10, 11), "mysql": (9, 7)}
OLD = "old_"
"""The names of tables with times in the format of before MySQL 5.6 begin with it."""

Types = dict[str, tuple[str, list[str]]]
"""Name of a column → its type, and literals."""

_OPAQUE = ("CAST(-1.50 AS DECIMAL(8,3))", "CAST('2022-01-13' AS DATE)", "CAST('-10:00:00.5' AS TIME(6))",
           "CAST('2022-01-13 10:00:00.5' AS DATETIME(3))", "x'00ff'", "ST_GeomFromText('POINT(1 2)')")  # fmt: skip
_DOCUMENTS = (
    f"JSON_ARRAY({', '.join(_OPAQUE)}, NULL, TRUE, -1, 40000, -2147483648, 4294967295, {2**63}, {2**64 - 1}, 1.5e0)",
    "JSON_OBJECT('a', JSON_OBJECT('b', JSON_ARRAY(JSON_ARRAY(1, 'é\"\\n'), JSON_OBJECT())), 'ab', REPEAT('x', 130))",
)
_MORE: dict[str, dict[str, tuple[str, ...]]] = {
    "json": {"mysql": _DOCUMENTS, "mariadb": ()},
    "varchar compressed": {"mariadb": ("REPEAT('ab', 70)",)},
    "varchar compressed latin1": {"mariadb": ("REPEAT('ä', 110)",)},
    "varbinary compressed": {"mariadb": ("REPEAT(x'00', 110)",)},
    "text compressed": {"mariadb": ("REPEAT('é', 110)",)},
    "blob compressed": {"mariadb": ("REPEAT(x'00ff', 70)",)},
}
"""What is too long for a literal, or of one server only."""


def _literals(flavor: str, name: str, extremes: list[str]) -> list[str]:
    """The first and the last ones in the end."""
    short = [literal for literal in extremes if len(literal) <= LONGEST_LITERAL and "REPEAT" not in literal]
    found = [*_MORE.get(name, {}).get(flavor, ()), *short[::-1]]
    return [found[index % len(found)] if found else "NULL" for index in range(ROWS)]


def _rows(name: str, flavor: str, types: Types) -> str:
    """The last row has NULLs only."""
    values = [_literals(flavor, column, extremes) for column, (_, extremes) in types.items()]
    rows = [", ".join((str(number), *row)) for number, row in enumerate(zip(*values, strict=True), 1)]
    rows.append(", ".join((str(ROWS + 1), *["NULL"] * len(types))))
    return f"INSERT INTO {name} VALUES ({'), ('.join(rows)})"


def _tables(flavor: str) -> dict[str, Types]:
    mariadb = flavor == "mariadb"
    kinds = {name: (kind.sql, kind.extremes) for name, kind in column_types(mariadb, VERSIONS[flavor]).items()}
    names = list(kinds)
    found = {f"t{at}": {name: kinds[name] for name in names[at : at + COLUMNS]} for at in range(0, len(names), COLUMNS)}
    if mariadb:
        old = {name: (kind.sql, kind.extremes) for name, kind in old_times().items() if name[-1].isdigit()}
        for kind in ("datetime", "timestamp", "time"):
            found[OLD + kind] = {name: old[name] for name in old if name.split()[0] == kind}
    return found


def _created(flavor: str) -> Iterator[str]:
    """A column is named after its type."""
    for name, types in _tables(flavor).items():
        if name.startswith(OLD):
            yield "SET GLOBAL mysql56_temporal_format = OFF"
        columns = ", ".join(f"`{column}` {sql}" for column, (sql, _) in types.items())
        yield f"CREATE TABLE {name} (id INT PRIMARY KEY, {columns})"
        if name.startswith(OLD):
            yield "SET GLOBAL mysql56_temporal_format = ON"


def _filled(flavor: str) -> Iterator[str]:
    """In one transaction."""
    yield "SET binlog_annotate_row_events = OFF" if flavor == "mariadb" else "SET binlog_rows_query_log_events = OFF"
    yield "BEGIN"
    for number, (name, types) in enumerate(_tables(flavor).items()):
        yield _rows(name, flavor, types)
        if number % 3:
            yield f"UPDATE {name} SET id = 10 WHERE id = 1" if number % 3 == 1 else f"DELETE FROM {name} WHERE id = 2"
    yield "COMMIT"


TABLES = {flavor: tuple(_created(flavor)) for flavor in VERSIONS}
FILL = {flavor: tuple(_filled(flavor)) for flavor in VERSIONS}
