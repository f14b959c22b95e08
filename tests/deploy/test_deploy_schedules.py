"""Scheduled queries: what the Data Transfer Service is asked for, and what of one stays as its owner made it."""

from __future__ import annotations

import itertools
import re
from typing import Any

import grpc
import pytest
import sqlglot
from sqlglot import exp

from pipeline.deploy.rollup_scripts import groups, read_tables
from pipeline.deploy.wanted import EVERY_HOURS, schedule_fields, schedule_text
from pipeline.rollup import ROLLED_UP, rollup_queries
from tests.deploy.conftest import PROJECT, SCHEDULES, Shop

ACCOUNT = f"rollup@{PROJECT}.iam.gserviceaccount.com"


def only(shop: Shop, table: str) -> Any:
    (found,) = (config for config in shop.google.schedules.values() if config.display_name == f"ltv-stream ltv.{table}")
    return found


def test_one_for_each_rolled_up_table(shop: Shop) -> None:
    assert shop.deploy("--yes", "--location", "EU", "--service-account", ACCOUNT)[0] == 0
    requests = shop.google.asked("CreateTransferConfig")
    tables = [*(table for table, _ in rollup_queries()), "rolled_up"]
    named = [request.transfer_config.display_name.removeprefix("ltv-stream ltv.").split(", ") for request in requests]
    assert sorted(itertools.chain.from_iterable(named)) == sorted(tables)
    for together, request in zip(named, requests, strict=True):
        config = request.transfer_config
        assert request.parent == f"projects/{PROJECT}/locations/EU"
        assert request.service_account_name == ACCOUNT
        assert config.data_source_id == "scheduled_query"
        assert config.schedule == "every 1 hours from 00:07 to 23:59"
        assert not config.destination_dataset_id
        assert set(config.params) == {"query"}
        statements = sqlglot.parse(config.params["query"], read="bigquery")
        for table, statement in zip(together, statements, strict=True):
            assert_replaces(table, statement)
        assert "DATE(@run_time, 'Europe/Paris')" in config.params["query"]


def assert_replaces(table: str, tree: exp.Expression | None) -> None:
    """A statement replaces the table, from tables by their full names, as of the shop's day on which it runs."""
    assert isinstance(tree, exp.Create) and tree.args["replace"]
    target = tree.find(exp.Table)
    assert target is not None and (target.catalog, target.db, target.name) == (PROJECT, "ltv", table)
    names = {part.alias for part in tree.find_all(exp.CTE)}
    read = [node for node in tree.expression.find_all(exp.Table) if node.name not in names]
    assert read and all(node.catalog == PROJECT and node.db in ("ltv", "ltv_raw") for node in read)
    parameters = list(tree.find_all(exp.Parameter))
    assert {node.name for node in parameters} <= {"run_time"}
    assert all("'Europe/Paris'" in node.parent.sql("bigquery") for node in parameters if node.parent)


def test_a_changed_query_is_brought_up_to_date_alone(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    config = only(shop, "product_stats")
    config.params = {"query": "SELECT 1"}
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert re.search(r"update: query SQL [0-9a-f]{8} → SQL [0-9a-f]{8}", " ".join(out.split()))
    (request,) = shop.google.asked("UpdateTransferConfig")
    assert list(request.update_mask.paths) == ["params"]
    assert request.transfer_config.name == config.name
    assert_replaces("product_stats", sqlglot.parse_one(config.params["query"], read="bigquery"))


def test_a_changed_zone_changes_the_queries(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    shop.configure(time_zone="Asia/Tokyo")
    assert shop.deploy("--yes")[0] == 0
    assert len(shop.google.asked("UpdateTransferConfig")) == SCHEDULES
    assert "DATE(@run_time, 'Asia/Tokyo')" in only(shop, "product_top_country").params["query"]


def test_a_destination_table_goes(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    config = only(shop, "product_stats")
    config.params = {**dict(config.params), "destination_table_name_template": "x"}  # a statement with one fails
    assert shop.deploy("--yes")[0] == 0
    assert set(config.params) == {"query"}


def test_how_often_is_its_owners_choice(shop: Shop) -> None:
    assert shop.deploy("--yes", "--every", "6")[0] == 0
    config = only(shop, "product_stats")
    assert config.schedule == "every 6 hours from 00:07 to 23:59"
    config.schedule = "every monday 03:30"
    config.disabled = True
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "yes, paused" in out
    assert (config.schedule, config.disabled) == ("every monday 03:30", True)
    assert shop.google.asked("UpdateTransferConfig") == []
    assert shop.deploy("--yes", "--every", "24")[0] == 0
    assert [list(request.update_mask.paths) for request in shop.google.asked("UpdateTransferConfig")] == [
        ["schedule"]
    ] * SCHEDULES
    assert config.schedule == "every day 00:07"


@pytest.mark.parametrize("schedule", ["every 1 hours", "every day 09:00", "every 6 hours from 00:00 to 23:59", ""])
def test_on_the_hour_it_does_not_stay(schedule: str) -> None:
    (field,) = (field for field in schedule_fields("SELECT 1", None, None) if field.name == "schedule")
    assert not field.satisfied(schedule)
    assert field.satisfied(field.wanted)


def test_no_schedule_of_ours_is_on_the_hour() -> None:
    for hours in EVERY_HOURS:
        (field,) = (field for field in schedule_fields("SELECT 1", None, None) if field.name == "schedule")
        assert field.satisfied(schedule_text(hours))
        assert ":07" in schedule_text(hours)


def test_another_service_account_takes_over(shop: Shop) -> None:
    status, out, _ = shop.deploy("--yes")
    assert "the scheduled queries will run as you, if that is allowed; better give --service-account EMAIL" in out
    assert only(shop, "product_stats").owner_info.email == "deployer@example.com"
    status, out, _ = shop.deploy("--yes", "--service-account", ACCOUNT)
    assert status == 0
    assert f"service account deployer@example.com → {ACCOUNT}" in " ".join(out.split())
    for request in shop.google.asked("UpdateTransferConfig"):
        assert list(request.update_mask.paths) == ["service_account_name"]
        assert request.service_account_name == ACCOUNT
    assert shop.deploy()[0] == 0  # without the option whoever it is stays


def test_a_person_may_be_asked_for_a_code(shop: Shop) -> None:
    message = "The request to create a transfer config is supposed to contain an authorization code"
    shop.google.fail("CreateTransferConfig", grpc.StatusCode.INVALID_ARGUMENT, message)
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert f"{message}\nhint: say what it shall run as: --service-account EMAIL" in err
    status, _, err = shop.deploy("--yes", "--service-account", ACCOUNT)
    assert status == 1
    assert "--service-account EMAIL" not in err


def test_two_of_one_name_are_in_the_way(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    config = only(shop, "product_stats")
    twin = type(config)(config)
    twin.name = "projects/4711/locations/europe/transferConfigs/twin"
    shop.google.schedules[twin.name] = twin
    shop.google.parents[twin.name] = shop.google.parents[config.name]
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert "2 scheduled queries are named 'ltv-stream ltv.product_stats'" in err
    assert "bq rm --transfer_config" in err


def test_tables_that_read_each_other_are_one_script_in_order() -> None:
    queries = [
        ("changes", "SELECT * FROM rollup_before JOIN second USING (id)"),
        ("first", "WITH second AS (SELECT 1 AS id) SELECT * FROM second JOIN ltv_entries USING (id)"),
        ("rolled_up", "SELECT 1 AS as_of"),
        ("second", "SELECT * FROM raw.first"),
    ]
    assert [[table for table, _ in group] for group in groups(queries)] == [
        ["changes", "rolled_up", "second"],
        ["first"],
    ]


def test_tables_that_read_rolled_up_ones_are_made_after_them_by_the_same_query() -> None:
    made = groups([*rollup_queries(), ("rolled_up", ROLLED_UP)])
    reads = {table: read_tables(query) for group in made for table, query in group}
    assert {"ltv_cohorts", "ltv_cohorts_by_segment"} <= reads["ltv_triangle"]
    assert "cohort_changes" in reads["changed_cells"]
    for group in made:
        tables = [table for table, _ in group]
        for at, table in enumerate(tables):
            assert reads[table].isdisjoint(reads.keys() - set(tables)), "another query, at another time, makes it"
            if table != "cohort_changes":  # which reads the tables of the rollup before
                assert reads[table].isdisjoint(tables[at:]), f"{table} is made before what it reads"


def test_all_that_they_read_is_there(shop: Shop) -> None:
    """Of what is not rolled up; the views of raw tables come with their first row."""
    assert shop.deploy("--yes")[0] == 0
    rolled_up = {table for table, _ in rollup_queries()}
    read = {name for _, query in rollup_queries() for name in read_tables(query)} - rolled_up - {"rolled_up"}
    views = {name.removeprefix("ltv.") for name in shop.bigquery.tables if name.startswith("ltv.")}
    assert {"ltv_entries", "order_facts", "marks"} <= read
    assert read <= views


def test_one_of_an_older_version_is_named(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    config = only(shop, "product_stats")
    config.display_name = "ltv-stream ltv.ltv_yearly"
    only(shop, "freshness").display_name = "ltv-stream ltv2.freshness"  # another dataset's
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    told = [line for line in out.splitlines() if "no longer needed" in line]
    assert told == [
        f"the scheduled query ltv-stream ltv.ltv_yearly is no longer needed: bq rm --transfer_config {config.name}"
    ]
    assert config.name in shop.google.schedules


def test_they_are_looked_for_where_the_datasets_are(shop: Shop) -> None:
    assert shop.deploy("--yes", "--location", "EU")[0] == 0
    status, out, _ = shop.deploy()  # it is not said again where that is
    assert status == 0
    assert "everything is as it should be" in out
