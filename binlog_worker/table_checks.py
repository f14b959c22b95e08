"""Preflight rules on the configured tables: are they there, with a key, with columns that can be followed?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from binlog_worker.facts import Facts
from binlog_worker.findings import Finding, fail, ok, warn
from schemas.catalogue import CatalogueColumn, CatalogueTable
from schemas.config import ShopConfig

CASCADES_LOGGED = (9, 6)
"""From this version of MySQL on cascades are row events (release notes of 9.6)."""

TRANSACTIONAL = frozenset({"innodb", "rocksdb", "ndbcluster", "tokudb", ""})
KEYED_ROLES = ("orders", "charges", "refunds", "customers")
AMOUNTS = ("amount", "unit_amount")
REFUSED_TYPES = {
    "uuid": "comes as bytes in the server's own order",
    "inet4": "comes as bytes",
    "inet6": "comes as bytes",
    "vector": "has no counterpart in the warehouse",
    "xmltype": "has no counterpart in the warehouse",
}
REFUSED_CHARSETS = frozenset({"armscii8", "eucjpms", "geostd8", "keybcs2"})
_LATER = "compressed column values are not read yet"


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
    if table.kind.upper() != "BASE TABLE":
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
    amounts = {
        definition.source_column(name) for _, definition in config.roles_of.get(table.name, []) for name in AMOUNTS
    }
    for column in table.columns:
        if column.name in amounts and column.type in ("float", "double"):
            yield warn(
                f"{table.name}.{column.name} is a {column.type}",
                "it does not hold cents exactly",
                "make it DECIMAL, such as DECIMAL(12,2)",
            )


def refused(column: CatalogueColumn) -> str | None:
    """Why a column's values cannot be decoded exactly; None: they can."""
    if column.type in REFUSED_TYPES:
        return REFUSED_TYPES[column.type]
    if column.charset in REFUSED_CHARSETS:
        return f"the character set {column.charset} has no exact counterpart"
    return _LATER if column.full_type.upper().endswith("COMPRESSED*/") else None


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
