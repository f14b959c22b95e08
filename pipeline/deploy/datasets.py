"""The two datasets, and that the views of one may read the other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.bigquery.client import EMULATOR, BigQueryClient, BigQueryDataset
from pipeline.bigquery.ddl import create_dataset
from pipeline.bigquery.names import DatasetName
from pipeline.deploy import wanted
from pipeline.deploy.plan import Field, Part
from pipeline.deploy.refusal import named

SERVICE = "bigquery.googleapis.com"
ROLE = "roles/bigquery.user"
OWNER = "roles/bigquery.dataOwner on the dataset, or roles/bigquery.admin"


def bigquery_emulator() -> bool:
    return bool(os.environ.get(EMULATOR))


class Datasets:
    """The dataset that consumers read, and its `raw`, as they are; what was looked up once is known."""

    def __init__(self, dataset: DatasetName, location: str | None) -> None:
        """`location` as the user wants it. Raises WarehouseError without credentials."""
        self.dataset = dataset
        self.client = BigQueryClient(dataset, location)
        self.named = named(SERVICE, ROLE, dataset.project)
        self._location = location
        self._known: dict[str, BigQueryDataset | None] = {}

    def found(self, name: str) -> BigQueryDataset | None:
        if name not in self._known:
            with self.named(f"looking up the dataset {name}"):
                self._known[name] = found = self.client.found_dataset(name)
            if found:
                self.client.location = found.location  # jobs run where their tables are
        return self._known[name]

    @property
    def location(self) -> str | None:
        """Where both are or shall be: both in one place, since no query reads from two. None: wherever BigQuery puts
        them."""
        there = [found.location for name in (self.dataset.dataset, self.dataset.raw) if (found := self.found(name))]
        if there and (self._location or there[0]).lower() == there[0].lower():
            return there[0]  # in BigQuery's own spelling, under which scheduled queries are looked for
        return self._location

    def create(self, name: str) -> None:
        location = self.location
        self.client.location = location  # the statement runs where the dataset will be
        with self.named(f"creating the dataset {name}"):
            self.client.run(create_dataset(self.dataset, name, location), what=f"dataset {self.dataset.project}.{name}")
        self._known = {}


class DatasetPart:
    kind = "dataset"

    def __init__(self, datasets: Datasets, name: str) -> None:
        self.name = name
        self._datasets = datasets

    def fields(self) -> Sequence[Field]:
        return wanted.dataset_fields(f"{self._datasets.dataset.project}:{self.name}", self._datasets.location)

    def find(self) -> Mapping[str, Any] | None:
        found = self._datasets.found(self.name)
        if found is None:
            return None
        return {
            "location": found.location,
            "expiration of tables": found.tables_expire_s,
            "expiration of partitions": found.partitions_expire_s,
            "note": found.location,
        }

    def create(self) -> None:
        self._datasets.create(self.name)

    def update(self, changes: Mapping[str, Any]) -> None:
        raise NotImplementedError("nothing of a dataset is ever changed")


class AuthorizedViews:
    """Consumers may read the dataset alone; its views read the raw one for them.

    The dataset is authorized as a whole, not view by view: the pipeline makes a view for each table that it meets, and
    each would be closed to consumers until the next `deploy`; and a list of single views is read, changed and written
    back as one, while a pipeline runs. The price: who may make views in the dataset may read all that is raw, so
    grant roles/bigquery.dataEditor on it to the pipeline and the scheduled queries alone.
    """

    kind = "authorized views"

    def __init__(self, datasets: Datasets) -> None:
        self.name = f"{datasets.dataset.dataset} → {datasets.dataset.raw}"
        self._datasets = datasets
        self._named = named(SERVICE, OWNER, datasets.dataset.project)

    def fields(self) -> Sequence[Field]:
        return ()

    def find(self) -> Mapping[str, Any] | None:
        if self._datasets.found(self._datasets.dataset.raw) is None:
            return None
        with self._named("looking up who may read the raw dataset"):
            return {} if self._datasets.client.authorized() else None

    def create(self) -> None:
        with self._named("authorizing the views"):
            self._datasets.client.authorize()

    def update(self, changes: Mapping[str, Any]) -> None:
        raise NotImplementedError("there is nothing to change")


def dataset_parts(datasets: Datasets) -> list[Part]:
    dataset = datasets.dataset
    return [DatasetPart(datasets, dataset.dataset), DatasetPart(datasets, dataset.raw), AuthorizedViews(datasets)]
