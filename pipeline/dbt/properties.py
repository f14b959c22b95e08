"""What the dbt package says of its models and sources, as YAML: descriptions, data tests, freshness."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

from pipeline.dbt.model import RAW_SOURCE, SOURCE
from pipeline.dbt.tables import TABLES, Table
from pipeline.init.yaml_text import scalar

Place = tuple[str | None, str]
"""dbt's database (None: that of the target) and schema."""

ROLLED_UP_FRESH = ("rolled_up_at", (2, "hour"), (12, "hour"))
ARRIVALS_FRESH = ("received_at", (30, "minute"), (6, "hour"))
"""A column, and how old it may be before dbt warns, and fails. A worker sends something every few seconds, whether
anybody buys or not."""

Freshness = tuple[str, tuple[int, str], tuple[int, str]]


def models_yaml() -> str:
    """Properties of the models."""
    return "models:\n" + "".join(_indented(described(name, table), 2) for name, table in TABLES.items())


def sources_yaml(read: Mapping[str, Iterable[str]], places: Mapping[str, Place]) -> str:
    """The sources that the models read. Raw ones are named alone, and the arrivals have to be fresh."""
    fresh = {"arrivals": ARRIVALS_FRESH}
    listed = {
        source: "".join(f"- name: {table}\n{_indented(freshness(fresh.get(table)), 2)}" for table in tables)
        for source, tables in read.items()
    }
    return "sources:\n" + "".join(_source(source, places[source], text) for source, text in listed.items())


def tables_yaml(place: Place) -> str:
    """The rolled-up tables as a source, where dbt does not make them."""
    listed = "".join(
        described(name, table) + (_indented(freshness(ROLLED_UP_FRESH), 2) if name == "rolled_up" else "")
        for name, table in TABLES.items()
    )
    return "sources:\n" + _source(SOURCE, place, listed)


def _source(name: str, place: Place, tables: str) -> str:
    what = "what the pipeline has applied" if name == RAW_SOURCE else "what consumers read"
    database = f"database: {scalar(place[0])}\n" if place[0] else ""
    inner = f"description: {scalar(f'ltv-stream: {what}')}\n{database}schema: {scalar(place[1])}\ntables:\n"
    return f"  - name: {name}\n{_indented(inner, 4)}{_indented(tables, 6)}"


def freshness(wanted: Freshness | None) -> str:
    if wanted is None:
        return ""
    column, warn, error = wanted
    return (
        f"config:\n  loaded_at_field: {column}\n  freshness:\n"
        f"    warn_after: {{count: {warn[0]}, period: {warn[1]}}}\n"
        f"    error_after: {{count: {error[0]}, period: {error[1]}}}\n"
    )


def described(name: str, table: Table) -> str:
    """A list item: a model's, or a source table's."""
    lines = [f"- name: {name}", f"  description: {scalar(table.description)}"]
    tests = []
    if table.key:
        tests.append(f"- ltv_unique: {{arguments: {{columns: [{', '.join(table.key.split())}]}}}}")
    if table.filled:
        tests.append(f"- ltv_filled: {{arguments: {{columns: [{', '.join(table.filled.split())}]}}}}")
    if table.always:
        tests.append(f"- ltv_always: {{arguments: {{condition: {scalar(table.always)}}}}}")
    if table.usually:
        tests.append(f"- ltv_always: {{arguments: {{condition: {scalar(table.usually)}}}, config: {{severity: warn}}}}")
    if tests:
        lines += ["  data_tests:", *(f"    {test}" for test in tests)]
    lines.append("  columns:")
    for column in table.columns.split():
        lines += [f"    - name: {column}", f"      description: {scalar(table.meaning(column))}"]
    return "\n".join(lines) + "\n"


def _indented(text: str, by: int) -> str:
    return textwrap.indent(text, " " * by)
