"""How the extracts of one table are read: which of their columns, in which types, with which key and version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from pipeline.extract.columns import DECIMAL_PARTS, Unfit, role_parts, typed, zones
from pipeline.extract.fields import ExtractColumn, decimal_problem, full_type, has_decimal_comma, parse
from pipeline.extract.files import opened
from pipeline.extract.records import Extract
from pipeline.layout import LayoutProblem, layouts, raw_names
from pipeline.warehouse import StoredTable
from schemas.columns import ColumnType
from schemas.config import RoleTable, ShopConfig
from schemas.errors import ExtractRefused
from schemas.event import EventColumn, TableSchema

SAMPLE_ROWS = 1_000
"""Of each file: what its columns' types are found by."""

ENOUGH_ROWS = 20
"""So many lines, all of them bad, are no accident."""

VERSION = "updated_at"


@dataclass(frozen=True)
class Reading:
    """How the bytes of all files of a command are written."""

    encoding: str = "utf-8"
    delimiter: str | None = None
    decimal_comma: bool = False


@dataclass(frozen=True)
class TablePlan:
    """The columns that are taken from every extract of a table. `version`: the column whose newest time wins; None: the
    order of the files and their lines decides alone. It may be one that is not kept."""

    table: str
    key: tuple[str, ...]
    columns: tuple[ExtractColumn, ...]
    version: ExtractColumn | None
    reading: Reading

    @property
    def read(self) -> tuple[ExtractColumn, ...]:
        """The columns to parse: those that are kept, and the version."""
        return self.columns if self.version is None or self.version in self.columns else (*self.columns, self.version)

    def schema(self, wires: Mapping[str, str]) -> TableSchema:
        """The schema of change events whose columns have these types."""
        return TableSchema(self.table, self.key, tuple(EventColumn(c.name, wires[c.name]) for c in self.columns))


class Sample:
    """The header of an extract, its names as shop.yaml has them, and its first records."""

    def __init__(self, path: str, table: str, reading: Reading, config: ShopConfig) -> None:
        """Raises ExtractRefused: a column that the roles need is missing, or no line fits."""
        self.path = path
        wanted = known_names(table, config)
        with opened(path) as file:
            extract = Extract(path, file, reading.encoding, reading.delimiter, wanted)
            self.delimiter = extract.delimiter
            self.names = names_of(extract.header, wanted)
            missing = sorted(needed_columns(table, config) - set(self.names))
            if missing:
                raise ExtractRefused(
                    f"{path}: no column {', '.join(missing)}, which shop.yaml maps for {table}; the header has"
                    f" {', '.join(self.names[:50])}",
                    hint="the header must have the source's names; --delimiter if it is none of , ; and tab",
                )
            first = list(islice(extract.records(), SAMPLE_ROWS))
        self.records = [record for record in first if not record.problem]
        if first and not self.records:
            raise ExtractRefused(
                f"{path}: no line fits its header; line {first[0].line:,}: {first[0].problem}",
                hint=f"it was read with the delimiter {extract.delimiter!r}; --delimiter names another",
            )

    def values(self, name: str) -> list[str | None]:
        index = self.names.index(name)
        return [record.fields[index] for record in self.records]


def names_of(header: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The header's names, in the spelling of shop.yaml where only case differs: MySQL's column names have none."""
    spelling = {name.lower(): name for name in wanted}
    return [spelling.get(name.lower(), name) for name in header]


def needed_columns(table: str, config: ShopConfig) -> set[str]:
    """The source columns that a table's roles cannot do without."""
    needed = set(role_parts(table, config))
    for _, definition in config.roles_of.get(table, []):
        needed |= {*definition.segments, *([definition.where.column] if definition.where else [])}
    return needed


def known_names(table: str, config: ShopConfig) -> list[str]:
    """Every source column that shop.yaml names of a table, and the version's."""
    named = {name for _, definition in config.roles_of.get(table, []) for name in definition.named_columns()}
    if table in config.mirrored:
        named |= {*(config.mirrored[table].include or ()), *config.mirrored[table].exclude}
    return sorted(named | ({VERSION} if VERSION not in {name.lower() for name in named} else set()))


def plan_table(
    table: str, paths: Sequence[str], reading: Reading, config: ShopConfig, stored: Mapping[str, StoredTable]
) -> tuple[TablePlan, dict[str, tuple[str, ...]]]:
    """Looks at header and first rows of every extract of a table. `stored`: the raw tables as they are by now.

    Returns the plan, and of each file the names of its columns, in its order. Raises ExtractRefused where a file as a
    whole is wrong.
    """
    samples = [Sample(path, table, reading, config) for path in paths]
    _refuse_ragged(samples)
    names = samples[0].names
    parts = role_parts(table, config)
    version = next((name for name, roles in parts.items() if VERSION in roles), None)
    version = version or (VERSION if VERSION in names else None)
    key = _key(table, config, samples[0], stored)
    kept = {*config.published(table, names), *key}
    known = _known_columns(table, names, config, stored)
    columns = {}
    for name in names:
        if name not in kept and name != version:
            continue
        roles = parts.get(name, frozenset()) | (frozenset({VERSION}) if name == version else frozenset())
        if roles & DECIMAL_PARTS:
            _refuse_decimal_commas(samples, name, reading.decimal_comma)
        values = [value for sample in samples for value in sample.values(name)]
        zone = zones(table, config).get(name, config.time_zone)
        try:
            columns[name] = typed(name, roles, known.get(name), values, zone, reading.decimal_comma)
        except Unfit as problem:
            raise ExtractRefused(f"{paths[0]}: {problem}", hint="leave the column out of the extract") from problem
    for sample in samples:
        _refuse_if_all_are_bad(sample, list(columns.values()), reading.decimal_comma)
    kept_columns = tuple(column for name, column in columns.items() if name in kept)
    plan = TablePlan(table, key, kept_columns, columns[version] if version else None, reading)
    try:
        layouts(plan.schema({column.name: full_type(column) for column in kept_columns}), config)
    except LayoutProblem as problem:
        raise ExtractRefused(f"{paths[0]}: {problem}", hint="`tables` in shop.yaml says what is what") from problem
    return plan, {sample.path: tuple(sample.names) for sample in samples}


def _refuse_ragged(samples: Sequence[Sample]) -> None:
    """All files of a table must have the same columns."""
    for sample in samples:
        other = sorted(set(sample.names) ^ set(samples[0].names))
        if other:
            raise ExtractRefused(
                f"{sample.path} and {samples[0].path} differ in {', '.join(other[:20])}",
                hint="extracts of a table that were made with other columns go into commands of their own",
            )


def _key(table: str, config: ShopConfig, sample: Sample, stored: Mapping[str, StoredTable]) -> tuple[str, ...]:
    """The source columns of the primary key: what a role maps to id, else the raw table's own, else `id`."""
    for _, definition in config.roles_of.get(table, []):
        if source := definition.source_column("id"):
            return (source,)
    for raw, names in _raw_tables(table, sample.names, config, stored):
        sources = {name: source for source, name in names.items()}
        if raw.key and sources.keys() >= set(raw.key):
            return tuple(sources[name] for name in raw.key)
    for name in sample.names:
        if name.lower() == "id":
            return (name,)
    raise ExtractRefused(
        f"{sample.path}: which column of {table} is its primary key is not known",
        hint="map `id` in shop.yaml, or load the table with `ltv-pipeline batch` first",
    )


def _known_columns(
    table: str, sources: Sequence[str], config: ShopConfig, stored: Mapping[str, StoredTable]
) -> dict[str, ColumnType]:
    """Source column → its type in the warehouse, where it is there."""
    known: dict[str, ColumnType] = {}
    for raw, names in _raw_tables(table, sources, config, stored):
        for source, name in names.items():
            if kind := raw.columns.get(name):
                known.setdefault(source, kind)
    return known


def _raw_tables(
    table: str, sources: Sequence[str], config: ShopConfig, stored: Mapping[str, StoredTable]
) -> Iterator[tuple[StoredTable, dict[str, str]]]:
    """The raw tables that a source table fills and that are there, each with the names of its source columns in it."""
    fed: list[tuple[str, RoleTable | None]] = [*config.roles_of.get(table, [])]
    if table in config.mirrored:
        fed.append((table.split(".")[1].lower(), None))
    for name, definition in fed:
        if name in stored:
            yield stored[name], raw_names(sources, definition)


def _refuse_if_all_are_bad(sample: Sample, columns: Sequence[ExtractColumn], decimal_comma: bool) -> None:
    """A file of which no line at all can be applied is wrong as a whole, rather than a million dead letters."""
    problems: dict[int, str] = {}
    for column in columns:
        for index, problem in parse(column, sample.values(column.name), decimal_comma)[1].items():
            problems.setdefault(index, f"column {column.name}: {problem}")
    if len(sample.records) >= ENOUGH_ROWS and len(problems) == len(sample.records):
        line = sample.records[0].line
        raise ExtractRefused(
            f"{sample.path}: none of its first lines can be applied; line {line:,}, {problems[0]}",
            hint="dates are ISO 8601, as 2022-01-31 10:00:00; numbers have no thousands separators",
        )


def _refuse_decimal_commas(samples: Sequence[Sample], name: str, decimal_comma: bool) -> None:
    for sample in samples:
        for record, value in zip(sample.records, sample.values(name), strict=True):
            if value is not None and not decimal_comma and has_decimal_comma(value):
                raise ExtractRefused(
                    f"{sample.path}, line {record.line:,}, column {name}: {decimal_problem(value.strip(), False)}",
                    hint="--decimal-comma, if all its numbers are written so",
                )
