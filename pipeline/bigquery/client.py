"""BigQuery over REST: statements, queries as Arrow, and what datasets and tables are. The only importer of Google's
client for it."""

from __future__ import annotations

import datetime as dt
import decimal
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from pipeline.bigquery.ddl import create_dataset, places
from pipeline.bigquery.errors import bigquery_errors
from pipeline.bigquery.names import DatasetName
from pipeline.google_sql import qualified
from schemas.columns import ColumnType, Kind
from schemas.errors import WarehouseError

EMULATOR = "BIGQUERY_EMULATOR_HOST"
"""Where Google's client finds an emulator, such as http://127.0.0.1:9050."""

PAGE_ROWS = 20_000
"""Rows that are in memory at once while a result is read."""

RETRY_S = 120.0
"""A request that fails in a way that may pass is sent again for so long, with back-off; a job is begun again."""

_RETRY = bigquery.DEFAULT_RETRY.with_timeout(RETRY_S)
_NUMERIC_DIGITS, _NUMERIC_SCALE = 29, 9


@dataclass(frozen=True)
class Done:
    """What a statement did: the bytes that it read, as BigQuery bills them on demand, and its job's id."""

    bytes_scanned: int
    job_id: str


@dataclass(frozen=True)
class BigQueryTable:
    """A table as it is: column → type (None: one that no source column has), its primary key, partition column and
    clustering. `kind` is TABLE or VIEW, which has a `query`."""

    kind: str
    columns: dict[str, ColumnType | None]
    key: tuple[str, ...] = ()
    partition: str | None = None
    cluster: tuple[str, ...] = ()
    rows: int = 0
    query: str | None = None


@dataclass(frozen=True)
class BigQueryDataset:
    """A dataset as it is: its place, and the seconds after which what is made in it goes by itself; None: never."""

    location: str
    tables_expire_s: int | None = None
    partitions_expire_s: int | None = None


@dataclass
class BigQueryClient:
    """One project's BigQuery; safe for several threads. `bytes_scanned` adds up what was read through it.

    Raises WarehouseError, WarehouseUnavailable or QueryError throughout.
    """

    dataset: DatasetName
    location: str | None = None
    client: bigquery.Client | None = None
    bytes_scanned: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.client is None:
            with bigquery_errors(f"warehouse {self.dataset}"):
                credentials = AnonymousCredentials() if os.environ.get(EMULATOR) else None  # type: ignore[no-untyped-call]
                self.client = bigquery.Client(self.dataset.project, credentials=credentials, location=self.location)

    @property
    def _google(self) -> bigquery.Client:
        assert self.client is not None
        return self.client

    # Statements and queries

    def run(self, sql: str, parameters: Mapping[str, Any] | None = None, *, what: str | None = None) -> Done:
        """One statement, to its end. `what` it does, for errors."""
        with bigquery_errors(what or f"warehouse {self.dataset}"):
            job = self._job(sql, parameters)
            try:
                job.result(retry=_RETRY)
            except exceptions.Conflict:
                if not sql.startswith("CREATE"):
                    raise  # else another process has made it just now
        return self._done(job)

    @contextmanager
    def read(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Iterator[pa.RecordBatchReader]:
        """The result of one query, a page of rows at a time. Tables that it names are those of `ddl.places`."""
        given = qualified(sql, places(self.dataset))
        with bigquery_errors("query", query=True, place=given.given_place):
            job = self._job(given.sql, parameters, default_dataset=f"{self.dataset.project}.{self.dataset.dataset}")
            rows = job.result(page_size=PAGE_ROWS, retry=_RETRY)
            self._done(job)
            schema = pa.schema([_arrow_field(column) for column in rows.schema])
        yield pa.RecordBatchReader.from_batches(schema, _pages(rows, schema))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The whole result of a query that is known to be small."""
        with self.read(sql, parameters) as reader:
            found: list[dict[str, Any]] = reader.read_all().to_pylist()
        return found

    def _job(self, sql: str, parameters: Mapping[str, Any] | None, **settings: Any) -> bigquery.QueryJob:
        named = [query_parameter(name, value) for name, value in (parameters or {}).items()]
        config = bigquery.QueryJobConfig(query_parameters=named, **settings)
        return self._google.query(sql, job_config=config, retry=_RETRY, location=self.location)

    def _done(self, job: bigquery.QueryJob) -> Done:
        scanned = int(job.total_bytes_processed or 0)
        self.bytes_scanned += scanned
        return Done(scanned, str(job.job_id))

    # Datasets and tables

    def ensure_datasets(self) -> None:
        """Makes those of the two that are missing. Raises WarehouseError where one lies in another place."""
        found = {name: self.found_dataset(name) for name in (self.dataset.dataset, self.dataset.raw)}
        places = {name: one.location for name, one in found.items() if one is not None}
        wanted = self.location or next(iter(places.values()), None)
        for name, place in places.items():
            if wanted is not None and place.lower() != wanted.lower():
                raise WarehouseError(
                    f"dataset {self.dataset.project}.{name} is in {place}, not in {wanted}",
                    hint="a dataset stays where it was made: set `location` in shop.yaml to that, or name another",
                )
        for name in found.keys() - places.keys():
            self.run(create_dataset(self.dataset, name, wanted), what=f"dataset {self.dataset.project}.{name}")

    def found_dataset(self, name: str) -> BigQueryDataset | None:
        """The dataset or its `raw` as it is; None where it does not exist."""
        found = self._dataset(name)
        if found is None:
            return None
        expirations = (found.default_table_expiration_ms, found.default_partition_expiration_ms)
        return BigQueryDataset(str(found.location), *(after and int(after) // 1000 for after in expirations))

    def missing_datasets(self) -> list[str]:
        """Of the dataset and its `raw` those that are not there."""
        return [name for name in (self.dataset.dataset, self.dataset.raw) if self._dataset(name) is None]

    def _dataset(self, name: str) -> bigquery.Dataset | None:
        with bigquery_errors(f"dataset {self.dataset.project}.{name}"):
            try:
                return self._google.get_dataset(f"{self.dataset.project}.{name}", retry=_RETRY)
            except exceptions.NotFound as error:
                if "Project" in str(error):
                    raise
                return None

    def table_names(self, dataset: str) -> list[str]:
        """Tables and views of a dataset; none where it does not exist."""
        with bigquery_errors(f"dataset {self.dataset.project}.{dataset}"), suppress(exceptions.NotFound):
            listed = self._google.list_tables(f"{self.dataset.project}.{dataset}", retry=_RETRY)
            return [item.table_id for item in listed]
        return []

    def table(self, dataset: str, name: str) -> BigQueryTable | None:
        """None where it does not exist."""
        reference = bigquery.TableReference(bigquery.DatasetReference(self.dataset.project, dataset), name)
        with bigquery_errors(f"table {self.dataset.project}.{dataset}.{name}"):
            try:
                found = self._google.get_table(reference, retry=_RETRY)
            except exceptions.NotFound:
                return None
        constraints = found.table_constraints
        key = constraints.primary_key if constraints else None
        partition = found.time_partitioning.field if found.time_partitioning else None
        return BigQueryTable(
            str(found.table_type),
            {column.name: column_type(column) for column in found.schema},
            tuple(key.columns) if key else (),
            partition,
            tuple(found.clustering_fields or ()),
            int(found.num_rows or 0),
            found.view_query if found.table_type == "VIEW" else None,
        )

    # Who may read

    def authorized(self) -> bool:
        """Whether the views of the dataset may read the raw dataset for those who may read only the views."""
        found = self._dataset(self.dataset.raw)
        return found is not None and self._entry() in found.access_entries

    def authorize(self) -> None:
        """Lets them. What else the raw dataset allows stays as it is: an update that met another is refused by its
        ETag, as WarehouseError."""
        found = self._dataset(self.dataset.raw)
        if found is not None and self._entry() not in found.access_entries:
            found.access_entries = [*found.access_entries, self._entry()]
            with bigquery_errors(f"dataset {self.dataset.project}.{self.dataset.raw}"):
                self._google.update_dataset(found, ["access_entries"], retry=_RETRY)

    def _entry(self) -> bigquery.AccessEntry:
        reference = {"projectId": self.dataset.project, "datasetId": self.dataset.dataset}
        return bigquery.AccessEntry(entity_type="dataset", entity_id={"dataset": reference, "targetTypes": ["VIEWS"]})

    def close(self) -> None:
        self._google.close()  # type: ignore[no-untyped-call]


def _pages(rows: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with bigquery_errors("query", query=True):
        for batch in rows.to_arrow_iterable(bqstorage_client=None):
            yield pa.RecordBatch.from_arrays(
                [_cast(column, wanted) for column, wanted in zip(batch.columns, schema.types, strict=True)],
                schema=schema,
            )


def _cast(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    return column if column.type == wanted else column.cast(wanted)


_ARROW: dict[str, pa.DataType] = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "TIME": pa.time64("us"),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "JSON": pa.string(),
    "GEOGRAPHY": pa.string(),
}
_LEGACY = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}
"""Standard names of types, which REST gives by their old ones."""


def _arrow_field(column: bigquery.SchemaField) -> pa.Field:
    name = _LEGACY.get(column.field_type, column.field_type)
    kind = pa.struct([_arrow_field(part) for part in column.fields]) if name == "RECORD" else _ARROW[name]
    return pa.field(column.name, pa.list_(kind) if column.mode == "REPEATED" else kind)


_KINDS: dict[str, ColumnType] = {
    "INTEGER": ColumnType(Kind.INT64),
    "FLOAT": ColumnType(Kind.FLOAT64),
    "BOOLEAN": ColumnType(Kind.BOOL),
    "STRING": ColumnType(Kind.STRING),
    "BYTES": ColumnType(Kind.BYTES),
    "DATE": ColumnType(Kind.DATE),
    "DATETIME": ColumnType(Kind.DATETIME),
    "TIMESTAMP": ColumnType(Kind.TIMESTAMP),
    "NUMERIC": ColumnType(Kind.DECIMAL, 38, 9),
    "BIGNUMERIC": ColumnType(Kind.DECIMAL, 76, 38),
    "JSON": ColumnType(Kind.JSON),
}
_REPEATED = {"STRING": ColumnType(Kind.STRINGS), "FLOAT": ColumnType(Kind.FLOATS)}


def column_type(column: bigquery.SchemaField) -> ColumnType | None:
    """What a column stores; None where no source column is stored so."""
    name = _LEGACY.get(column.field_type, column.field_type)
    return (_REPEATED if column.mode == "REPEATED" else _KINDS).get(name)


def query_parameter(name: str, value: Any) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    """A named parameter in the type of its value; None is a text's. Raises TypeError for what is no parameter."""
    if isinstance(value, list | tuple):
        kinds = {_parameter_type(part) for part in value if part is not None}
        widest = [kind for kind in ("BIGNUMERIC", "NUMERIC", "INT64") if kind in kinds]
        kind = next(iter(widest or kinds), "STRING")
        return bigquery.ArrayQueryParameter(name, kind, [_parameter_value(part, kind) for part in value])
    kind = "STRING" if value is None else _parameter_type(value)
    return bigquery.ScalarQueryParameter(name, kind, _parameter_value(value, kind))


def _parameter_value(value: Any, kind: str) -> Any:
    return decimal.Decimal(value) if isinstance(value, int) and kind in ("NUMERIC", "BIGNUMERIC") else value


def _parameter_type(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOL"
    if isinstance(value, int):
        return "INT64" if -(2**63) <= value < 2**63 else "BIGNUMERIC"
    if isinstance(value, decimal.Decimal):
        return "NUMERIC" if _is_numeric(value) else "BIGNUMERIC"
    if isinstance(value, dt.datetime):
        return "TIMESTAMP" if value.tzinfo else "DATETIME"
    for kind, name in ((str, "STRING"), (bytes, "BYTES"), (dt.date, "DATE"), (float, "FLOAT64")):
        if isinstance(value, kind):
            return name
    raise TypeError(f"{type(value).__name__} is no query parameter")


def _is_numeric(value: decimal.Decimal) -> bool:
    _, digits, exponent = value.as_tuple()
    scale = -exponent if isinstance(exponent, int) else 0
    return scale <= _NUMERIC_SCALE and len(digits) - scale <= _NUMERIC_DIGITS
