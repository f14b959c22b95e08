"""Names in BigQuery: of a warehouse's two datasets, their tables and streams, and which columns it takes (Google's
documentation: «Specifying a schema», «Name tables», «Create datasets»)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from pipeline.google_names import quoted
from schemas.errors import ConfigError

PREFIX = "bigquery:"
"""Begins the `warehouse` of shop.yaml."""

MAX_COLUMN_CHARACTERS = 300
MAX_TABLE_BYTES = 1024
MAX_KEY_COLUMNS = 16
MAX_COLUMNS = 2_000
"""Of a table that takes upserts."""

RESERVED_PREFIXES = (
    "_TABLE_",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
    "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TYPE",
    "_CHANGE_TIMESTAMP",
)
"""No column's name may begin so, in whichever case."""

_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1020}")
_COLUMN_MARKS = frozenset("&%=+:'<>#| ")


@dataclass(frozen=True)
class DatasetName:
    """The dataset that consumers read; `raw` beside it has everything that is upserted."""

    project: str
    dataset: str

    @property
    def raw(self) -> str:
        return f"{self.dataset}_raw"

    def table(self, name: str) -> str:
        """A view or a rolled-up table in SQL."""
        return quoted(f"{self.project}.{self.dataset}.{name}")

    def raw_table(self, name: str) -> str:
        return quoted(f"{self.project}.{self.raw}.{name}")

    def default_stream(self, raw_table: str) -> str:
        """The stream that takes the upserts of a raw table, as the Storage Write API names it."""
        return f"projects/{self.project}/datasets/{self.raw}/tables/{raw_table}/streams/_default"

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}"


def parse_dataset(text: str, project: str | None) -> DatasetName:
    """`project.dataset`, or `dataset` in `project`; without or with `bigquery:` before it. Raises ConfigError."""
    given, _, dataset = text.removeprefix(PREFIX).rpartition(".")
    problems = []
    owner = given or project
    if owner is None:
        problems.append(f"warehouse: {text} names no project; write bigquery:PROJECT.DATASET, or set `project`")
    elif not _PROJECT.fullmatch(owner):
        problems.append(f"warehouse: {owner!r} is no id of a Google Cloud project")
    if not _DATASET.fullmatch(dataset):
        problems.append(f"warehouse: {dataset!r} is no name of a dataset: letters, digits and _ only")
    if problems or owner is None:
        raise ConfigError(problems, hint="such as `warehouse: bigquery:my-project.ltv`")
    return DatasetName(owner, dataset)


def column_problem(name: str) -> str | None:
    """Why BigQuery refuses a column's name, with the way out; None where it takes it."""
    what = _column_problem(name)
    return what and f"{what}; name the column under `exclude` in shop.yaml, or rename it at the source"


def _column_problem(name: str) -> str | None:
    if not name:
        return "BigQuery takes no column without a name"
    if len(name) > MAX_COLUMN_CHARACTERS:
        return f"BigQuery takes no column name of more than {MAX_COLUMN_CHARACTERS} characters: {name[:40]}…"
    for prefix in RESERVED_PREFIXES:
        if name.upper().startswith(prefix):
            return f"BigQuery reserves column names that begin with {prefix}: {name}"
    wrong = sorted({mark for mark in name if not _is_column_mark(mark)})
    if wrong:
        return f"BigQuery takes no {' '.join(wrong)} in the name of a column: {name}"
    return None


def _is_column_mark(mark: str) -> bool:
    category = unicodedata.category(mark)
    return category[0] in "LNM" or category in ("Pc", "Pd") or mark in _COLUMN_MARKS


def table_problem(name: str) -> str | None:
    """Why BigQuery refuses a table's name: more than 1,024 bytes, or a mark other than letters, digits, connectors,
    dashes and spaces. None where it takes it."""
    if not 0 < len(name.encode()) <= MAX_TABLE_BYTES:
        return f"BigQuery takes table names of 1 to {MAX_TABLE_BYTES:,} bytes: {name[:40]}"
    wrong = sorted({mark for mark in name if not _is_table_mark(mark)})
    if wrong:
        return f"BigQuery takes no {' '.join(wrong)} in the name of a table: {name}"
    return None


def _is_table_mark(mark: str) -> bool:
    category = unicodedata.category(mark)
    return category[0] in "LNM" or category in ("Pc", "Pd", "Zs")
