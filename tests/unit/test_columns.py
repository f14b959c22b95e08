"""`schemas/types.md` and `schemas/columns.py` are one table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.columns import warehouse_type

TABLE = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (Path(__file__).parents[2] / "schemas" / "types.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| source type")
]
INTEGERS = [f"{name}{sign}" for name in ("tinyint", "smallint", "mediumint", "int") for sign in ("", " unsigned")]
SAYS = {
    "TINYINT, SMALLINT, MEDIUMINT, INT, signed and unsigned; BIGINT": [*INTEGERS, "bigint"],
    "BIGINT UNSIGNED": ["bigint unsigned"],
    "DECIMAL(p,s), p ≤ 38": ["decimal(12,2)", "decimal(38,9)", "decimal(38,0)", "decimal(38,38)", "decimal(30,1)"],
    "DECIMAL(p,s), p > 38": ["decimal(39,0)", "decimal(65,30)"],
    "FLOAT, DOUBLE": ["float", "double", "float unsigned", "double unsigned"],
    "BIT(n)": ["bit(1)", "bit", "bit(63)", "bit(64)"],
    "DATE": ["date"],
    "DATETIME(f)": ["datetime", "datetime(6)"],
    "TIMESTAMP(f)": ["timestamp", "timestamp(3)"],
    "TIME(f)": ["time", "time(6)"],
    "YEAR": ["year", "year(4)"],
    "CHAR, VARCHAR, TEXT": ["char", "varchar", "text", "varchar(255)"],
    "ENUM": ["enum"],
    "SET": ["set"],
    "BINARY, VARBINARY, BLOB": ["binary", "varbinary", "blob", "binary(16)"],
    "JSON": ["json"],
    "geometry": ["geometry"],
    "UUID, INET4, INET6": ["uuid", "inet4", "inet6"],
    "VECTOR(n)": ["vector"],
}


def test_every_row_of_the_table_is_held_against_the_code() -> None:
    assert {row[0] for row in TABLE} == {*SAYS, "NULL"}


@pytest.mark.parametrize(
    ("row", "source"), [pytest.param(row, source, id=source) for row in TABLE for source in SAYS.get(row[0], ())]
)
def test_the_tables_types_are_the_codes(row: list[str], source: str) -> None:
    found = warehouse_type(source)
    if source.startswith("decimal"):
        precision, scale = map(int, re.findall(r"\d+", source))
        numeric = "NUMERIC" if precision - scale <= 29 and scale <= 9 else "BIGNUMERIC"
        said = (f"DECIMAL({precision},{scale})", numeric) if precision <= 38 else (row[2], row[3])
    elif source.startswith("bit"):
        said = ("DECIMAL(20,0)", "NUMERIC") if source == "bit(64)" else ("BIGINT", "INT64")
        assert all(word in row[2] + row[3] for word in said)
    else:
        said = (row[2], row[3])
    assert (found.duckdb(), found.bigquery()) == said


@pytest.mark.parametrize(
    "source", ["", "INT", "int ", "complex", "decimal(0,0)", "decimal(66,0)", "decimal(5,6)", "decimal(a)",
               "date unsigned", "varchar(", "int(11) unsigned zerofill", "decimal(999999,1)", "inet5", "xmltype"]
)  # fmt: skip
def test_an_unknown_type_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="unknown column type"):
        warehouse_type(source)
