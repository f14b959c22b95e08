"""Who imports whom, what files are called, how long they are, and that the README names every command and option."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import binlog_worker.cli
import pipeline.cli

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "binlog_worker", "pipeline")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))

FORBIDDEN = {
    "schemas": {"binlog_worker", "pipeline", "tests", "demo", "bench", "apache_beam", "duckdb", "sqlglot", "pyarrow"},
    "binlog_worker": {
        "pipeline",
        "tests",
        "demo",
        "bench",
        "apache_beam",
        "duckdb",
        "sqlglot",
        "pyarrow",
        "google.cloud.bigquery",
    },
    "pipeline": {"binlog_worker", "tests", "demo", "bench", "pymysql", "google.pubsub_v1", "google.cloud.pubsub_v1"},
}

IMPORTERS = {
    "pymysql": {
        "schemas/source.py",
        "schemas/catalogue.py",
        "schemas/result_stream.py",  # PyMySQL itself reads a result value by value
        "binlog_worker/log/dump.py",
        "binlog_worker/server.py",
    },
    "google.pubsub_v1": {"schemas/topic.py"},
    "google.cloud.pubsub_v1": set(),
    "google.cloud.bigquery": {"pipeline/bigquery/client.py"},
    "google.cloud.bigquery_storage": set(),
    "google.cloud.bigquery_storage_v1": {"pipeline/bigquery/append_client.py"},
    "google.cloud.bigquery_datatransfer_v1": {"pipeline/deploy/schedules.py"},
    "google.cloud.monitoring_v3": {"pipeline/deploy/alarm.py"},
    "duckdb": {"pipeline/session.py"},
    "sqlglot": {"pipeline/google_sql.py", "pipeline/verify/shop_sql.py"},
    "google.cloud.storage": {"schemas/cloud_storage.py"},
    "starlette": {"pipeline/report/guard.py", "pipeline/report/routes.py"},
    "uvicorn": {"pipeline/report/serve.py"},
    "yaml": {"schemas/config_file.py", "schemas/presets.py"},
}
"""Outside client → the modules that may import it, types included."""

LONG_FILES: dict[str, str] = {}
"""Files of more than 400 lines → why."""


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_what_it_must_not(package: str) -> None:
    wrong = [
        f"{name(file)} imports {module}"
        for file in FILES
        if name(file).startswith(f"{package}/")
        for module in imports(file)
        if any(is_of(module, forbidden) for forbidden in FORBIDDEN[package])
    ]
    assert wrong == []


@pytest.mark.parametrize("client", IMPORTERS)
def test_outside_clients_have_their_importers(client: str) -> None:
    found = {name(file) for file in FILES if any(is_of(module, client) for module in imports(file))}
    assert found == IMPORTERS[client]


def test_nothing_imports_a_main() -> None:
    assert [name(file) for file in FILES if any(module.endswith("__main__") for module in imports(file))] == []


def test_files_are_named_after_what_they_own() -> None:
    vague = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc|base)(_|$)")
    assert [name(file) for file in FILES if any(vague.search(part) for part in (file.stem, file.parent.name))] == []


def test_every_file_says_what_it_owns() -> None:
    assert [name(file) for file in FILES if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))] == []


def test_long_files_have_a_reason() -> None:
    long = {name(file) for file in FILES if file.read_text(encoding="utf-8").count("\n") > 400}
    assert long == set(LONG_FILES)


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for top in (pipeline.cli.parser(), binlog_worker.cli.parser()):
        for action in top._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from ((f"{top.prog} {command}", parser) for command, parser in action.choices.items())


def test_the_readme_names_every_command_and_option() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    wanted = {command for command, _ in parsers()} | {
        option
        for _, parser in parsers()
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help" and action.help != argparse.SUPPRESS
    }
    assert len(wanted) > 10
    assert [word for word in sorted(wanted) if word not in readme] == []


def test_the_readme_names_no_command_that_is_not_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    known = {command for command, _ in parsers()}
    shown = set(re.findall(r"^\s*(?:\$ )?((?:ltv-pipeline|binlog-worker) [a-z][a-z-]+)", readme, re.MULTILINE))
    assert shown - known == set()
