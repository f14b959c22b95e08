"""Extracts → rows: which version wins, which types columns have, and what becomes a dead letter."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import pytest

from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.extract.plan import Reading
from schemas.errors import ExtractRefused
from schemas.sequence import extract_sequence
from tests.builders import (
    ORDER_COLUMNS,
    apply,
    event,
    memory,
    message,
    order,
    schema,
    shop,
    tables,
    texts,
    with_columns,
)
from tests.extracts import HEADER, extract_files, read, written

CONFIG = shop()


@pytest.fixture
def warehouse() -> DuckDBWarehouse:
    return memory()


def orders(warehouse: DuckDBWarehouse, columns: str = "id, ordered_on, amount") -> list[str]:
    return texts(warehouse, f"SELECT {columns} FROM orders ORDER BY id")


def one(folder: Path, line: str, header: str = HEADER, name: str = "orders.csv") -> str:
    return written(folder, name, line, header=header)


def test_the_newest_version_wins_then_the_later_file_then_the_later_line(
    warehouse: DuckDBWarehouse, tmp_path: Path
) -> None:
    first = written(
        tmp_path,
        "orders_1.csv",
        "1,2022-01-02,new,1,10,2022-01-02",
        "1,2022-01-01,old,1,20,2022-01-01",
        "2,2022-01-01,same,1,10,2022-01-01",
        "2,2022-01-01,same,1,11,2022-01-01",
        "3,2022-01-01,same,1,12,2022-01-01",
    )
    second = written(tmp_path, "orders_2.csv", "3,2022-01-01,same,1,10,2022-01-01", "1,2022-01-03,old,1,30,2022-01-01")
    read(warehouse, CONFIG, first, second)
    assert orders(warehouse) == ["1 2022-01-02 10.00", "2 2022-01-01 11.00", "3 2022-01-01 10.00"]
    assert texts(warehouse, "SELECT COUNT(*) FROM orders_history") == ["7"]


def test_a_file_keeps_its_place_in_the_order_under_any_name(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    first = one(tmp_path, "1,2022-01-01,x,1,10,2022-01-01", name="orders_1.csv")
    second = one(tmp_path, "1,2022-01-01,x,1,20,2022-01-01", name="orders_2.csv")
    read(warehouse, CONFIG, first)
    read(warehouse, CONFIG, second)
    assert orders(warehouse) == ["1 2022-01-01 20.00"]
    everything = texts(warehouse, "SELECT * EXCEPT (_written_at) FROM orders_history ORDER BY _sequence")
    read(warehouse, CONFIG, str(Path(first).rename(tmp_path / "orders_9.csv")))
    assert orders(warehouse) == ["1 2022-01-01 20.00"], "read again it is no later file"
    assert texts(warehouse, "SELECT * EXCEPT (_written_at) FROM orders_history ORDER BY _sequence") == everything


def test_without_a_version_the_order_of_files_and_lines_decides(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    header = "id,order_date,status,customer_id,amount"
    first = written(tmp_path, "orders.1.csv", "1,2022-01-01,x,1,10", "1,2022-01-01,x,1,20", header=header)
    second = written(tmp_path, "orders.2.csv", "1,2022-01-01,x,1,30", "2,2022-01-01,x,1,40", header=header)
    read(warehouse, CONFIG, first, second)
    assert orders(warehouse) == ["1 2022-01-01 30.00", "2 2022-01-01 40.00"]
    assert texts(warehouse, "SELECT DISTINCT _committed_at FROM orders") == ["1970-01-01 00:00:00Z"]


def test_a_row_without_a_version_is_the_oldest(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    path = written(
        tmp_path, "orders.csv", "1,2022-01-01,x,1,10,2022-01-01", "1,2022-01-01,x,1,20,", "2,2022-01-01,x,1,30,NULL"
    )
    read(warehouse, CONFIG, path)
    assert orders(warehouse) == ["1 2022-01-01 10.00", "2 2022-01-01 30.00"]


def test_the_version_may_be_mapped(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    config = shop(tables=with_columns("orders", updated_at="date_upd"))
    header = HEADER.replace("updated_at", "date_upd")
    lines = ["1,2022-01-01,x,1,10,2022-02-01 10:00:00", "1,2022-01-01,x,1,20,2022-02-01 09:59:59.999999"]
    read(warehouse, config, written(tmp_path, "orders.csv", *lines, header=header))
    assert orders(warehouse, "amount, updated_at") == ["10.00 2022-02-01 10:00:00"]


def test_any_change_of_a_log_wins_whatever_comes_first(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    path = written(tmp_path, "orders.csv", "1,2099-01-01,x,1,10,2099-01-01", "2,2022-01-01,x,1,20,2022-01-01")
    change = message(schema("shop.orders", ORDER_COLUMNS), event("u", order(1, amount="75.00"), 1))
    changed = ["1 2022-01-13 75.00", "2 2022-01-01 20.00"]
    read(warehouse, CONFIG, path)
    assert not apply(warehouse, CONFIG, change).dead
    assert orders(warehouse) == changed
    assert not [letter for made in read(warehouse, CONFIG, path) for letter in made.dead]
    assert orders(warehouse) == changed

    other = memory()
    apply(other, CONFIG, change)
    assert other.highest_epoch() == "0001"
    read(other, CONFIG, path)
    assert orders(other) == changed
    assert other.highest_epoch() == "0001"


def test_types_are_those_that_the_roles_need(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    header = "id,order_date,status,customer_id,amount,updated_at,zip,note"
    read(warehouse, CONFIG, one(tmp_path, '7,2022-01-13 10:00,5,C1,75,2022-01-05,01234,"a ""b"""', header))
    kinds = {name: str(kind.duckdb()) for name, kind in warehouse.raw_tables()["orders"].columns.items()}
    assert (
        kinds
        | {
            "id": "BIGINT",
            "customer_id": "VARCHAR",
            "amount": "DECIMAL(12,2)",
            "ordered_at": "TIMESTAMP WITH TIME ZONE",
            "ordered_on": "DATE",
            "updated_at": "TIMESTAMP",
            "status": "VARCHAR",
            "zip": "VARCHAR",
        }
        == kinds
    )
    assert orders(warehouse, "id, ordered_at, zip, note, customer_id") == ['7 2022-01-13 09:00:00Z 01234 a "b" C1']


def test_columns_have_the_types_that_a_stream_gave_them(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    of = schema("shop.orders", {**ORDER_COLUMNS, "amount": "double", "visits": "int", "seen": "timestamp"})
    apply(warehouse, CONFIG, message(of, event("c", order(1, amount=1.5, visits=3, seen="2022-01-01T00:00:00Z"), 1)))
    header = f"{HEADER},visits,seen"
    changes = read(
        warehouse,
        CONFIG,
        written(
            tmp_path,
            "orders.csv",
            "2,2022-01-01,x,1,12.25,2022-01-01,17,2022-06-01 12:00:00",
            "3,2022-01-01,x,1,12.25,2022-01-01,many,2022-06-01 12:00:00",
            header=header,
        ),
    )
    assert orders(warehouse, "id, amount, visits, seen") == [
        "1 1.5 3 2022-01-01 00:00:00Z",
        "2 12.25 17 2022-06-01 10:00:00Z",
        "3 12.25 many 2022-06-01 10:00:00Z",
    ], "and a value that is none makes the column one of text, where it is among the first"
    assert not [letter for made in changes for letter in made.dead]


def test_a_column_that_became_text_is_still_read_as_what_its_role_needs(
    warehouse: DuckDBWarehouse, tmp_path: Path
) -> None:
    of = schema("shop.orders", {**ORDER_COLUMNS, "updated_at": "varchar"})
    apply(warehouse, CONFIG, message(of, event("c", order(9, updated_at="lately"), 1)))
    late, early = "1,2022-01-01,x,1,20,2022-01-02 10:00", "1,2022-01-01,x,1,10,2022-01-02 09:00"
    read(warehouse, CONFIG, written(tmp_path, "orders.csv", late, early))
    assert orders(warehouse, "id, amount, updated_at") == ["1 20.00 2022-01-02 10:00:00.000000", "9 75.00 lately"]


def test_amounts_take_the_decimals_that_they_have(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    amounts = ["75", "+1.5", "-.25", "007.5", "12345678901234.123456", "1.500000", "0.1"]
    lines = [f"{id},2022-01-01,x,1,{amount},2022-01-01" for id, amount in enumerate(amounts)]
    read(warehouse, CONFIG, written(tmp_path, "orders.csv", *lines))
    assert orders(warehouse, "amount") == [
        "75.00", "1.50", "-0.25", "7.50", "12345678901234.123456", "1.50", "0.10",
    ]  # fmt: skip
    assert texts(warehouse, "SELECT SUM(amount) FROM ltv_entries") == ["12345678901319.473456"]


@pytest.mark.parametrize(
    ("text", "instant", "day"),
    [
        ("2022-01-13", "2022-01-12 23:00:00Z", "2022-01-13"),
        ("2022-07-13 10:00", "2022-07-13 08:00:00Z", "2022-07-13"),
        ("2022-07-13T10:00:30", "2022-07-13 08:00:30Z", "2022-07-13"),
        (" 2022-07-13 10:00:30.5 ", "2022-07-13 08:00:30.500000Z", "2022-07-13"),
        ("2022-07-13 10:00:30.1234560000", "2022-07-13 08:00:30.123456Z", "2022-07-13"),
        ("2022-07-13T23:30:00Z", "2022-07-13 23:30:00Z", "2022-07-14"),
        ("2022-07-13 23:30:00+02:00", "2022-07-13 21:30:00Z", "2022-07-13"),
        ("2022-07-13 23:30 -0500", "2022-07-14 04:30:00Z", "2022-07-14"),
        ("2022-07-13T23:30:00.25+02", "2022-07-13 21:30:00.250000Z", "2022-07-13"),
    ],
)
def test_spellings_of_times(warehouse: DuckDBWarehouse, tmp_path: Path, text: str, instant: str, day: str) -> None:
    changes = read(warehouse, CONFIG, one(tmp_path, f"1,{text},x,1,10,2022-01-01"))
    assert [letter.error for made in changes for letter in made.dead] == []
    assert orders(warehouse, "ordered_at, ordered_on") == [f"{instant} {day}"]


def test_a_column_may_have_a_zone_of_its_own(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    config = shop(tables=with_columns("orders", ordered_at={"column": "order_date", "time_zone": "UTC"}))
    read(warehouse, config, one(tmp_path, "1,2022-01-31 23:30:00,x,1,10,2022-01-01"))
    assert orders(warehouse, "ordered_at, ordered_on") == ["2022-01-31 23:30:00Z 2022-02-01"]


GOOD = "1,2022-01-01,x,1,10,2022-01-01"


@pytest.mark.parametrize(
    ("line", "reason", "error"),
    [
        ("2,2022-01-01,x,1,ten,2022-01-01", "value", "amount: 'ten' is no number"),
        ("2,2022-01-01,x,1,1e3,2022-01-01", "value", "amount: '1e3' is no number"),
        ("2,2022-01-01,x,1,0.1234567891,2022-01-01", "value", "amount: 0.1234567891 has more digits"),
        ("2,13/01/2022,x,1,10,2022-01-01", "value", "order_date: '13/01/2022' is no time"),
        ("2,2022-02-30,x,1,10,2022-01-01", "value", "order_date: '2022-02-30"),
        ("2,2022-01-01 25:00,x,1,10,2022-01-01", "value", "order_date: '2022-01-01T25:00"),
        ("2,2022-01-01T10:00:00Z,x,1,10,2022-01-01", "value", "has an offset, which others have not"),
        ("2,0000-00-00,x,1,10,2022-01-01", "zero_date", "order_date: '0000-00-00"),
        ("2,,x,1,10,2022-01-01", "incomplete", "ordered_at is NULL"),
        ("2,2022-01-01,x,1,,2022-01-01", "incomplete", "amount is NULL"),
        ("2,2022-01-01,x,1,10,1969-12-31", "value", "updated_at: "),
        ("2,2022-01-01,x,1,10,soon", "value", "updated_at: 'soon' is no time"),
        (",2022-01-01,x,1,10,2022-01-01", "value", "id: the key is NULL"),
        ("2,2022-01-01,x,1,10", "not_a_record", "5 fields where the header has 6"),
        ('2,2022-01-01,x,1,"10,2022-01-01', "not_a_record", "a quote is not closed"),
    ],
)
def test_a_bad_line_is_a_dead_letter_and_the_others_are_applied(
    warehouse: DuckDBWarehouse, tmp_path: Path, line: str, reason: str, error: str
) -> None:
    path = written(tmp_path, "orders.csv", GOOD, line, "3,2022-01-01,x,1,10,2022-01-01")
    read(warehouse, CONFIG, path)
    assert orders(warehouse, "id") == ["1", "3"]
    (letter,) = warehouse.dead_letters("shop.orders")
    assert (letter.message_id, letter.line, letter.reason) == (path, 3, reason)
    assert error in letter.error
    assert letter.data == f"{line}\n".encode()


def test_an_id_that_is_none_after_the_sample_is_a_dead_letter(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    lines = [f"{id},2022-01-01,x,1,10,2022-01-01" for id in range(1, 1_002)]
    path = written(tmp_path, "orders.csv", *lines, "007,2022-01-01,x,1,10,2022-01-01", "A1,2022-01-01,x,,10,2022-01-01")
    read(warehouse, CONFIG, path)
    assert [letter.error for letter in warehouse.dead_letters()] == [
        "id: '007' is no plain integer", "id: 'A1' is no plain integer",
    ]  # fmt: skip
    assert texts(warehouse, "SELECT COUNT(*) FROM orders") == ["1001"]


def test_ids_with_leading_zeros_are_text(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    path = written(tmp_path, "orders.csv", "007,2022-01-01,x,1,10,2022-01-01", "7,2022-01-01,x,1,10,2022-01-01")
    read(warehouse, CONFIG, path)
    assert orders(warehouse, "id") == ["007", "7"]


def test_decimal_commas(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    header = HEADER.replace(",", ";")
    path = written(tmp_path, "orders.csv", "1;2022-01-01;x;1;12,50;2022-01-01", header=header)
    with pytest.raises(ExtractRefused, match=r"orders\.csv, line 2, column amount: '12,50' has a decimal comma") as one:
        read(warehouse, CONFIG, path)
    assert "--decimal-comma" in str(one.value.hint)
    assert "orders" not in warehouse.raw_tables(), "nothing was written"
    path = written(
        tmp_path,
        "orders.csv",
        "1;2022-01-01;x;1;12,50;2022-01-01",
        "2;2022-01-01;x;1;-3;2022-01-01",
        "3;2022-01-01;x;1;1.234,50;2022-01-01",
        header=header,
    )
    read(warehouse, CONFIG, path, reading=Reading(decimal_comma=True))
    assert orders(warehouse, "id, amount") == ["1 12.50", "2 -3.00"]
    assert [letter.error for letter in warehouse.dead_letters()] == [
        "amount: '1.234,50' has a point, and --decimal-comma was given"
    ]


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (
            "id,order_date,status,customer_id",
            "no column amount, which shop.yaml maps for shop.orders; the header has id",
        ),
        ("ID;Order_Date;Status;customer_id;total", "no column amount"),
        ("id,order_date,status,customer_id,amount,Amount", "names Amount, amount twice"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole(warehouse: DuckDBWarehouse, tmp_path: Path, header: str, error: str) -> None:
    path = one(tmp_path, GOOD, header)
    with pytest.raises(ExtractRefused, match=error) as refused:
        extract_files(warehouse, CONFIG, [path])
    assert refused.value.hint


def test_no_line_fits_the_header(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    path = written(tmp_path, "orders.csv", GOOD.replace(",", "|"), GOOD.replace(",", "|"))
    with pytest.raises(ExtractRefused, match="no line fits its header; line 2: 1 fields where the header has 6"):
        extract_files(warehouse, CONFIG, [path])


def test_no_line_can_be_applied(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    lines = [f"{id},31/01/2022,x,1,10,2022-01-01" for id in range(20)]
    with pytest.raises(ExtractRefused, match="none of its first lines can be applied; line 2, column order_date: '31/"):
        extract_files(warehouse, CONFIG, [written(tmp_path, "orders.csv", *lines)])


def test_files_of_one_table_have_the_same_columns(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    paths = [one(tmp_path, GOOD, name="orders_1.csv"), one(tmp_path, f"{GOOD},x", f"{HEADER},note", "orders_2.csv")]
    with pytest.raises(ExtractRefused, match=r"orders_2\.csv and .*orders_1\.csv differ in note"):
        extract_files(warehouse, CONFIG, paths)


def test_names_of_columns_have_no_case(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    read(warehouse, CONFIG, one(tmp_path, GOOD, "ID,Order_Date,STATUS,Customer_Id,AMOUNT,Updated_At"))
    assert orders(warehouse) == ["1 2022-01-01 10.00"]


def test_only_published_columns_are_taken(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    config = shop(
        tables=tables(orders={"exclude": ["note"]}, customers={"name": "shop.customers", "columns": {"id": "id"}})
    )
    read(warehouse, config, one(tmp_path, f"{GOOD},secret", f"{HEADER},note"))
    customers = one(tmp_path, "1,a@b.c,2022-01-01", "id,email,updated_at", "customers.csv")
    read(warehouse, config, customers, table="shop.customers")
    assert "note" not in warehouse.raw_tables()["orders"].columns
    assert "email" not in warehouse.raw_tables()["customers"].columns
    assert texts(warehouse, "SELECT id, _sequence FROM customers") == [
        f"1 {extract_sequence(1_640_991_600_000_000, 2)}"
    ]


def test_one_table_may_play_two_roles(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    where = {"column": "kind", "in": ["sale"]}
    columns = {"id": "id", "order_id": "parent", "amount": "amount", "charged_at": "order_date"}
    config = shop(
        tables=tables(
            orders={"where": where},
            refunds={"name": "shop.orders", "columns": columns, "sign": -1, "where": {**where, "in": ["refund"]}},
        )
    )
    path = written(
        tmp_path,
        "orders.csv",
        "1,2022-01-01,x,1,100,,sale",
        "2,2022-01-02,x,1,30,1,refund",
        header="id,order_date,status,customer_id,amount,parent,kind",
    )
    read(warehouse, config, path)
    assert texts(warehouse, "SELECT entry_id, order_id, amount FROM ltv_entries ORDER BY entry_id") == [
        "order:1 1 100.00", "refund:2 1 -30.00",
    ]  # fmt: skip


def test_currencies_that_are_numbers(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    path = written(tmp_path, "orders.csv", f"{GOOD},2", "2,2022-01-01,x,1,5,2022-01-01,1", header=f"{HEADER},code")
    config = shop(tables=with_columns("orders", currency="code"), currencies={1: "EUR", 2: "USD"})
    read(warehouse, config, path)
    assert orders(warehouse, "id, currency") == ["1 2", "2 1"]
    assert warehouse.raw_tables()["orders"].columns["currency"].duckdb() == "BIGINT"
    assert texts(warehouse, "SELECT currency FROM ltv_entries ORDER BY entry_id") == ["USD", "EUR"]
    unexplained = shop(tables=with_columns("orders", currency="code"))
    with pytest.raises(ExtractRefused, match="`currencies` must say which currency each number means"):
        read(memory(), unexplained, path)


def mirrored(name: str = "shop.prices") -> Any:
    return shop(mirror=[name])


def test_the_key_of_a_mirrored_table(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    path = one(tmp_path, "a,b,1", "sku,region,price", "prices.csv")
    with pytest.raises(ExtractRefused, match=r"which column of shop\.prices is its primary key is not known"):
        extract_files(warehouse, mirrored(), [path], table="shop.prices")
    of = schema("shop.prices", {"sku": "varchar", "region": "varchar", "price": "int"}, ("sku", "region"))
    apply(warehouse, mirrored(), message(of, event("c", {"sku": "x", "region": "y", "price": 5}, 1)))
    read(warehouse, mirrored(), path, table="shop.prices")
    assert texts(warehouse, "SELECT sku, region, price FROM prices ORDER BY sku") == ["a b 1", "x y 5"]


def test_bytes_cannot_come_from_an_extract(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    of = schema("shop.orders", {**ORDER_COLUMNS, "photo": "blob"})
    apply(warehouse, CONFIG, message(of, event("c", order(1, photo="AAAA"), 1)))
    with pytest.raises(ExtractRefused, match="column photo holds bytes or vectors"):
        read(warehouse, CONFIG, one(tmp_path, f"{GOOD},x", f"{HEADER},photo"))


def test_another_encoding(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    data = f"{HEADER}\n{GOOD.replace('x', 'payé')}\n".encode("latin-1")
    path.write_bytes(data)
    with pytest.raises(ExtractRefused, match=rf"orders\.csv, line 2: byte {data.index(0xE9)} \(0xE9\) is not utf-8"):
        read(warehouse, CONFIG, str(path))
    read(warehouse, CONFIG, str(path), reading=Reading("latin-1"))
    assert orders(warehouse, "status") == ["payé"]
    path.write_bytes(codecs.BOM_UTF8 + f"{HEADER}\n{GOOD.replace('x', 'payé')}\n".encode())
    read(warehouse, CONFIG, str(path))
    assert orders(warehouse, "status") == ["payé"]
