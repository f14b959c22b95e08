"""One `apply` on BigQuery: what is written in which order, what becomes of refused rows, and what a batch notes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from pipeline.bigquery.appends import Append, RejectedRow
from pipeline.bigquery.loads import LEASE, Lease
from pipeline.bigquery.own_rows import MOST_BYTES
from pipeline.bigquery.tables import RawTables
from pipeline.bigquery.warehouse import BigQueryWarehouse
from pipeline.changes import Changes, DeadRow, Floor, Load, LoadedChunk, Reload
from pipeline.layout import layouts
from schemas.config import ShopConfig
from schemas.errors import SettingsChanged, WarehouseError, WarehouseUnavailable
from tests.builders import CHARGES, ORDER_COLUMNS, ORDERS, charge, decode, event, message, order, schema, sequence, shop
from tests.unit.bigquery_http import Answer, BigQueryHttp

ARRIVED = {"source": "s", "run": "r", "number": "7", "committed_at": "2022-07-11T12:00:00Z"}
BIGQUERY = {"warehouse": "bigquery:my-project.ltv"}


class FakeAppends:
    """Takes every row but those that it was told to refuse, and keeps what it was given, write by write."""

    def __init__(self) -> None:
        self.writes: list[dict[str, Append]] = []
        self.refused: dict[str, dict[int, str]] = {}
        self.failure: Exception | None = None
        self.requests = self.retries = self.connections_opened = 0

    def write(self, appends: Sequence[Append]) -> dict[str, list[RejectedRow]]:
        if self.failure is not None:
            raise self.failure
        assert len({append.table for append in appends}) == len(appends), "a table twice in one write"
        for append in appends:
            append.schema.serialize(append.rows, append.sequences)  # what cannot be serialized cannot be written
        self.writes.append({append.table: append for append in appends})
        return {
            append.table: [RejectedRow(index, why) for index, why in self.refused[append.table].items()]
            for append in appends
            if append.table in self.refused
        }

    def close(self) -> None:
        pass

    @property
    def tables(self) -> list[set[str]]:
        """Which tables each write was for."""
        return [set(write) for write in self.writes]

    def rows(self, table: str) -> list[dict[str, Any]]:
        found = [write[table] for write in self.writes if table in write]
        return [row for append in found for row in append.rows.to_pylist()]

    def sequences(self, table: str) -> list[str]:
        found = [write[table].sequences for write in self.writes if table in write]
        return [number for numbers in found for number in numbers.to_pylist()]  # type: ignore[union-attr]


@pytest.fixture
def http() -> BigQueryHttp:
    return BigQueryHttp()


@pytest.fixture
def appends() -> FakeAppends:
    return FakeAppends()


@pytest.fixture
def warehouse(http: BigQueryHttp, appends: FakeAppends) -> BigQueryWarehouse:
    tables = RawTables(http.client(), staleness=dt.timedelta(minutes=15), partition="month")
    tables.make_own()
    http.jobs.clear()
    return BigQueryWarehouse(tables.client, tables, appends)  # type: ignore[arg-type]


def orders(*events: bytes, id: str = "m", **attributes: str) -> Any:
    return message(ORDERS, *events, id=id, **attributes)


def test_rows_go_before_what_is_noted_of_them_and_arrivals_last(
    warehouse: BigQueryWarehouse, appends: FakeAppends
) -> None:
    changes = decode(shop(), orders(event("c", order(1), 1), event("t", None, 2), b"junk", **ARRIVED),
                     message(CHARGES, event("c", charge(1), 3), id="n"))  # fmt: skip
    changes.reloads.append(Reload("shop.orders", sequence(4), "RENAME TABLE"))
    applied = warehouse.apply(changes)
    assert appends.tables == [
        {"orders", "orders_history", "charges", "ltv_entries"},
        {"floors", "reloads", "dead_letters", "settings"},
        {"arrivals"},
    ]
    assert (applied.rows, applied.dead) == (2, 1)
    assert appends.rows("orders")[0]["amount"] == Decimal("75.00")
    assert appends.rows("orders_history")[0]["_op"] == "c"
    assert appends.sequences("orders_history") == appends.sequences("orders") == [sequence(1)]
    assert appends.sequences("ltv_entries") == [sequence(1), sequence(3)]
    assert appends.sequences("floors") == [sequence(2)]
    assert appends.sequences("arrivals") == ["7"]
    (arrival,) = appends.rows("arrivals")
    assert (arrival["run"], arrival["number"], arrival["through"]) == ("r", 7, 7)
    (letter,) = appends.rows("dead_letters")
    assert (letter["message_id"], letter["line"], letter["data"], letter["_deleted"]) == ("m", 3, b"junk", False)


def test_the_highest_epoch_is_ordered_by_itself(warehouse: BigQueryWarehouse, appends: FakeAppends) -> None:
    warehouse.apply(decode(shop(), orders(event("c", order(1), sequence(1, epoch=10)))))
    kept = dict(zip([row["key"] for row in appends.rows("settings")], appends.sequences("settings"), strict=True))
    assert kept["highest_epoch"] == "000A"
    assert kept["kinds:orders"] == "0"
    assert warehouse.highest_epoch() == "000A"


def test_nothing_is_noted_before_rows_are_confirmed(warehouse: BigQueryWarehouse, appends: FakeAppends) -> None:
    appends.failure = WarehouseUnavailable("cut")
    with pytest.raises(WarehouseUnavailable):
        warehouse.apply(decode(shop(), orders(event("c", order(1), 1), **ARRIVED)))
    assert appends.writes == []


def test_a_refused_row_is_a_dead_letter_with_its_line_and_the_others_are_applied(
    warehouse: BigQueryWarehouse, appends: FakeAppends
) -> None:
    appends.refused = {"orders": {1: "too large"}, "orders_history": {1: "too large"}}
    lines = [event("c", order(number), number) for number in (1, 2, 3)]
    first = orders(*lines[:1], id="a", table="shop.orders")
    applied = warehouse.apply(decode(shop(), first, orders(*lines[1:], id="b")))
    assert (applied.rows, applied.dead) == (2, 1)
    (letter,) = appends.rows("dead_letters")
    assert (letter["message_id"], letter["line"], letter["table"], letter["reason"]) == (
        "b",
        1,
        "shop.orders",
        "refused",
    )
    assert (letter["data"], letter["schema_line"]) == (lines[1], ORDERS.line())
    assert letter["error"] == "BigQuery refuses the row: too large"


def test_a_refused_entry_is_the_dead_letter_of_its_order(warehouse: BigQueryWarehouse, appends: FakeAppends) -> None:
    appends.refused = {"ltv_entries": {1: "Value 1 is outside the allowed bounds"}}
    changes = decode(
        shop(), orders(event("c", order(1), 1), id="a"), message(CHARGES, event("c", charge(9), 2), id="b")
    )
    applied = warehouse.apply(changes)
    assert (applied.rows, applied.dead) == (2, 1)
    (letter,) = appends.rows("dead_letters")
    assert (letter["message_id"], letter["line"], letter["table"]) == ("b", 1, "shop.charges")
    assert "partition: none" in letter["error"], "the way out"


def test_rows_that_no_table_takes_are_dead_letters_and_the_rest_is_applied(
    warehouse: BigQueryWarehouse, appends: FakeAppends
) -> None:
    config = shop(mirror=["shop.things"])
    things = schema("shop.things", {"id": "bigint", "_FILE_": "int"})
    lines = [event("c", {"id": number, "_FILE_": 1}, number) for number in (1, 2)]
    applied = warehouse.apply(decode(config, message(things, *lines, id="t"), orders(event("c", order(1), 3))))
    assert (applied.rows, applied.dead) == (1, 2)
    assert [(row["line"], row["data"]) for row in appends.rows("dead_letters")] == [(1, lines[0]), (2, lines[1])]
    assert "exclude" in appends.rows("dead_letters")[0]["error"]
    assert "things" not in set.union(*appends.tables)


def test_a_row_whose_origin_nobody_knows_stops_everything(warehouse: BigQueryWarehouse, appends: FakeAppends) -> None:
    changes = decode(shop(), orders(event("c", order(1), 1)))
    changes.batches[0].origins = None
    appends.refused = {"orders": {0: "why"}}
    with pytest.raises(WarehouseError, match="BigQuery refuses the row: why"):
        warehouse.apply(changes)


def test_a_refused_note_stops_everything(warehouse: BigQueryWarehouse, appends: FakeAppends) -> None:
    appends.refused = {"arrivals": {0: "why"}}
    with pytest.raises(WarehouseError, match=r"refuses a row of ltv_raw\.arrivals: why"):
        warehouse.apply(decode(shop(), orders(event("c", order(1), 1), **ARRIVED)))


def test_rows_of_two_shapes_of_one_table_go_one_after_the_other(
    warehouse: BigQueryWarehouse, appends: FakeAppends
) -> None:
    wider = schema("shop.orders", {**ORDER_COLUMNS, "note": "text", "customer_id": "bigint unsigned"})
    old = orders(event("c", order(1), 1), id="a")
    new = message(wider, event("c", order(2, note="x"), 2), id="b")
    again = orders(event("c", order(3), 3), id="c")
    warehouse.apply(decode(shop(), old, new))
    assert appends.tables[:2] == [{"orders", "orders_history", "ltv_entries"}, {"orders", "orders_history"}]
    warehouse.apply(decode(shop(), again))
    assert [row["customer_id"] for row in appends.rows("orders")] == [1, 1, 1]
    last = [write["orders"] for write in appends.writes if "orders" in write][-1]
    assert last.schema.columns["customer_id"].bigquery() == "NUMERIC", "an integer goes into a widened column as that"


def test_a_dead_letter_that_is_larger_than_a_row_may_be_is_cut_and_says_so(
    warehouse: BigQueryWarehouse, appends: FakeAppends
) -> None:
    letter = DeadRow("m", 1, None, "value", "does not fit", b"x" * (MOST_BYTES + 1), b"s", {"a": "b"})
    warehouse.apply(Changes(dead=[letter]))
    (kept,) = appends.rows("dead_letters")
    assert len(kept["data"]) == MOST_BYTES
    assert kept["error"] == "does not fit (line cut to 6,000,000 of 6,000,001 bytes)"
    assert json.loads(kept["attributes"]) == {"a": "b"}


def test_an_own_row_is_written_once_in_a_write(warehouse: BigQueryWarehouse, appends: FakeAppends) -> None:
    floors = [Floor("orders", sequence(9)), Floor("orders", sequence(3)), Floor("charges", sequence(1))]
    warehouse.apply(Changes(floors=floors))
    kept = {row["table"]: row["_sequence"] for row in appends.rows("floors")}
    assert len(appends.rows("floors")) == 2
    assert kept == {"orders": sequence(9), "charges": sequence(1)}


# What a command asks


def derivation(config: ShopConfig) -> str:
    return json.dumps(json.loads(json.dumps(config.settings())), sort_keys=True)


def test_settings_are_kept_once_and_others_are_refused(
    warehouse: BigQueryWarehouse, appends: FakeAppends, http: BigQueryHttp
) -> None:
    warehouse.check_settings(shop())
    (kept,) = appends.rows("settings")
    assert kept == {"key": "derivation", "value": derivation(shop())}
    columns = [("key", "STRING"), ("value", "STRING")]
    http.answers.append(Answer("ltv_raw.settings", columns, [["derivation", derivation(shop())]]))
    warehouse.check_settings(shop())
    assert len(appends.rows("settings")) == 1
    with pytest.raises(SettingsChanged, match="time_zone"):
        warehouse.check_settings(shop(time_zone="Asia/Tokyo"))


def test_each_rolled_up_table_is_replaced_atomically(warehouse: BigQueryWarehouse, http: BigQueryHttp) -> None:
    http.answers.append(Answer("COUNT(*)", [("a", "INTEGER"), ("b", "INTEGER")], [["3", "4"]]))
    tables = [("a", "SELECT @as_of AS day FROM ltv_entries"), ("b", "SELECT 1 AS one FROM raw.floors ORDER BY one")]
    before = warehouse.scanned().size
    counts = warehouse.replace_tables(tables, {"as_of": dt.date(2022, 10, 31)})
    assert counts == {"a": 3, "b": 4}
    first, second, _ = http.jobs
    assert first["configuration"]["query"]["query"].startswith("CREATE OR REPLACE TABLE `my-project.ltv.a` AS\n")
    assert first["configuration"]["query"]["queryParameters"][0]["parameterValue"] == {"value": "2022-10-31"}
    assert second["configuration"]["query"]["query"].endswith("FROM `my-project.ltv_raw.floors` AS `floors`")
    assert not second["configuration"]["query"].get("queryParameters")
    assert warehouse.scanned().size - before == 3 * http.scanned


def test_dead_letters_are_read_and_forgotten(
    warehouse: BigQueryWarehouse, appends: FakeAppends, http: BigQueryHttp
) -> None:
    columns = [("message_id", "STRING"), ("line", "INTEGER"), ("table", "STRING"), ("reason", "STRING"),
               ("error", "STRING"), ("data", "BYTES"), ("schema_line", "BYTES"), ("attributes", "JSON")]  # fmt: skip
    row = ["m", "3", "shop.orders", "value", "does not fit", "AP8=", "", '{"a":"b"}']
    http.answers.append(Answer("ltv_raw.dead_letters", columns, [row]))
    letters = warehouse.dead_letters("shop.orders")
    assert letters == [DeadRow("m", 3, "shop.orders", "value", "does not fit", b"\x00\xff", b"", {"a": "b"})]
    assert "WHERE _deleted IS NOT TRUE" in http.statements[-1]
    warehouse.forget_dead_letters(letters)
    (gone,) = appends.rows("dead_letters")
    assert (gone["message_id"], gone["line"], gone["_deleted"]) == ("m", 3, True)


# What a batch asks

LOADS = [("id", "STRING"), ("table", "STRING"), ("fingerprint", "STRING"), ("whole", "BOOLEAN"), ("sequence", "STRING"),
         ("started_at", "TIMESTAMP"), ("done_at", "TIMESTAMP"), ("rows", "INTEGER"), ("dead", "INTEGER")]  # fmt: skip
CHUNKS = [("load", "STRING"), ("number", "INTEGER"), ("upper", "STRING"), ("rows", "INTEGER"), ("dead", "INTEGER")]
STARTED = "1657811000000000"


def load(id: str = "b:1:shop.orders", *, whole: bool = True) -> Load:
    return Load(id, "shop.orders", "f", sequence(5), whole, tuple(layouts(ORDERS, shop())))


def known(http: BigQueryHttp, loads: Sequence[Sequence[Any]], chunks: Sequence[Sequence[Any]]) -> None:
    http.page = 100
    http.answers = [Answer("ltv_raw.load_chunks", CHUNKS, chunks), Answer("ltv_raw.loads", LOADS, loads)]


def begun(id: str = "b:1:shop.orders", whole: str = "true") -> list[Any]:
    return [id, "shop.orders", "f", whole, sequence(5), STARTED, None, None, None]


def test_a_load_goes_on_where_its_chunks_end(warehouse: BigQueryWarehouse, http: BigQueryHttp) -> None:
    done = ["b:0:shop.charges", "shop.charges", "f", "true", sequence(1), STARTED, STARTED, "9", "1"]
    known(
        http,
        [done, begun()],
        [["b:1:shop.orders", "1", "[10]", "10", "0"], ["b:1:shop.orders", "2", "[18446744073709551615]", "7", "2"]],
    )
    first, second = warehouse.loads()
    assert (first.table, first.done, first.rows, first.dead, first.chunks) == ("shop.charges", True, 9, 1, 0)
    assert (second.done, second.chunks, second.upper, second.complete) == (False, 2, "[18446744073709551615]", False)
    assert (second.rows, second.dead) == (17, 2)
    known(http, [begun()], [["b:1:shop.orders", "1", None, "10", "0"]])
    assert warehouse.loads()[0].complete


def test_a_new_load_forgets_what_others_of_its_table_have_left(
    warehouse: BigQueryWarehouse, http: BigQueryHttp, appends: FakeAppends
) -> None:
    known(http, [begun("old")], [["old", "1", "[10]", "10", "0"]])
    opened = warehouse.open_load(load("new"))
    assert not opened.beside, "upserts take their place at once"
    kept = {row["id"]: row["_deleted"] for row in appends.rows("loads")}
    assert kept == {"new": False, "old": True}
    assert [(row["load"], row["_deleted"]) for row in appends.rows("load_chunks")] == [("old", True)]
    appends.writes.clear()
    known(http, [begun("new")], [])
    warehouse.open_load(load("new"))
    assert appends.writes == []


def chunk(dead: int = 0) -> LoadedChunk:
    return LoadedChunk(load(), 3, "[10]", "[20]", 5, dead, sequence(6))


def test_a_chunk_is_noted_after_its_rows_with_the_dead_letters_of_refused_ones(
    warehouse: BigQueryWarehouse, appends: FakeAppends
) -> None:
    changes = decode(shop(), orders(*[event("r", order(number), 1) for number in (1, 2)]))
    changes.chunk = chunk()
    appends.refused = {"orders": {0: "why"}}
    warehouse.apply(changes)
    assert appends.tables[0] == {"orders", "orders_history", "ltv_entries"}
    assert appends.tables[1] >= {"load_chunks", "dead_letters"}
    (noted,) = appends.rows("load_chunks")
    assert (noted["load"], noted["number"], noted["upper"], noted["rows"], noted["dead"]) == (
        "b:1:shop.orders", 3, "[20]", 5, 1,
    )  # fmt: skip


@pytest.mark.parametrize(("whole", "dead", "raised"), [(True, 0, True), (True, 1, False), (False, 0, False)])
def test_a_load_that_ends_raises_the_floor_only_where_it_saw_everything(
    warehouse: BigQueryWarehouse, http: BigQueryHttp, appends: FakeAppends, whole: bool, dead: int, raised: bool
) -> None:
    known(http, [begun(whole=str(whole).lower())], [["b:1:shop.orders", "1", None, "10", str(dead)]])
    letters = Answer("STARTS_WITH", [("message_id", "STRING"), ("line", "INTEGER")], [["batch:shop.orders:1", "1"]])
    http.answers.insert(0, letters)
    warehouse.apply(Changes(loaded=load(whole=whole)))
    assert [row["table"] for row in appends.rows("floors")] == (["orders"] if raised else [])
    assert appends.sequences("floors") == ([sequence(5)] if raised else [])
    assert [row["_deleted"] for row in appends.rows("dead_letters")] == ([True] if whole else [])
    (ended,) = appends.rows("loads")
    assert (ended["rows"], ended["dead"], ended["done_at"] is not None, ended["_deleted"]) == (10, dead, True, False)
    assert appends.sequences("loads") == ["1"]
    assert [row["_deleted"] for row in appends.rows("load_chunks")] == [True]
    assert ("ltv_raw", "orders") in http.tables, "also where there were no rows"


def lease_row(until: dt.datetime | None, holder: str = "other") -> list[Any]:
    value = None if until is None else json.dumps({"holder": holder, "until": until.isoformat()})
    return ["1657811000000000", value]


NOW = dt.datetime.fromtimestamp(1657811000, dt.timezone.utc)
LEASE_COLUMNS = [("now", "TIMESTAMP"), ("value", "STRING")]


def lease(warehouse: BigQueryWarehouse) -> Lease:
    return Lease(warehouse.client, warehouse.note, settle_s=0.0)


@pytest.mark.parametrize("until", [None, NOW - dt.timedelta(seconds=1)])
def test_a_batch_takes_a_lease_that_is_free_or_over(
    warehouse: BigQueryWarehouse, http: BigQueryHttp, appends: FakeAppends, until: dt.datetime | None
) -> None:
    http.answers.append(Answer("CURRENT_TIMESTAMP()", LEASE_COLUMNS, [lease_row(until)]))
    taken = lease(warehouse)
    taken.take()
    taken.release()
    first, last = [json.loads(row["value"]) for row in appends.rows("settings") if row["key"] == LEASE]
    assert first["until"] == (NOW + dt.timedelta(seconds=180)).isoformat(), "by BigQuery's clock, not ours"
    assert last == {"holder": first["holder"], "until": ""}


def test_a_second_batch_is_refused_until_when(
    warehouse: BigQueryWarehouse, http: BigQueryHttp, appends: FakeAppends
) -> None:
    held = NOW + dt.timedelta(seconds=100)
    http.answers.append(Answer("CURRENT_TIMESTAMP()", LEASE_COLUMNS, [lease_row(held)]))
    with pytest.raises(WarehouseError, match=r"a batch is running on my-project\.ltv already") as raised:
        lease(warehouse).take()
    assert held.isoformat() in str(raised.value.hint)
    assert appends.writes == []


def test_of_two_that_begin_at_once_the_later_goes_on(warehouse: BigQueryWarehouse, http: BigQueryHttp) -> None:
    rows = [lease_row(None)]
    http.answers.append(Answer("CURRENT_TIMESTAMP()", LEASE_COLUMNS, rows))
    first = lease(warehouse)
    write = first._write

    def overtaken(notes: Any) -> None:
        write(notes)
        rows[:] = [lease_row(NOW + dt.timedelta(seconds=180))]  # the other has written after this one

    first._write = overtaken
    with pytest.raises(WarehouseError, match="already"):
        first.take()


def test_tables_are_known_again_after_an_error(
    warehouse: BigQueryWarehouse, http: BigQueryHttp, appends: FakeAppends
) -> None:
    warehouse.apply(decode(shop(), orders(event("c", order(1), 1))))
    del http.tables["ltv_raw", "orders"]  # by hand
    appends.failure = WarehouseError("no such table")
    with pytest.raises(WarehouseError):
        warehouse.apply(decode(shop(), orders(event("c", order(2), 2))))
    appends.failure = None
    warehouse.apply(decode(shop(), orders(event("c", order(2), 2))))
    assert ("ltv_raw", "orders") in http.tables


def test_rows_are_as_written_here(warehouse: BigQueryWarehouse, appends: FakeAppends) -> None:
    warehouse.apply(decode(shop(), orders(event("c", order(1), 1))))
    rows: pa.Table = appends.writes[0]["orders"].rows
    assert rows["_written_at"].null_count == 0
    assert (dt.datetime.now(dt.timezone.utc) - rows["_written_at"][0].as_py()).total_seconds() < 60
