"""The views that the rollup reads: of the ltv entries, of the facts, and of the rollup before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.bigquery import ddl
from pipeline.deploy import wanted
from pipeline.deploy.plan import Field, Part
from pipeline.deploy.tables import OwnTables
from pipeline.facts import BEFORE, FACTS, MARKS, before_views, fact_views
from schemas.config import ShopConfig
from schemas.tables import OWN_TABLES

ENTRIES = "ltv_entries"


class Views:
    """The statement that makes each view, from what there is now."""

    def __init__(self, own: OwnTables, config: ShopConfig) -> None:
        self.own = own
        self._config = config
        self._statements: dict[str, str] = {}
        self._waiting: list[str] = []

    @property
    def statements(self) -> dict[str, str]:
        """View → CREATE OR REPLACE VIEW."""
        if not self._statements:
            dataset = self.own.datasets.dataset
            with self.own.named("looking up the raw tables"):
                raw = self.own.raw.stored()
                before = self._has_before()
            made = {ENTRIES: ddl.create_view(dataset, ENTRIES, list(OWN_TABLES[ENTRIES]), "origin")}
            queries = [*fact_views(self._config, raw), *before_views(before)]
            made |= {name: ddl.replace_view(dataset, name, query) for name, query in queries}
            self._waiting = [role for role in self._config.tables if role not in raw]
            self._statements = made
        return self._statements

    def advice(self) -> str | None:
        """Views are of the tables that there are; a table is there once its first row has come."""
        if not (self.statements and self._waiting):
            return None
        return (
            f"no row has come yet of {', '.join(self._waiting)}: run `deploy` again, or `rollup`, when some have,"
            " so that the scheduled queries see them"
        )

    def _has_before(self) -> bool:
        """Whether there is an earlier rollup, all of whose tables have the columns that they have today."""
        for table, columns in BEFORE.values():
            found = self.own.datasets.client.table(self.own.datasets.dataset.dataset, table)
            if found is None or not set(columns) <= set(found.columns):
                return False
        return True


class ViewPart:
    kind = "view"

    def __init__(self, views: Views, view: str) -> None:
        self._views, self._view = views, view
        self._own = views.own
        self.name = f"{self._own.datasets.dataset.dataset}.{view}"

    def fields(self) -> Sequence[Field]:
        name = f"{self._own.datasets.dataset.project}.{self.name}"
        return wanted.view_fields(name, query_of(self._views.statements[self._view]))

    def find(self) -> Mapping[str, Any] | None:
        with self._own.named(f"looking up the view {self.name}"):
            found = self._own.datasets.client.table(self._own.datasets.dataset.dataset, self._view)
        return None if found is None else {"what it is": found.kind, "query": found.query}

    def create(self) -> None:
        with self._own.named(f"creating the view {self.name}"):
            self._own.datasets.client.run(self._views.statements[self._view], what=f"view {self.name}")

    def update(self, changes: Mapping[str, Any]) -> None:
        self.create()


def query_of(statement: str) -> str:
    """What stands behind AS."""
    return statement.partition("` AS")[2].strip()


def view_parts(views: Views) -> list[Part]:
    return [ViewPart(views, view) for view in (ENTRIES, *FACTS, *BEFORE, MARKS)]
