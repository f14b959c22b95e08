"""The console script: help with examples, exit statuses, and errors that say what, where and what to do."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import COMMANDS, main, parser
from pipeline.duckdb_warehouse import open_duckdb
from tests.builders import ORDERS, apply, event, message, order, shop

SHOP = "preset: case_study\ntime_zone: Europe/Paris\ncurrency: EUR\nwarehouse: duckdb:ltv.duckdb\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a shop.yaml and a warehouse that holds one order and one dead letter."""
    monkeypatch.chdir(tmp_path)
    Path("shop.yaml").write_text(SHOP)
    warehouse = open_duckdb("ltv.duckdb")
    apply(warehouse, shop(), message(ORDERS, event("c", order(1), 1), b'{"op":"\xff"}', id="m1"))
    warehouse.close()
    return tmp_path


def run(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as stopped:
        return int(str(stopped.code))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    text = capsys.readouterr().out
    assert f"examples:\n  ltv-pipeline {command} " in text
    assert "--config FILE" in text


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert all(f"    {command}" in text for command in COMMANDS)
    assert parser().prog == "ltv-pipeline"


@pytest.mark.parametrize(
    ("status", "what", "arguments"),
    [
        (2, "COMMAND", []),
        (2, "invalid choice: 'rolup'", ["rolup"]),
        (2, "--until-idle", ["stream", "--until-idle", "soon"]),
        (2, "no number of seconds above 0", ["stream", "--until-idle", "nan"]),
        (2, "no number of seconds above 0", ["stream", "--until-idle", "0"]),
        (2, "required: FILES", ["replay"]),
        (2, "required: SQL", ["query"]),
        (2, "invalid choice: 'xml'", ["query", "SELECT 1", "--format", "xml"]),
        (2, "error: unknown arguments: --as-off=2022-01-01\nhint: ", ["rollup", "--as-off=2022-01-01"]),
        (2, "error: unknown arguments: --form csv\nhint: ", ["query", "SELECT 1", "--form", "csv"]),
        (2, "error: --as-of 'today' is no date\nhint: ", ["rollup", "--as-of", "today"]),
        (2, "error: no files of change events: none.jsonl\nhint: ", ["replay", "none.jsonl"]),
        (
            2,
            "error: neither this command nor Beam knows --no_such_option=1\nhint: ",
            ["replay", "shop.yaml", "--no_such_option=1"],
        ),
        (2, "error: other.yaml: 1 problem\n  - cannot be read", ["query", "SELECT 1", "-c", "other.yaml"]),
        (2, "project: missing; this command needs it\nhint: ", ["stream"]),
        (1, "error: not GoogleSQL: ", ["query", "SELEC 1"]),
        (1, "error: DELETE is not a query\nhint: ", ["query", "DELETE FROM orders WHERE TRUE"]),
        (1, "error: Catalog Error", ["query", "SELECT * FROM no_such_table"]),
    ],
)
def test_an_error_says_what_and_what_to_do(
    status: int, what: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == status
    shown = capsys.readouterr()
    assert what in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    ("form", "text"),
    [("csv", "id,amount\n1,75.00\n"), ("json", '{"id": 1, "amount": "75.00"}\n'), ("table", "1 row\n")],
)
def test_query_formats(form: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("query", "SELECT id, amount FROM orders", "--format", form) == 0
    assert text in capsys.readouterr().out


def test_a_query_from_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 AS one"))
    assert run("query", "-", "--format", "csv") == 0
    assert capsys.readouterr().out == "one\n1\n"


def test_rollup_prints_what_it_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rollup", "--as-of", "2022-02-28") == 0
    words = capsys.readouterr().out.split()
    assert words[words.index("ltv_cohorts") + 1] == "2"
    assert "2022-02-28," in words


def test_dead_letters_are_listed_with_their_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*arguments: str) -> list[Any]:
        assert run("dead-letters", "--format", "json", *arguments) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    (letter,) = listed()
    assert (letter["table"], letter["reason"], letter["message"], letter["line"]) == (
        "shop.orders",
        "not_utf8",
        "m1",
        2,
    )
    assert letter["bytes"] == '{"op":"\\xff"}'
    assert len(listed("--table", "shop.orders")) == 1
    assert listed("--table", "shop.charges") == []


def test_a_query_makes_no_warehouse(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("shop.yaml").write_text(SHOP.replace("ltv.duckdb", "other.duckdb"))
    assert run("query", "SELECT * FROM orders") == 1
    assert "error: " in capsys.readouterr().err
    assert not (folder / "other.duckdb").exists()
