"""Columns of the database as texts and numbers in its SQL: which are refused, and that blanks of every kind go."""

from __future__ import annotations

import pytest

from pipeline.verify.conditions import BLANKS, without_blanks
from pipeline.verify.source_columns import COLLATIONS, ColumnProblem, number, product, text
from schemas.catalogue import CatalogueColumn
from tests.conftest import Server


def column(full_type: str, charset: str | None = None) -> CatalogueColumn:
    kind = full_type.split("(")[0].split()[0]
    return CatalogueColumn("it", kind, full_type, True, charset, "")


@pytest.mark.parametrize("full_type", ["float", "double", "datetime(3)", "timestamp", "time", "point"])
def test_a_column_that_servers_print_in_their_own_way_is_no_text(full_type: str) -> None:
    with pytest.raises(ColumnProblem, match=r"it is .*, which no server writes"):
        text(column(full_type), COLLATIONS["mysql"])


@pytest.mark.parametrize(("full_type", "charset"), [("float", None), ("varchar(20)", "latin1"), ("date", None)])
def test_a_column_without_exact_numbers_is_none(full_type: str, charset: str | None) -> None:
    with pytest.raises(ColumnProblem, match="it is "):
        number(column(full_type, charset))


@pytest.mark.parametrize(
    ("pieces", "price", "line"),
    [
        (("int(10) unsigned", "7"), ("decimal(12,4)", "-0.3333"), "-2.333100000"),
        (("decimal(20,10)", "1.0000000005"), ("decimal(6,2)", "1.00"), "1.000000001"),
        (("double", "0.1"), ("double", "3"), "0.300000000"),
        (("bigint(20) unsigned", "18446744073709551615"), ("decimal(30,9)", "2.5"), "46116860184273879037.500000000"),
    ],
)
def test_a_line_is_rounded_once_to_nine_decimals(
    server: Server, database: str, pieces: tuple[str, str], price: tuple[str, str], line: str
) -> None:
    one, other = CatalogueColumn("a", *_kind(pieces[0])), CatalogueColumn("b", *_kind(price[0]))
    with server.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE items (a {pieces[0]}, b {price[0]})")
        cursor.execute("INSERT INTO items VALUES (%s, %s)", (pieces[1], price[1]))
        cursor.execute(f"SELECT {product(one, other)} FROM items")
        assert f"{cursor.fetchone()[0]:f}" == line


def _kind(full_type: str) -> tuple[str, str, bool, None, str]:
    return full_type.split("(")[0].split()[0], full_type, True, None, ""


def test_blanks_are_trimmed_as_the_pipeline_does(server: Server) -> None:
    assert list(BLANKS) == [chr(code) for code in range(0x110000) if chr(code).isspace()]
    with server.connect(charset="utf8mb4") as connection, connection.cursor() as cursor:
        for shown in ("a b", f" {BLANKS}a\tb\u00a0", BLANKS, "", "\u200ba", "été"):
            cursor.execute(f"SELECT {without_blanks('given')} FROM (SELECT %s AS given) AS one", (shown,))
            assert cursor.fetchone() == (shown.strip(),)
