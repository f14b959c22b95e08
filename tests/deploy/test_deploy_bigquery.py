"""Datasets, own tables, the view and who may read, through Google's real client against REST of ours."""

from __future__ import annotations

import pytest

from pipeline.bigquery.tables import KEYS
from schemas.tables import OWN_TABLES
from tests.deploy.bigquery_rest import OWNERS
from tests.deploy.conftest import PROJECT, Shop

VIEWS_OF_LTV = {"dataset": {"dataset": {"projectId": PROJECT, "datasetId": "ltv"}, "targetTypes": ["VIEWS"]}}


def test_both_datasets_are_in_one_place(shop: Shop) -> None:
    shop.bigquery.make_dataset("ltv", "EU")
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "yes, EU" in out
    assert shop.bigquery.datasets["ltv_raw"]["location"] == "EU"
    assert shop.bigquery.statements[0][1] == "EU"  # where the statement itself ran


def test_without_a_place_it_is_where_bigquery_puts_them(shop: Shop) -> None:
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "location BigQuery's default" in out
    assert [sql for sql, _ in shop.bigquery.statements if "SCHEMA" in sql] == [
        f"CREATE SCHEMA IF NOT EXISTS `{PROJECT}.ltv`",
        f"CREATE SCHEMA IF NOT EXISTS `{PROJECT}.ltv_raw` OPTIONS (location = 'US')",
    ]
    assert {request.parent for request in shop.google.asked("CreateTransferConfig")} == {
        f"projects/{PROJECT}/locations/US"
    }


def test_the_place_of_shop_yaml(shop: Shop) -> None:
    shop.configure(location="europe-west3")
    assert shop.deploy("--yes")[0] == 0
    assert {found["location"] for found in shop.bigquery.datasets.values()} == {"europe-west3"}


@pytest.mark.parametrize(("places", "wrong"), [(("US", "EU"), "ltv_raw: location is EU, and must be US")])
def test_two_places_are_in_the_way(shop: Shop, places: tuple[str, str], wrong: str) -> None:
    for name, place in zip(("ltv", "ltv_raw"), places, strict=True):
        shop.bigquery.make_dataset(name, place)
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert f"dataset {wrong}" in err
    assert "none can be moved" in err
    assert shop.changed() == 0


def test_the_views_may_read_what_consumers_may_not(shop: Shop) -> None:
    shop.bigquery.make_dataset("ltv_raw", access=[*OWNERS, {"role": "READER", "userByEmail": "a@example.com"}])
    assert shop.deploy("--yes")[0] == 0
    ((name, body, etag),) = shop.bigquery.patches
    assert (name, list(body), etag) == ("ltv_raw", ["access"], "ltv_raw-1")  # refused, if it has changed meanwhile
    granted = shop.bigquery.datasets["ltv_raw"]["access"]
    assert granted == [*OWNERS, {"role": "READER", "userByEmail": "a@example.com"}, VIEWS_OF_LTV]
    assert shop.bigquery.datasets["ltv"]["access"] == OWNERS  # the other way round nothing is opened


def test_who_changes_access_meanwhile_is_not_overwritten(shop: Shop) -> None:
    shop.bigquery.fail("PATCH /datasets/ltv_raw", 412, "conditionNotMet", "Precondition Failed")
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert "Precondition Failed" in err
    assert "5 of " in err
    shop.bigquery.faults.clear()
    assert shop.deploy("--yes")[0] == 0
    assert VIEWS_OF_LTV in shop.bigquery.datasets["ltv_raw"]["access"]


def test_the_pipelines_own_tables(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    for table in OWN_TABLES:
        made = shop.bigquery.tables[f"ltv_raw.{table}"]
        assert made["tableConstraints"]["primaryKey"]["columns"] == list(KEYS[table])
        assert {column["name"] for column in made["schema"]["fields"]} >= set(OWN_TABLES[table])
    assert shop.bigquery.stalenesses == {"ltv_entries": 15}  # the others are read back by the pipeline
    assert shop.bigquery.tables["ltv.ltv_entries"]["type"] == "VIEW"


def test_max_staleness_follows_shop_yaml(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    shop.configure(max_staleness="30m")
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "update: max_staleness 15 min → 30 min" in " ".join(out.split())
    assert shop.bigquery.stalenesses == {"ltv_entries": 30}
    shop.bigquery.stalenesses["floors"] = 10
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert "table ltv_raw.floors: max_staleness is 10 min, and must be 0 s" in err
    assert "SET OPTIONS (max_staleness = INTERVAL 0 MINUTE)" in err


def test_columns_of_a_newer_version_are_added(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    fields = shop.bigquery.tables["ltv_raw.loads"]["schema"]["fields"]
    gone = [field for field in fields if field["name"] in ("rows", "dead")]
    fields[:] = [field for field in fields if field not in gone]
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "update: missing columns rows, dead → none" in " ".join(out.split())
    assert {field["name"] for field in fields} >= {"rows", "dead"}
    assert "everything is as it should be" in shop.deploy()[1]


def test_the_view_of_an_older_version_is_replaced(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    shop.bigquery.tables["ltv.ltv_entries"]["view"]["query"] = "SELECT 1"
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "updated view ltv.ltv_entries" in out
    assert "everything is as it should be" in shop.deploy()[1]


def test_views_of_facts_follow_the_tables_that_come(shop: Shop) -> None:
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "no row has come yet of orders, order_items, charges, customers: run `deploy` again" in " ".join(out.split())
    assert "LIMIT 0" in shop.bigquery.tables["ltv.item_facts"]["view"]["query"]
    columns = {"order_id": "INTEGER", "product": "STRING", "quantity": "INTEGER", "unit_amount": "NUMERIC"}
    shop.bigquery.make_table("ltv_raw", "order_items", "TABLE", columns)
    shop.bigquery.make_table("ltv", "order_items", "VIEW", columns)
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "updated view ltv.item_facts" in out
    assert "no row has come yet of orders, charges, customers: " in " ".join(out.split())
    assert f"`{PROJECT}.ltv.order_items`" in shop.bigquery.tables["ltv.item_facts"]["view"]["query"]
    assert "everything is as it should be" in shop.deploy()[1]


def test_another_programs_tables_are_in_the_way(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    changed = shop.changed()
    shop.bigquery.tables["ltv_raw.floors"]["tableConstraints"]["primaryKey"]["columns"] = ["id"]
    shop.bigquery.tables["ltv_raw.loads"]["schema"]["fields"][0]["type"] = "INTEGER"
    shop.bigquery.tables["ltv_raw.settings"]["type"] = "VIEW"
    shop.bigquery.tables["ltv.ltv_entries"]["type"] = "TABLE"
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert "4 things in the way" in err
    assert "table ltv_raw.floors: primary key is id, and must be table" in err
    assert "table ltv_raw.loads: columns of another type is id, and must be none" in err
    assert "table ltv_raw.settings: what it is is VIEW, and must be TABLE" in err
    assert "view ltv.ltv_entries: what it is is TABLE, and must be VIEW" in err
    assert shop.changed() == changed
