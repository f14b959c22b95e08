"""`rederive`: what it refuses, what it empties, and that it changes all or nothing."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.changes import Load
from pipeline.cli import main
from pipeline.dead_letters import retry
from pipeline.duckdb_warehouse import DuckDBWarehouse, open_duckdb
from pipeline.layout import layouts
from pipeline.rederive import staging
from pipeline.rederive.command import MAX_DEAD, rederive, report
from pipeline.session import Statement, WarehouseLocked
from schemas.config import ShopConfig
from schemas.errors import SettingsChanged, UsageError, WarehouseError
from tests.builders import (
    CHARGE_COLUMNS,
    CHARGES,
    ORDER_COLUMNS,
    ORDERS,
    apply,
    charge,
    event,
    message,
    order,
    schema,
    sequence,
    shop,
    tables,
    texts,
    with_columns,
)

HISTORY = [
    message(
        schema("shop.orders", {**ORDER_COLUMNS, "kind": "varchar", "paid_at": "datetime(6)"}),
        event("c", order(1, "2022-01-31T23:30:00", 1, "10.00", kind="a", paid_at="2022-02-02T00:00:00"), 1),
        event("c", order(2, "2022-02-15", 0, "20.00", kind="b", paid_at="2022-02-16T00:00:00"), 2),
        event("c", order(3, "2022-03-15", 2, "40.00", status="cancelled", kind="a", paid_at=None), 3),
        event("d", order(4, "2022-03-16", 2, "80.00", kind="b", paid_at=None), 4),
    ),
    message(CHARGES, event("c", charge(7, 1, "-5.00", "2022-02-01"), 5), id="c"),
]
ENTRIES = "SELECT entry_id, purchase_date, customer_id, amount, currency FROM ltv_entries ORDER BY entry_id"


class Place:
    """A warehouse in a file, loaded under the case study's settings."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "ltv.duckdb")
        with self.opened() as warehouse:
            warehouse.check_settings(self.config())
            apply(warehouse, self.config(), *HISTORY)

    def config(self, **fields: Any) -> ShopConfig:
        return shop(warehouse=f"duckdb:{self.path}", **fields)

    @contextlib.contextmanager
    def opened(self) -> Iterator[DuckDBWarehouse]:
        with contextlib.closing(open_duckdb(self.path)) as warehouse:
            yield warehouse

    def texts(self, sql: str = ENTRIES) -> list[str]:
        with self.opened() as warehouse:
            return texts(warehouse, sql)

    def everything(self) -> list[str]:
        """All that the file holds, by table."""
        names = self.raw_tables()
        with self.opened() as warehouse:
            return [line for name in names for line in (name, *texts(warehouse, f"SELECT * FROM raw.`{name}`"))]

    def raw_tables(self) -> list[str]:
        with self.opened() as warehouse:
            return sorted(warehouse.raw_tables())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


BEFORE = [
    "charge:7 2022-02-01 - -5.00 -",
    "order:1 2022-01-31 1 10.00 EUR",
    "order:2 2022-02-15 - 20.00 EUR",
]


def test_the_entries_follow_the_settings_and_the_history_stays(place: Place) -> None:
    assert place.texts() == BEFORE
    history = place.texts("SELECT * FROM orders_history ORDER BY id")
    rederive(place.config(counted=None, guests=[1], currency="USD"))
    assert place.texts() == [
        "charge:7 2022-02-01 - -5.00 -",
        "order:1 2022-01-31 - 10.00 USD",
        "order:2 2022-02-15 0 20.00 USD",
        "order:3 2022-03-15 2 40.00 USD",
    ]
    rederive(place.config())
    assert place.texts() == BEFORE
    assert place.texts("SELECT * FROM orders_history ORDER BY id") == history


def test_a_datetime_moves_with_the_zone(place: Place) -> None:
    rederive(place.config(time_zone="UTC"))
    assert place.texts("SELECT id, ordered_at, ordered_on FROM raw.orders ORDER BY id")[0] == (
        "1 2022-01-31 23:30:00Z 2022-01-31"
    )
    config = place.config(
        time_zone="Europe/Paris",
        tables=with_columns("orders", ordered_at={"column": "order_date", "time_zone": "UTC"}),
    )
    rederive(config)
    assert place.texts("SELECT id, ordered_at, ordered_on FROM raw.orders ORDER BY id")[0] == (
        "1 2022-01-31 23:30:00Z 2022-02-01"
    )


def test_mapped_columns_change_places(place: Place) -> None:
    done = rederive(place.config(tables=with_columns("orders", ordered_at="paid_at", status="kind"), counted=None))
    assert place.texts("SELECT id, ordered_on, status, source_status, order_date FROM orders ORDER BY id") == [
        "1 2022-02-02 a completed 2022-01-31 23:30:00",
        "2 2022-02-16 b completed 2022-02-15 12:00:00",
        "3 - a cancelled 2022-03-15 12:00:00",
    ]
    assert done.dead == 1, "order 3 counts now, and has no date"
    with place.opened() as warehouse:
        (letter,) = warehouse.dead_letters()
        assert (letter.message_id, letter.reason) == ("rederived orders 3", "incomplete")
        assert b'"source_status": "cancelled"' in letter.data
        assert retry(place.config(), warehouse, [letter]).final == 1
    assert [line.split()[0] for line in place.texts()] == ["charge:7", "order:1", "order:2"]
    rederive(place.config())
    assert place.texts() == BEFORE
    assert place.texts("SELECT message_id FROM raw.dead_letters") == []


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"tables": tables(orders={"name": "shop.sales"})}, "orders: it was filled from shop.orders"),
        ({"tables": with_columns("orders", id="order_number")}, "orders: its rows are told apart by id"),
        ({"tables": with_columns("orders", amount="total")}, "orders: it has no column total"),
        ({"tables": with_columns("orders", amount={"column": "amount", "minus": ["tax"]})}, "it has no column tax"),
        ({"tables": tables(orders={"where": {"column": "shop", "in": [1]}})}, "it has no column shop"),
        ({"tables": with_columns("orders", ordered_at="kind")}, "orders: kind is no date in it"),
        ({"tables": with_columns("orders", amount="kind")}, "it is no number"),
        (
            {"tables": tables(orders={"where": {"column": "paid_at", "in": ["2022-02-02"]}})},
            "`where` asks for values of paid_at, which the warehouse keeps in another form",
        ),
    ],
)
def test_what_the_raw_tables_cannot_tell(place: Place, changed: dict[str, Any], error: str) -> None:
    before = place.everything()
    with pytest.raises(SettingsChanged, match=error) as refused:
        rederive(place.config(**changed))
    assert "rederive --reload shop." in str(refused.value.hint)
    assert "batch --table shop." in str(refused.value.hint)
    assert place.everything() == before


def test_kinds_of_dates_that_are_not_known(place: Place) -> None:
    of = schema("shop.charges", {**CHARGE_COLUMNS, "created_at": "timestamp"})
    with place.opened() as warehouse:
        late = charge(8, 1, "-1.00", "2022-02-03T00:00:00Z")
        apply(warehouse, place.config(), message(of, event("c", late, 9)))
        warehouse.session.run([Statement("DELETE FROM raw.settings WHERE key = 'kinds:orders'")])
    with pytest.raises(SettingsChanged) as refused:
        rederive(place.config(time_zone="UTC"))
    assert "orders: it is not known whether order_date is a DATETIME or a TIMESTAMP" in str(refused.value)
    assert "charges: created_at was DATETIME and TIMESTAMP in the course of time" in str(refused.value)
    assert "--reload shop.orders --reload shop.charges" in str(refused.value.hint).replace(
        "--reload shop.charges --reload shop.orders", "--reload shop.orders --reload shop.charges"
    )
    rederive(place.config(counted=None))


def test_rows_of_which_it_is_not_known_whether_they_were_deleted(place: Place) -> None:
    """As a warehouse has them that was filled before rows kept their op."""
    only_b = place.config(tables=tables(orders={"where": {"column": "kind", "in": ["b"]}}))
    rederive(only_b)
    assert [line.split()[0] for line in place.texts()] == ["charge:7", "order:2"]
    with place.opened() as warehouse:
        warehouse.session.run([Statement("UPDATE raw.orders SET _op = NULL")])
    rederive(place.config(tables=tables(orders={"where": {"column": "kind", "not_in": ["a"]}})))
    assert [line.split()[0] for line in place.texts()] == ["charge:7", "order:2"], "order 4 was deleted all the same"
    with place.opened() as warehouse:
        warehouse.session.run([Statement("UPDATE raw.orders SET _op = NULL")])
    with pytest.raises(
        SettingsChanged, match="orders: of 2 rows it is not known whether they were deleted or left out"
    ):
        rederive(place.config())


def test_times_in_an_hour_that_the_old_clock_skipped(place: Place) -> None:
    with place.opened() as warehouse:
        skipped = order(9, "2022-03-27T02:30:00", 1, "1.00", kind="a", paid_at=None)
        apply(warehouse, place.config(), message(HISTORY_ORDERS, event("c", skipped, 20)))
    done = rederive(place.config(time_zone="UTC"))
    (line,) = [line for line in report(done, dry_run=False) if "skipped an hour" in line]
    assert line.startswith("1 times of shop.orders")
    assert "batch --table shop.orders" in line


HISTORY_ORDERS = schema("shop.orders", {**ORDER_COLUMNS, "kind": "varchar", "paid_at": "datetime(6)"})


def test_an_emptied_table_is_loaded_again(place: Place, tmp_path: Path) -> None:
    config = place.config(tables=with_columns("orders", amount="net"))
    done = rederive(config, reload=["shop.orders"])
    assert done.load_again == ["shop.orders"]
    assert place.texts() == ["charge:7 2022-02-01 - -5.00 -"]
    assert place.texts("SELECT `table`, _sequence, reason FROM raw.reloads") == [
        "shop.orders 0001/00000001/0000000000000004/00000000 emptied by `rederive --reload`"
    ]
    of = schema("shop.orders", {**ORDER_COLUMNS, "net": "decimal(12,2)"})
    with place.opened() as warehouse:
        warehouse.check_settings(config)
        assert not apply(warehouse, config, message(of, event("c", order(1, net="8.00"), 30))).dead
    assert place.texts() == ["charge:7 2022-02-01 - -5.00 -", "order:1 2022-01-13 1 8.00 EUR"]
    with pytest.raises(UsageError, match=r"--table shop\.nothing"):
        rederive(config, reload=["shop.nothing"])


def test_a_role_that_goes_ends_its_entries_and_a_new_one_is_to_be_loaded(place: Place) -> None:
    columns = {"id": "id", "order_id": "order_id", "amount": "amount", "charged_at": "created_at"}
    refunds = {"name": "shop.refunds", "columns": columns, "sign": -1}
    both = tables(refunds=refunds)
    del both["charges"]
    done = rederive(place.config(tables=both))
    assert (done.ended, done.load_again) == (1, ["shop.refunds"])
    assert place.texts() == BEFORE[1:]
    assert place.texts("SELECT entry_id, _deleted FROM raw.ltv_entries WHERE kind = 'refund'") == ["charge:7 true"]
    config = place.config(tables=both)
    with place.opened() as warehouse:
        of = schema("shop.refunds", CHARGE_COLUMNS)
        apply(warehouse, config, message(of, event("c", charge(3, 1, "4.00"), 40)))
    assert place.texts()[-1].startswith("refund:3 2022-02-01 - -4.00")
    both["refunds"] = {**refunds, "sign": 1}
    rederive(place.config(tables=both))
    assert place.texts()[-1].startswith("order:2"), "a positive refund is none"
    with pytest.raises(SettingsChanged, match="charges: the table of that name is of older settings"):
        rederive(place.config(tables=tables()))


def test_a_batch_that_was_not_done_begins_anew(place: Place) -> None:
    """What it has written beside the tables was derived with the old settings."""
    config = place.config(mirror=["shop.prices"])
    of = schema("shop.prices", {"id": "int", "price": "int"})
    with place.opened() as warehouse:
        for table, layout in (("shop.orders", layouts(ORDERS, config)), ("shop.prices", layouts(of, config))):
            warehouse.open_load(Load(f"batch:{table}", table, "f", sequence(1), True, tuple(layout)))
    assert "prices.loading" in place.raw_tables()
    done = rederive(place.config(mirror=["shop.prices"], counted=None))
    assert done.load_again == ["shop.orders", "shop.prices"]
    with place.opened() as warehouse:
        assert warehouse.loads() == []
    assert not [name for name in place.raw_tables() if "." in name]


def test_a_dry_run_only_says_it(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = place.everything()
    done = rederive(place.config(counted=None, time_zone="UTC"), dry_run=True)
    assert report(done, dry_run=True) == [
        'counted: {"column": "status", "not_in": ["cancelled"]} → null',
        'time_zone: "Europe/Paris" → "UTC"',
        "2022-03: entries 0 → 1, amount 0 → 40.00",
        "5 entries would be derived anew, 0 that no row makes any more would be ended",
    ]
    assert place.everything() == before


def test_what_fails_on_the_way_changes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.everything()
    config = place.config(time_zone="UTC", counted=None)

    def crash(*_: object) -> None:
        raise WarehouseError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(staging, "_in_place", crash)
        with pytest.raises(WarehouseError, match="the disk is full"):
            rederive(config)
    assert place.everything() == before
    rederive(config)
    assert place.texts()[-1].startswith("order:3")


def test_too_many_incomplete_rows_are_no_slips(place: Place) -> None:
    config = place.config()
    lines = [event("c", order(id, None, 1, "1.00", status="cancelled"), id) for id in range(100, 100 + MAX_DEAD + 1)]
    with place.opened() as warehouse:
        assert not apply(warehouse, config, message(ORDERS, *lines)).dead
    with pytest.raises(WarehouseError, match="more than 10,000 rows of orders count as money now and are incomplete"):
        rederive(place.config(counted=None))
    assert place.texts() == BEFORE


def test_it_waits_for_nobody_who_holds_the_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "HOLD_WAIT_S", 0.3)
    holds = f"import duckdb; held = duckdb.connect({place.path!r}); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(WarehouseLocked) as refused:
            rederive(place.config(counted=None))
        holder.communicate("\n")
    assert "stop `ltv-pipeline stream`" in str(refused.value.hint)


def test_as_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Place(tmp_path)
    yaml = Path("shop.yaml")
    text = "time_zone: Europe/Paris\ncurrency: EUR\nwarehouse: duckdb:ltv.duckdb\ntables:\n"
    for role, table in tables().items():
        columns = ", ".join(f"{name}: {source}" for name, source in table["columns"].items())
        text += f"  {role}: {{name: {table['name']}, columns: {{{columns}}}}}\n"
    counted = "counted: {column: status, not_in: [cancelled]}\n"
    yaml.write_text(text + counted)
    assert main(["rederive"]) == 0
    assert "the settings are those that the warehouse was derived with" in capsys.readouterr().out
    yaml.write_text(text)
    assert main(["rollup", "--as-of", "2022-12-31"]) == 1
    assert "hint: `ltv-pipeline rederive` derives it anew" in capsys.readouterr().err
    assert main(["rederive", "--dry-run"]) == 0
    assert main(["rollup", "--as-of", "2022-12-31"]) == 1
    assert main(["rederive"]) == 0
    assert "ltv_cohorts" in capsys.readouterr().out
    assert main(["query", "SELECT SUM(revenue) FROM ltv_monthly", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "70.00"
    assert main(["rederive", "-c", "nothing.yaml"]) == 2
