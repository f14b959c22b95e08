"""What of a role's raw table changes with the settings, and whether the table can tell it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.layout import LOCAL_DATES, Layout, LayoutColumn, LayoutProblem, check_types, raw_names
from pipeline.rederive.derivation import Derivation
from pipeline.warehouse import StoredTable
from schemas.columns import ColumnType, Kind
from schemas.config import DATE_COLUMNS, Condition, RoleTable
from schemas.tables import META_COLUMNS

_TIMES = (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP)
COMPARABLE = (Kind.INT64, Kind.DECIMAL, Kind.STRING, Kind.STRINGS)
"""Kinds whose values in a raw table are, as text, what they are in a change event: `where` can be asked of them."""


@dataclass(frozen=True)
class Role:
    """A role's raw table before and after. `names`: source column → its name in the table; `kinds`: of a date, what it
    is at the source, in rows of a log and in rows of extracts (None: no such rows)."""

    role: str
    old: RoleTable
    new: RoleTable
    old_zone: str
    new_zone: str
    table: StoredTable
    old_names: dict[str, str]
    new_names: dict[str, str]
    kinds: dict[str, tuple[set[Kind], set[Kind]]] = field(default_factory=dict)

    @property
    def rows_change(self) -> bool:
        """Whether rows of the raw table are to be written anew, beside the entries."""
        return self.dates_change or self.old_names != self.new_names or self.old.where != self.new.where

    @property
    def dates_change(self) -> bool:
        return self.old_zone != self.new_zone or any(
            self.old.columns.get(name) != self.new.columns.get(name) for name in DATE_COLUMNS
        )

    def date_source(self, definition: RoleTable) -> str:
        """The source column of the role's one date."""
        return next(column.column for name, column in definition.columns.items() if name in DATE_COLUMNS)

    def zone(self, definition: RoleTable, shop_zone: str) -> str:
        """The zone of the wall-clock times of the role's date."""
        return next(c.time_zone for name, c in definition.columns.items() if name in DATE_COLUMNS) or shop_zone

    def kind_of(self, source: str) -> ColumnType:
        """The type of a source column, as its raw column has it; of the date before, what it is at the source."""
        name = self.old_names[source]
        if name in DATE_COLUMNS:
            log, extract = self.kinds[source]
            return ColumnType(next(iter(log or extract), Kind.TIMESTAMP))
        return self.table.columns[name]

    def layout(self) -> Layout:
        """The table as the new settings fill it. Raises LayoutProblem."""
        columns = tuple(LayoutColumn(name, source, self.kind_of(source)) for source, name in self.new_names.items())
        check_types(self.new.name, self.role, list(columns), summed(self.new))
        return Layout(self.role, self.role, ("id",), columns, self.new)


def summed(definition: RoleTable) -> set[str]:
    return {name for column in definition.columns.values() for name in (*column.plus, *column.minus)}


def source_names(table: StoredTable, definition: RoleTable) -> dict[str, str]:
    """Source column → its name in a raw table that was filled by `definition`: what `raw_names` did, the other way."""
    mapped = {name: column.column for name, column in definition.columns.items()}
    own = _own(definition)
    taken = {*definition.columns, *own}
    names = {}
    for name in table.columns:
        if name not in own:
            bare = name.removeprefix("source_")
            names[mapped.get(name) or (bare if bare != name and bare.lower() in taken else name)] = name
    return names


def _own(definition: RoleTable) -> set[str]:
    """Columns of a raw table that come from no column of the source."""
    return {"_op", *META_COLUMNS, *(LOCAL_DATES[name] for name in definition.columns if name in LOCAL_DATES)}


def role_of(
    role: str,
    old: Derivation,
    new: Derivation,
    table: StoredTable,
    kinds: Mapping[bool, Mapping[str, set[Kind]]],
) -> Role:
    """`kinds`: in rows of extracts (True) and of a log (False), source column → its kinds."""
    before, after = old.tables[role], new.tables[role]
    names = source_names(table, before)
    seen = {source: (kinds[False].get(source, set()), kinds[True].get(source, set())) for source in names}
    return Role(role, before, after, old.time_zone, new.time_zone, table, names, raw_names(names, after), seen)


def untold(role: Role) -> Iterator[str]:
    """Why the raw table cannot tell what the new settings ask: a sentence each."""
    old, new = role.old, role.new
    if old.name != new.name:
        yield f"it was filled from {old.name}"
        return
    if old.source_column("id") != new.source_column("id"):
        yield f"its rows are told apart by {old.source_column('id')}"
        return
    wanted = {*new.renames(), *summed(new), *({new.where.column} if new.where else ())}
    missing = sorted(wanted - set(role.old_names))
    if missing:
        yield f"it has no column {', '.join(missing)}"
        return
    yield from _untold_dates(role)
    yield from _untold_where(role)


def _untold_dates(role: Role) -> Iterator[str]:
    if not role.dates_change:
        return
    source = role.date_source(role.old)
    log, extract = role.kinds[source]
    for where, kinds in (("", log), (" of extracts", extract)):
        if len(kinds) > 1:
            names = " and ".join(sorted(kind.value for kind in kinds))
            yield f"{source}{where} was {names} in the course of time, and rows do not say which they had"
    if not log and not extract:
        yield f"it is not known whether {source} is a DATETIME or a TIMESTAMP"
    if source != role.date_source(role.new) and log and extract and log != extract:
        yield f"{source} is of one type in the rows of extracts and of another in those of the log"


def _untold_where(role: Role) -> Iterator[str]:
    if role.old.where == role.new.where:
        return
    for condition in (role.old.where, role.new.where):
        if (
            condition
            and condition.column in role.old_names
            and condition.is_null is None
            and _kind(role, condition) not in COMPARABLE
        ):
            yield f"`where` asks for values of {condition.column}, which the warehouse keeps in another form"


def _kind(role: Role, condition: Condition) -> Kind:
    name = role.old_names[condition.column]
    return Kind.TIMESTAMP if name in DATE_COLUMNS else role.table.columns[name].kind


def problem_of_types(role: Role) -> str | None:
    """What is wrong where a column is of no type for the part that it is to play."""
    source = role.date_source(role.new)
    if role.kind_of(source).kind not in _TIMES:
        return f"{source} is no date in it"
    try:
        role.layout()
    except LayoutProblem as problem:
        return str(problem)
    return None
