"""The pipeline's own raw tables. Those of the shop's tables, and their views, are made by the pipeline, which knows
their columns when their first change comes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.bigquery.tables import FRESH, KEYS, RawTables
from pipeline.deploy import wanted
from pipeline.deploy.datasets import OWNER, SERVICE, Datasets
from pipeline.deploy.plan import Field, Part
from pipeline.deploy.refusal import named
from schemas.config import ShopConfig
from schemas.tables import OWN_TABLES


class OwnTables:
    """The own tables of one warehouse, as they are."""

    def __init__(self, datasets: Datasets, config: ShopConfig) -> None:
        self.datasets = datasets
        self.raw = RawTables(datasets.client, staleness=config.max_staleness, partition=config.partition)
        self.named = named(SERVICE, OWNER, datasets.dataset.project)
        self._stalenesses: dict[str, dt.timedelta | None] | None = None

    def staleness(self, table: str) -> dt.timedelta | None:
        """None: an interval that no `max_staleness` of ours makes."""
        if self._stalenesses is None:
            self._stalenesses = self.raw.stalenesses()
        return self._stalenesses.get(table, dt.timedelta())


class TablePart:
    kind = "table"

    def __init__(self, own: OwnTables, table: str) -> None:
        self.name = f"{own.datasets.dataset.raw}.{table}"
        self._own, self._table = own, table
        self._columns = FRESH.get(table, OWN_TABLES[table])

    def fields(self) -> Sequence[Field]:
        fields = wanted.table_fields(f"{self._own.datasets.dataset.project}.{self.name}", KEYS[self._table])
        fresh = self._table in FRESH
        return [*fields, wanted.staleness_field(self.name, dt.timedelta() if fresh else self._own.raw.staleness, fresh)]

    def find(self) -> Mapping[str, Any] | None:
        with self._own.named(f"looking up the table {self.name}"):
            found = self._own.datasets.client.table(self._own.datasets.dataset.raw, self._table)
            if found is None:
                return None
            staleness = self._own.staleness(self._table)
        types = {name: kind and kind.bigquery() for name, kind in found.columns.items()}
        return {
            "what it is": found.kind,
            "primary key": found.key,
            "columns of another type": tuple(
                name for name, kind in self._columns.items() if name in types and types[name] != kind.bigquery()
            ),
            "missing columns": tuple(name for name in self._columns if name not in found.columns),
            "max_staleness": staleness,
        }

    def create(self) -> None:
        with self._own.named(f"creating the table {self.name}"):
            self._own.raw.make_own_table(self._table)
            if self._table not in FRESH and self._own.raw.staleness:
                self._own.raw.set_staleness([self._table])

    def update(self, changes: Mapping[str, Any]) -> None:
        with self._own.named(f"updating the table {self.name}"):
            if "missing columns" in changes:
                known = self._own.raw.columns_of(self._table)
                self._own.raw.add_columns(
                    self._table, {name: kind for name, kind in self._columns.items() if name not in known}
                )
            if "max_staleness" in changes:
                self._own.raw.set_staleness([self._table])


def table_parts(own: OwnTables) -> list[Part]:
    return [TablePart(own, table) for table in OWN_TABLES]
