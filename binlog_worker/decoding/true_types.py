"""Types that MariaDB's log does not tell, taken from the catalogue, or refused: never guessed.

A UUID or an INET6 is logged as a BINARY(16), an INET4 as a BINARY(4), a VECTOR(n) as a VARBINARY(4n), and times in the
format of before MySQL 5.6 without their fraction digits (MariaDB source, `Binlog_type_info`; 10.5 to 11.8). Columns
that look alike in the log are told apart by their names in today's table. Bytes are the same under either type, and
an ALTER TABLE from one to the other keeps them, so an older row reads as the column reads today.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.charsets import BINARY
from binlog_worker.decoding.table_map import Column, TableLayout
from schemas.catalogue import CatalogueColumn, CatalogueTable, declared_size
from schemas.source import Server

FIRST_VECTORS = (11, 7)
"""MariaDB's first version with VECTOR."""

ReadTable = Callable[[str], CatalogueTable | None]
"""database.table → what the catalogue says of it now; None: nothing."""


class _Shape(NamedTuple):
    """What the log shows of a column, or of its type today."""

    kind: int
    size: int


_UNTOLD = frozenset((t.LOOKALIKE, t.OLD_TIME, t.OLD_DATETIME, t.OLD_TIMESTAMP))
_BINARIES = {"binary": t.STRING, "varbinary": t.VARCHAR}
_ADDRESSES = {"uuid": _Shape(t.UUID, 16), "inet6": _Shape(t.INET6, 16), "inet4": _Shape(t.INET4, 4)}
_OLD_TEMPORAL = {
    "time": (t.OLD_TIME, t.TIME_53),
    "datetime": (t.OLD_DATETIME, t.DATETIME_53),
    "timestamp": (t.OLD_TIMESTAMP, t.TIMESTAMP_53),
}


class TrueTypes:
    """`with_true_types` over a run, for the tables that are wanted. A table is read from the catalogue again where what
    is known of it does not tell, and when it is met after an ALTER TABLE in the log."""

    def __init__(self, server: Server, tables: Mapping[str, CatalogueTable], read: ReadTable) -> None:
        self._vectors = server.version >= FIRST_VECTORS
        self._tables: dict[str, CatalogueTable | None] = dict(tables)
        self._read = read

    def refined(self, layout: TableLayout) -> TableLayout:
        """Raises what reading the catalogue raises."""
        if not _looks(layout, self._vectors):
            return layout
        if layout.name in self._tables:
            found = with_true_types(layout, self._tables[layout.name], vectors=self._vectors)
            if not any(column.kind in _UNTOLD for column in found.columns):
                return found
        self._tables[layout.name] = self._read(layout.name)
        return with_true_types(layout, self._tables[layout.name], vectors=self._vectors)

    def altered(self) -> None:
        """Some table is another one from here on."""
        self._tables.clear()


def true_types(server: Server, tables: Mapping[str, CatalogueTable], read: ReadTable) -> TrueTypes | None:
    """None on MySQL, whose log tells all types."""
    return TrueTypes(server, tables, read) if server.flavor == "mariadb" else None


def with_true_types(layout: TableLayout, table: CatalogueTable | None, *, vectors: bool = True) -> TableLayout:
    """The layout with the types of `table`, the same table in today's catalogue; None: it is gone. `vectors`: the
    server has them.

    Where columns were added, dropped or renamed so that today's table does not tell which of some look-alikes is which,
    these become LOOKALIKE, or stay OLD_TIME, OLD_DATETIME, OLD_TIMESTAMP: `value_decoder` refuses them by name, and a
    LOOKALIKE that is not wanted can be passed over.
    """
    logged = _looks(layout, vectors)
    if not logged:
        return layout
    today: dict[_Shape, dict[str, _Shape]] = {shape: {} for shape in logged}
    for known in table.columns if table is not None else ():
        found = _declared(known)
        if found is not None and found[0] in today:
            today[found[0]][known.name.lower()] = found[1]
    told = {shape for shape, names in logged.items() if _tells(names, today[shape])}
    return replace(
        layout,
        columns=tuple(_refined(column, today, told, _shape_in_log(column, vectors)) for column in layout.columns),
    )


def _looks(layout: TableLayout, vectors: bool) -> dict[_Shape, set[str]]:
    """Names of the columns that look alike, by what they look like."""
    found: dict[_Shape, set[str]] = {}
    for column in layout.columns:
        if (shape := _shape_in_log(column, vectors)) is not None:
            found.setdefault(shape, set()).add(column.name.lower())
    return found


def _tells(logged: set[str], today: Mapping[str, _Shape]) -> bool:
    """Whether today's columns of one shape say what those in the log are: they are the same, or all of one type.

    Else one may have been renamed to the name of another.
    """
    return logged == today.keys() or (logged <= today.keys() and len(set(today.values())) == 1)


def _refined(
    column: Column, today: Mapping[_Shape, Mapping[str, _Shape]], told: set[_Shape], shape: _Shape | None
) -> Column:
    if shape is None:
        return column
    if shape in told:
        kind, size = today[shape][column.name.lower()]
        return replace(column, kind=kind, a=size)
    return replace(column, kind=t.LOOKALIKE) if column.collation == BINARY else column


def _shape_in_log(column: Column, vectors: bool) -> _Shape | None:
    """None where the log says all there is to know."""
    kind, size = column.kind, column.a
    if kind in _UNTOLD:
        return _Shape(kind, 0)
    if column.collation != BINARY:
        return None
    if kind == t.STRING and size in (4, 16):
        return _Shape(kind, size)
    return _Shape(kind, size) if vectors and kind == t.VARCHAR and size and size % 4 == 0 else None


def _declared(column: CatalogueColumn) -> tuple[_Shape, _Shape] | None:
    """What the log shows of a column of the catalogue, and what it is."""
    if column.type in _ADDRESSES:
        true = _ADDRESSES[column.type]
        return _Shape(t.STRING, true.size), true
    size = declared_size(column)
    if column.type in _OLD_TEMPORAL and "mariadb-5.3" in column.full_type:
        kind, true_kind = _OLD_TEMPORAL[column.type]
        return _Shape(kind, 0), _Shape(true_kind, size)
    if column.type == "vector":
        return _Shape(t.VARCHAR, 4 * size), _Shape(t.MARIADB_VECTOR, 4 * size)
    if column.type in _BINARIES and "COMPRESSED" not in column.full_type:
        shape = _Shape(_BINARIES[column.type], size)
        return shape, shape
    return None
