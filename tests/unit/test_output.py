"""How a result is printed: exactly, for people, spreadsheets and programs."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from pipeline import output

RESULT = {
    "name": ['Chair, blue\n"x"', None],
    "money": pa.array([Decimal("150.000000000"), Decimal("0.125000000")], pa.decimal128(38, 9)),
    "n": [1, None],
    "open": [True, False],
    "labels": [["a", "b"], None],
    "on": [dt.date(2022, 1, 13), None],
    "at": pa.array([dt.datetime(2022, 1, 13, 10, tzinfo=dt.timezone.utc), None], pa.timestamp("us", "UTC")),
    "bytes": [b"\xff\x00", None],
}


def printed(form: str, result: Any = RESULT, width: int | None = 200) -> str:
    out = io.StringIO()
    count = output.write(pa.table(result).to_reader(), form, out, width)
    assert count == len(next(iter(result.values())))
    return out.getvalue()


def test_csv_reads_back() -> None:
    header, first, second = csv.reader(io.StringIO(printed("csv")))
    assert header == list(RESULT)
    assert first == [
        'Chair, blue\n"x"',
        "150.00",
        "1",
        "true",
        '["a", "b"]',
        "2022-01-13",
        "2022-01-13 10:00:00Z",
        "ff00",
    ]
    assert second == ["", "0.125", "", "false", "", "", "", ""]


def test_json_lines_keep_numbers_text_and_null_apart() -> None:
    first, second = map(json.loads, printed("json").splitlines())
    assert first == {"name": 'Chair, blue\n"x"', "money": "150.00", "n": 1, "open": True, "labels": ["a", "b"],
                     "on": "2022-01-13", "at": "2022-01-13 10:00:00Z", "bytes": "ff00"}  # fmt: skip
    assert second["name"] is None
    assert second["open"] is False


def test_a_table_shows_everything_and_counts() -> None:
    text = printed("table", {"name": ["[red]x[/]", "b" * 30], "n": [1, 22]})
    assert "[red]x[/]" in text, "what a cell says is no markup"
    assert "b" * 30 in text
    assert "2 rows" in text
    assert "1 row\n" in printed("table", {"n": [1]})


def test_a_long_table_names_the_other_formats() -> None:
    out = io.StringIO()
    rows = output.TABLE_ROWS + 5
    assert output.write(pa.table({"n": range(rows)}).to_reader(), "table", out, 80) == output.TABLE_ROWS
    assert "--format csv prints all" in out.getvalue()


@pytest.mark.parametrize("form", output.FORMATS)
def test_an_empty_result(form: str) -> None:
    text = printed(form, {"n": pa.array([], pa.int64())})
    assert text.strip() == {"csv": "n", "json": ""}.get(form, text.strip())


@pytest.mark.parametrize(
    ("value", "text"),
    [("225", "225"), ("225.0", "225.00"), ("187.500000", "187.50"), ("0.125", "0.125"), ("-0.010", "-0.01"),
     ("1E+20", "100000000000000000000"), ("1E-9", "0.000000001"), ("0E-9", "0.00"), ("0", "0")],
)  # fmt: skip
def test_money_has_no_exponent_and_no_needless_zeros(value: str, text: str) -> None:
    assert output.decimal_text(Decimal(value)) == text
