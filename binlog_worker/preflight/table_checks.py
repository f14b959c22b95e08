"""Preflight rules on the configured tables: are they there, with a key, with columns that can be followed?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from binlog_worker.decoding.charsets import is_known
from binlog_worker.preflight.facts import Facts
from binlog_worker.preflight.findings import Finding, fail, ok, warn
from schemas.catalogue import CatalogueColumn, CatalogueTable, wire_type
from schemas.columns import warehouse_type
from schemas.config import ShopConfig

CASCADES_LOGGED = (9, 6)
"""From this version of MySQL on cascades are row events (release notes of 9.6)."""

GENERATED_LEFT_OUT = (11, 0)
"""From this version of MariaDB on (seen on 11.8, not on 10.11) updates and deletions come without generated columns."""

TRANSACTIONAL = frozenset({"innodb", "rocksdb", "ndbcluster", "tokudb", ""})
KEYED_ROLES = ("orders", "charges", "refunds", "customers")
AMOUNTS = ("amount", "unit_amount")
CURRENCY_ROLES = ("orders", "charges", "refunds")
NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit")
BYTES_AS_LABELS = ("(x'", ",x'", "?")
"""How MySQL and MariaDB show labels of an ENUM CHARACTER SET binary that are no text."""


def check_tables(facts: Facts, config: ShopConfig) -> Iterator[Finding]:
    for name in config.source_tables:
        table = facts.tables.get(name)
        if table is None:
            yield _absent(name, facts)
            continue
        problems = [
            *_kind(table),
            *_key(table, config),
            *_named_columns(table, config),
            *_types(table, config),
            *_generated(table, facts, config),
            *_cascades(table, facts, config),
        ]
        yield from problems
        if not problems:
            yield ok(f"{name}: {len(table.columns)} columns, key ({', '.join(table.primary_key)})")


def _absent(name: str, facts: Facts) -> Finding:
    reason = facts.refusals.get(name, "missing")
    if reason != "missing":
        return fail(f"{name} cannot be read", reason, f"GRANT SELECT ON {name} TO the worker's user")
    known = facts.names.get(name.split(".", 1)[0], ())
    todo = f"did you mean {close[0]}?" if (close := difflib.get_close_matches(name, known, n=1)) else ""
    return fail(f"{name} does not exist", "it is configured in shop.yaml", todo or "correct `tables` or `mirror`")


def _kind(table: CatalogueTable) -> Iterator[Finding]:
    if table.kind.upper() == "SYSTEM VERSIONED":
        yield fail(
            f"{table.name} is system versioned",
            "its log holds the versions of before as inserts, and a DELETE as an update",
            "DROP SYSTEM VERSIONING, or leave the table out",
        )
    elif table.kind.upper() != "BASE TABLE":
        yield fail(
            f"{table.name} is a {table.kind.lower()}", "its changes are not row events of its own", "name a plain table"
        )
    elif table.engine.lower() not in TRANSACTIONAL:
        yield warn(
            f"{table.name} has the engine {table.engine}",
            "it is not transactional: a statement that failed halfway stays half done",
            f"ALTER TABLE {table.name} ENGINE = InnoDB",
        )


def _key(table: CatalogueTable, config: ShopConfig) -> Iterator[Finding]:
    why = "rows are told apart by their primary key"
    if not table.primary_key:
        yield fail(f"{table.name} has no primary key", why, f"ALTER TABLE {table.name} ADD PRIMARY KEY (…)")
        return
    if table.prefix_key:
        yield fail(
            f"the primary key of {table.name} holds only the start of a column", why, "make it a key of whole columns"
        )
    published = set(config.published(table.name, table.column_names))
    for column in table.primary_key:
        if column not in published:
            yield fail(
                f"{table.name}: key column {column} is not published", why, "change `include` or `exclude` in shop.yaml"
            )
    for role, definition in config.roles_of.get(table.name, []):
        identity = definition.source_column("id")
        if role in KEYED_ROLES and identity is not None and table.primary_key != (identity,):
            yield fail(
                f"{table.name}: {role}.id is {identity}, the primary key is ({', '.join(table.primary_key)})",
                "the warehouse keeps one row per primary key",
                "map id to the primary key",
            )


def _named_columns(table: CatalogueTable, config: ShopConfig) -> Iterator[Finding]:
    columns = table.column_names
    named: set[str] = set()
    for _, definition in config.roles_of.get(table.name, []):
        named |= definition.named_columns() | set(definition.exclude)
    if table.name in config.mirrored:
        mirror = config.mirrored[table.name]
        named |= set(mirror.include or ()) | set(mirror.exclude)
    for column in sorted(named - set(columns)):
        close = difflib.get_close_matches(column, columns, n=1)
        known = f"did you mean {close[0]}?" if close else f"it has {_some(columns)}"
        yield fail(f"{table.name} has no column {column}", "shop.yaml names it", known)


def _types(table: CatalogueTable, config: ShopConfig) -> Iterator[Finding]:
    published = set(config.published(table.name, table.column_names))
    for column in table.columns:
        if column.name in published and (reason := refused(column)) is not None:
            yield fail(
                f"{table.name}.{column.name} is {column.full_type[:60]}", reason, "exclude the column in shop.yaml"
            )
    roles = config.roles_of.get(table.name, [])
    mapped = [definition.columns[name] for _, definition in roles for name in AMOUNTS if name in definition.columns]
    amounts = {name for column in mapped for name in (column.column, *column.plus, *column.minus)}
    for column in table.columns:
        if column.name in amounts and column.type in ("float", "double"):
            yield warn(
                f"{table.name}.{column.name} is a {column.type}",
                "it does not hold cents exactly",
                "make it DECIMAL, such as DECIMAL(12,2)",
            )
    codes = {definition.source_column("currency") for role, definition in roles if role in CURRENCY_ROLES}
    for column in table.columns:
        if column.name in codes and column.type in NUMBERS and config.currencies is None:
            yield fail(
                f"{table.name}.{column.name} is {column.full_type[:60]}",
                "a number does not say which currency it is",
                "set `currencies` in shop.yaml, such as {1: EUR, 2: USD}",
            )


def _generated(table: CatalogueTable, facts: Facts, config: ShopConfig) -> Iterator[Finding]:
    if facts.server.flavor != "mariadb" or facts.server.version < GENERATED_LEFT_OUT:
        return
    published = set(config.published(table.name, table.column_names))
    for column in table.columns:
        if column.name in published and "GENERATED" in column.extra.upper():
            yield fail(
                f"{table.name}.{column.name} is a generated column",
                "MariaDB 11 logs updates and deletions without it",
                "exclude the column in shop.yaml",
            )


def refused(column: CatalogueColumn) -> str | None:
    """Why a column's values cannot be decoded exactly; None: they can."""
    if column.full_type.endswith("/*old*/"):
        return "its format is of before MySQL 5.0"
    try:
        warehouse_type(wire_type(column))
    except ValueError:
        return "the type is not known"
    if column.charset is not None and not is_known(column.charset):
        return f"the character set {column.charset} is not known"
    if column.type in ("enum", "set") and column.charset in (None, "binary"):
        return "its labels are no text" if any(mark in column.full_type for mark in BYTES_AS_LABELS) else None
    return None


def _cascades(table: CatalogueTable, facts: Facts, config: ShopConfig) -> Iterator[Finding]:
    if facts.server.flavor == "mysql" and facts.server.version >= CASCADES_LOGGED:
        return
    for cascade in facts.cascades:
        if cascade.child != table.name:
            continue
        what = f"{table.name}: foreign key {cascade.constraint} {cascade.rule} of {cascade.parent}"
        why = "rows changed by a cascade are not in the binlog"
        if config.allow_cascades:
            yield warn(what, why, "the warehouse keeps those rows as they were, as allow_cascades accepts")
        else:
            yield fail(what, why, "make it ON … RESTRICT, or accept stale rows with `allow_cascades: true`")


def _some(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


def problems(findings: Iterable[Finding]) -> list[str]:
    return [str(finding) for finding in findings]
