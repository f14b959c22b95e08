"""`ltv-pipeline report`: a file that is whole or not there, and errors that say what to do."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
import yaml

from pipeline.cli import main
from pipeline.duckdb_warehouse import open_duckdb
from pipeline.report import command
from pipeline.rollup import rollup
from pipeline.session import Statement
from tests.builders import MAPPED, apply, by_words, shop

SHOP = yaml.safe_dump(
    {
        "time_zone": "Europe/Paris",
        "currency": "EUR",
        "counted": {"column": "status", "not_in": ["cancelled"]},
        "tables": MAPPED,
        "warehouse": "duckdb:ltv.duckdb",
    }
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("shop.yaml").write_text(SHOP)
    warehouse = open_duckdb("ltv.duckdb")
    apply(warehouse, shop(), *by_words(["order 1 2022-01-13 4711000815 75"]))
    rollup(warehouse, shop(), dt.date(2022, 2, 28))
    warehouse.close()
    return tmp_path


def run(*arguments: str) -> int:
    try:
        return main(["report", *arguments])
    except SystemExit as stopped:
        return int(str(stopped.code))


def test_it_says_what_it_wrote(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    said = capsys.readouterr()
    assert re.match(
        r"report\.html written, \d\.\d\d MB, in \d+\.\d\d s\nnote: The figures end with 2022-02-28;", said.out
    )
    assert said.err == ""
    assert (folder / "report.html").read_text("utf-8").startswith("<!doctype html>")
    assert sorted(file.name for file in folder.iterdir()) == ["ltv.duckdb", "report.html", "shop.yaml"]


def test_it_prints(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("-o", "-") == 0
    said = capfdbinary.readouterr()
    assert said.out.startswith(b"<!doctype html>") and said.out.rstrip().endswith(b"</html>")
    assert b"- written" in said.err


def test_it_rolls_up_only_when_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    warehouse = open_duckdb("ltv.duckdb")
    apply(warehouse, shop(), *by_words(["order 1 2022-01-13 4711000815 75", "order 2 2022-01-14 1 33.33"]))
    warehouse.close()
    assert run() == 0
    assert "Orders or refunds have been written since the rollup" in capsys.readouterr().out
    assert b'"108.33"' not in Path("report.html").read_bytes()
    assert run("--rollup") == 0
    assert "written since" not in capsys.readouterr().out
    assert b'"108.33"' in Path("report.html").read_bytes()


def test_no_ids(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert b"4711000815" in Path("report.html").read_bytes().split(b'id="document"')[1].split(b"</script>")[0]
    assert run("--orders-per-cell", "0") == 0
    assert b"4711000815" not in Path("report.html").read_bytes().split(b'id="document"')[1].split(b"</script>")[0]


@pytest.mark.parametrize(
    ("status", "what", "arguments"),
    [
        (2, "error: none/a.html cannot be written: No such file or directory\nhint: -o FILE", ["-o", "none/a.html"]),
        (2, "error: . cannot be written: it is a folder", ["-o", "."]),
        (2, "error: shop.yaml/x cannot be written: Not a directory", ["-o", "shop.yaml/x"]),
        (2, "'-1' is no number from 0 to 9999", ["--orders-per-cell=-1"]),
        (2, "unknown arguments: --as-of", ["--as-of"]),
        (1, "error: ", ["-c", "gone.yaml"]),
    ],
)  # fmt: skip
def test_what_cannot_be(
    status: int, what: str, arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("gone.yaml").write_text(SHOP.replace("ltv.duckdb", "gone.duckdb"))
    assert run(*arguments) == status
    said = capsys.readouterr()
    assert what in said.err and "Traceback" not in said.err and said.out == ""


def test_an_output_that_cannot_be_written_is_said_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "open_warehouse", lambda *_, **__: pytest.fail("it was opened"))
    assert run("-o", "nowhere/report.html") == 2


def test_a_file_stays_as_it_was_when_something_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("report.html").write_text("of yesterday")
    Path("report.html").chmod(0o640)
    warehouse = open_duckdb("ltv.duckdb")
    warehouse.session.run([Statement("DROP TABLE main.ltv_triangle")])
    warehouse.close()
    assert run() == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ltv_triangle is missing") and "hint: run `ltv-pipeline rollup`" in said
    assert Path("report.html").read_text() == "of yesterday"
    assert sorted(file.name for file in folder.iterdir()) == ["ltv.duckdb", "report.html", "shop.yaml"]
    assert run("--rollup") == 0
    assert Path("report.html").read_text().startswith("<!doctype")
    assert Path("report.html").stat().st_mode & 0o777 == 0o640


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-o", "/dev/full") == 2
    assert "error: /dev/full cannot be written: No space left on device" in capsys.readouterr().err


def test_a_warehouse_that_was_never_filled(capsys: pytest.CaptureFixture[str]) -> None:
    Path("shop.yaml").write_text(SHOP.replace("ltv.duckdb", "new.duckdb"))
    open_duckdb("new.duckdb").close()
    assert run() == 0
    assert "error: The warehouse is empty" in capsys.readouterr().out
    assert b"The warehouse is empty" in Path("report.html").read_bytes()


def test_a_warehouse_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    Path("ltv.duckdb").write_text("no database")
    assert run() == 1
    assert "ltv.duckdb is not a DuckDB file\nhint: " in capsys.readouterr().err
