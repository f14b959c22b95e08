"""Which files an extract has, which table each is of, and the look over all their bytes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pipeline.extract.files import find_extracts, named_table, opened, table_of
from pipeline.extract.survey import BLOCK_BYTES, checked_encoding, survey
from schemas.errors import ExtractRefused, UsageError
from tests.builders import shop, tables

ITEMS = {"name": "shop.order_items", "columns": {"order_id": "o", "product": "p", "quantity": "q", "unit_amount": "u"}}
CUSTOMERS = {"name": "eu.rates", "columns": {"id": "id"}}
CONFIG = shop(tables=tables(order_items=ITEMS, customers=CUSTOMERS), mirror=["shop.prices", "us.rates"])


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("orders.csv", "shop.orders"),
        ("Orders.CSV", "shop.orders"),
        ("shop.orders.csv", "shop.orders"),
        ("orders_2026-10.csv", "shop.orders"),
        ("orders-20261001T1200.csv.gz", "shop.orders"),
        ("orders 3.tsv", "shop.orders"),
        ("orders.1.txt", "shop.orders"),
        ("shop.order_items_7.csv", "shop.order_items"),
        ("order_items.csv", "shop.order_items"),
        ("eu.rates.csv", "eu.rates"),
        ("orders", "shop.orders"),
    ],
)
def test_a_file_is_of_the_table_that_its_name_begins_with(name: str, table: str) -> None:
    assert table_of(f"/exports/{name}", CONFIG) == table


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("orders_archive.csv", r"does not say which table it is of: .*shop\.order_items"),
        ("2026-10_orders.csv", "does not say which table"),
        ("buyers.csv", "does not say which table"),
        ("rates.csv", "may be of eu.rates or us.rates"),
    ],
)
def test_a_name_that_does_not_say_it(name: str, error: str) -> None:
    with pytest.raises(UsageError, match=error) as refused:
        table_of(name, CONFIG)
    assert ("--table eu.rates" if "rates" in name else "--table shop.orders") in str(refused.value.hint)


def test_a_table_by_name() -> None:
    assert named_table("charges", CONFIG) == named_table("SHOP.charges", CONFIG) == "shop.charges"
    for wrong in ("rates", "nothing"):
        with pytest.raises(UsageError, match=f"--table {wrong}: shop.yaml has (no table|several tables)"):
            named_table(wrong, CONFIG)


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv.gz", "notes.md", "c.tsv"):
        (tmp_path / name).touch()
    inside = [str(tmp_path / name) for name in ("a.csv.gz", "b.csv", "c.tsv")]
    assert find_extracts([str(tmp_path)]) == inside
    assert find_extracts([inside[2], str(tmp_path / "*.csv"), inside[2]]) == [inside[2], inside[1]]
    with pytest.raises(UsageError, match=r"no extract there: .*none\.csv, .*nowhere"):
        find_extracts([str(tmp_path / "none.csv"), inside[0], str(tmp_path / "nowhere")])


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    packed = tmp_path / "orders.csv"
    packed.write_bytes(gzip.compress(b"id\n1\n") + gzip.compress(b"2\n"))
    with opened(str(packed)) as file:
        assert file.read() == b"id\n1\n2\n"
    plain = tmp_path / "plain.csv.gz"
    plain.write_bytes(b"id\n1\n2\n")
    assert survey(str(plain), "utf-8") == survey(str(packed), "utf-8")


def test_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv.gz"
    path.write_bytes(gzip.compress(b"id\n" * 1000)[:-9])
    with pytest.raises(ExtractRefused, match="is damaged"):
        survey(str(path), "utf-8")


@pytest.mark.parametrize(("data", "lines"), [(b"id\n1\n", 2), (b"id\n1", 2), (b"id", 1), (b"\n\n", 2)])
def test_lines(tmp_path: Path, data: bytes, lines: int) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    assert survey(str(path), "utf-8").lines == lines


@pytest.mark.parametrize("before", [0, 10, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES - 2])
@pytest.mark.parametrize("bad", [b"\xe9\n", "é".encode()[:1] + b"x", b"\xff"])
def test_a_byte_that_is_not_utf_8_is_found_wherever_it_is(tmp_path: Path, before: int, bad: bytes) -> None:
    text = ("é\n" * before).encode()[:before] if before % 3 == 0 else b"ab\n" * (before // 3) + b"x" * (before % 3)
    path = tmp_path / "x.csv"
    path.write_bytes(text + bad + b"more\n")
    line = text.count(b"\n") + 1
    with pytest.raises(ExtractRefused, match=rf"line {line:,}: byte {before:,} \(0x{bad[0]:02X}\) is not utf-8") as one:
        survey(str(path), "utf-8")
    assert "--encoding" in str(one.value.hint)


def test_a_character_that_is_cut_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"id\n\xe2\x82")
    with pytest.raises(ExtractRefused, match=r"line 2: byte 3 \(0xE2\) is not utf-8"):
        survey(str(path), "utf-8")


@pytest.mark.parametrize(("data", "what"), [(b"", "is empty"), ("id\n".encode("utf-16"), "is UTF-16")])
def test_files_that_are_no_text(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    with pytest.raises(ExtractRefused, match=what):
        survey(str(path), "utf-8")


def test_encodings() -> None:
    assert [checked_encoding(name) for name in ("UTF-8", "utf-8-sig", "latin1", "cp1252")] == [
        "utf-8", "utf-8", "iso8859-1", "cp1252",
    ]  # fmt: skip
    for wrong in ("utf-16", "utf-32", "klingon", "base64", "cp037", "rot13"):
        with pytest.raises(UsageError, match="is none that can be read here"):
            checked_encoding(wrong)
