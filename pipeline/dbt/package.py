"""The files of the dbt package, and how they come into a folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.bigquery.names import parse_dataset
from pipeline.dbt.macros import TESTS, macros
from pipeline.dbt.model import BIGQUERY, DUCKDB, RAW_SOURCE, SOURCE, models, sources
from pipeline.dbt.properties import Place, models_yaml, sources_yaml, tables_yaml
from pipeline.rollup import ROLLED_UP, rollup_queries
from schemas.config import ShopConfig
from schemas.errors import UsageError
from schemas.tables import RAW

NAME = "ltv"
MADE = "made by ltv-pipeline dbt; made again, it is overwritten"
PROJECT = f"""# {MADE}
name: {NAME}
version: "1.0.0"
require-dbt-version: ">=1.11.0"
model-paths: [models]
macro-paths: [macros]
test-paths: [tests]
"""
MAKES = """on-run-start:
  - "{{ 'SET GLOBAL TimeZone = ''UTC''' if target.type == 'duckdb' else '' }}"
models:
  ltv:
    +persist_docs: {relation: true, columns: true}
"""


def package(config: ShopConfig, *, sources_only: bool = False) -> dict[str, str]:
    """Path → text of every file. `sources_only`: the tables are those that `rollup` or scheduled queries make.

    Raises ConfigError: no warehouse.
    """
    adapter, places = _places(config)
    if sources_only:
        return {**_marked({**TESTS, "models/ltv.yml": tables_yaml(places[SOURCE])}), "dbt_project.yml": PROJECT}
    queries = [*rollup_queries(), ("rolled_up", ROLLED_UP)]
    files = {f"models/{table}.sql": text for table, text in models(queries, adapter).items()}
    files |= {"models/ltv.yml": models_yaml(), "models/sources.yml": sources_yaml(sources(queries), places)}
    files |= {**macros(config.time_zone, adapter), **TESTS}
    return {**_marked(files), "dbt_project.yml": PROJECT + MAKES}


def _places(config: ShopConfig) -> tuple[str, dict[str, Place]]:
    """The adapter that the warehouse wants, and where its sources are."""
    config.need("warehouse")
    if config.duckdb_file:
        return DUCKDB, {SOURCE: (None, "main"), RAW_SOURCE: (None, RAW)}
    dataset = parse_dataset(str(config.warehouse), config.project)
    return BIGQUERY, {SOURCE: (dataset.project, dataset.dataset), RAW_SOURCE: (dataset.project, dataset.raw)}


def _marked(files: dict[str, str]) -> dict[str, str]:
    return {
        path: (f"# {MADE}\n" if path.endswith(".yml") else f"{{#- {MADE} -#}}\n") + text for path, text in files.items()
    }


def write(files: dict[str, str], folder: Path) -> None:
    """Puts the files into a folder that is new, empty or holds such a package; takes away what an earlier one had more.

    Raises UsageError.
    """
    try:
        if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder / "dbt_project.yml"):
            raise UsageError(f"{folder} holds something else", hint="name a folder of its own with -o FOLDER")
        for old in folder.glob("*/**/*"):
            if old.relative_to(folder).as_posix() not in files and _is_ours(old):
                old.unlink()
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}", hint="-o FOLDER names another") from error


def _is_ours(file: Path) -> bool:
    return file.is_file() and MADE.encode() in file.read_bytes()[:200]
