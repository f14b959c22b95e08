from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from binlog_worker.preflight.checks import (
    check_clock,
    check_grants,
    check_retention,
    check_server_id,
    check_settings,
    check_start,
    failures,
    preflight,
)
from binlog_worker.preflight.facts import Facts, Reader
from binlog_worker.preflight.findings import Finding, Level
from binlog_worker.preflight.table_checks import check_tables
from schemas.catalogue import Cascade, CatalogueColumn, CatalogueTable, wire_type
from schemas.checkpoint import Checkpoint, Identity, Place, PreparedXa
from schemas.config import ShopConfig
from schemas.config_file import parse_config
from schemas.server_logs import Log, ServerLogs
from schemas.source import Server

CONFIG = """
source: mysql://repl@127.0.0.1:3306
server_id: 5501
time_zone: Europe/Paris
currency: EUR
tables:
  orders: {name: shop.orders, columns: {id: id, customer_id: customer_id, ordered_at: placed, amount: amount}}
"""
VARIABLES = {
    "log_bin": "ON",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL",
    "binlog_row_value_options": "",
    "binlog_transaction_compression": "OFF",
    "server_id": "1",
    "binlog_expire_logs_seconds": "2592000",
}


def column(name: str, kind: str = "int", full: str = "", charset: str | None = None) -> CatalogueColumn:
    return CatalogueColumn(name, kind, full or kind, True, charset, "")


ORDERS = CatalogueTable(
    "shop.orders",
    "BASE TABLE",
    "InnoDB",
    (column("id"), column("customer_id"), column("placed", "datetime"), column("amount", "decimal", "decimal(12,2)")),
    ("id",),
    False,
)
LOGS = ServerLogs("uuid", (Log("mysql-bin.000001", 500),), Place("mysql-bin.000001", 500))
FACTS = Facts(
    Server("mysql", (9, 7, 4), "9.7.4", "uuid", VARIABLES),
    LOGS,
    "",
    ["GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `repl`@`%`"],
    [],
    {"shop.orders": ORDERS},
)


def config(**changes: Any) -> ShopConfig:
    return parse_config(CONFIG).model_copy(update=changes)


def mirror_config(text: str) -> ShopConfig:
    return parse_config(CONFIG + f"mirror: [{text}]\n")


def with_variables(facts: Facts = FACTS, **changes: str | None) -> Facts:
    variables = {name: value for name, value in {**facts.server.variables, **changes}.items() if value is not None}
    return dataclasses.replace(facts, server=dataclasses.replace(facts.server, variables=variables))


def with_table(**changes: Any) -> Facts:
    return dataclasses.replace(FACTS, tables={"shop.orders": dataclasses.replace(ORDERS, **changes)})


def levels(findings: list[Finding]) -> set[Level]:
    return {finding.level for finding in findings}


def only(findings: list[Finding], level: Level) -> str:
    """The text of the one finding of a level; a finding that is not ok has a reason and a remedy."""
    found = [finding for finding in findings if finding.level is level]
    assert len(found) == 1, found
    assert found[0].why and found[0].todo
    return str(found[0])


def test_a_sound_source_passes() -> None:
    assert levels(preflight(FACTS, config())) == {Level.OK}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_bin", "OFF"),
        ("binlog_format", "MIXED"),
        ("binlog_format", "STATEMENT"),
        ("binlog_row_image", "NOBLOB"),
        ("binlog_row_metadata", "MINIMAL"),
        ("binlog_row_metadata", "NO_LOG"),
        ("binlog_row_metadata", None),
        ("binlog_row_value_options", "PARTIAL_JSON"),
    ],
)
def test_settings(name: str, value: str | None) -> None:
    text = only(list(check_settings(with_variables(**{name: value}))), Level.FAIL)
    assert name in text and (value or "unknown") in text


@pytest.mark.parametrize("name", ["binlog_format", "binlog_row_value_options"])
def test_settings_that_a_server_does_not_have(name: str) -> None:
    assert levels(list(check_settings(with_variables(**{name: None})))) == {Level.OK}


@pytest.mark.parametrize("name", ["binlog_transaction_compression", "log_bin_compress"])
def test_compression_is_no_matter(name: str) -> None:
    assert levels(list(check_settings(with_variables(**{name: "ON"})))) == {Level.OK}


def test_logs_that_cannot_be_listed() -> None:
    facts = dataclasses.replace(FACTS, logs=None, logs_refusal="Access denied")
    assert "Access denied" in only(list(check_settings(facts)), Level.FAIL)


@pytest.mark.parametrize(
    ("grants", "lacking"),
    [
        (["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"], 0),
        (["GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `repl`@`%`"], 0),
        (["GRANT REPLICATION SLAVE ON *.* TO r", "GRANT REPLICATION CLIENT ON *.* TO r"], 0),
        (["GRANT REPLICATION SLAVE ON *.* TO r"], 1),
        (["GRANT REPLICATION SLAVE ADMIN, REPLICATION CLIENT ON *.* TO r"], 1),
        (["GRANT USAGE ON *.* TO r", "GRANT ALL PRIVILEGES ON `shop`.* TO r"], 2),
        ([], 2),
    ],
)
def test_grants(grants: list[str], lacking: int) -> None:
    assert len(failures(check_grants(dataclasses.replace(FACTS, grants=grants)))) == lacking


def test_server_id() -> None:
    assert "server's own" in only(list(check_server_id(FACTS, config(server_id=1))), Level.FAIL)
    replica = dataclasses.replace(FACTS, readers=[Reader(5501, "replica-1", 3306)])
    assert "replica-1:3306" in only(list(check_server_id(replica, config())), Level.FAIL)
    worker = dataclasses.replace(FACTS, readers=[Reader(5501, "", 0), Reader(7, "", 3306)])
    assert "connected already" in only(list(check_server_id(worker, config())), Level.WARN)
    unseen = dataclasses.replace(FACTS, readers=None)
    assert levels(list(check_server_id(unseen, config()))) == {Level.OK}


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({"binlog_expire_logs_seconds": "0"}, Level.OK),
        ({"binlog_expire_logs_seconds": "86400"}, Level.OK),
        ({"binlog_expire_logs_seconds": "86399"}, Level.WARN),
        ({"binlog_expire_logs_seconds": None, "expire_logs_days": "0.5"}, Level.WARN),
        ({"binlog_expire_logs_seconds": None, "expire_logs_days": "1"}, Level.OK),
        ({"binlog_expire_logs_seconds": None}, Level.OK),
    ],
)
def test_retention(settings: dict[str, str | None], level: Level) -> None:
    assert levels(list(check_retention(with_variables(**settings)))) == {level}


@pytest.mark.parametrize(("seconds", "level"), [(0.1, Level.OK), (-2.5, Level.WARN), (3600.0, Level.WARN)])
def test_clock(seconds: float, level: Level) -> None:
    assert levels(list(check_clock(dataclasses.replace(FACTS, clock_s=seconds)))) == {level}


def tables(facts: Facts, shop: ShopConfig | None = None) -> list[Finding]:
    return list(check_tables(facts, shop or config()))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"primary_key": ()}, "no primary key"),
        ({"prefix_key": True}, "start of a column"),
        ({"primary_key": ("id", "placed")}, "orders.id is id, the primary key is (id, placed)"),
        ({"kind": "VIEW"}, "is a view"),
        ({"kind": "SYSTEM VERSIONED"}, "is system versioned"),
        ({"columns": ORDERS.columns[:3]}, "has no column amount"),
        ({"columns": (*ORDERS.columns, column("u", "xmltype"))}, "shop.orders.u is xmltype"),
        ({"columns": (*ORDERS.columns, column("k", "varchar", "varchar(9)", "utf9"))}, "utf9"),
        ({"columns": (*ORDERS.columns, column("d", "decimal", "decimal(9,2)/*old*/"))}, "before MySQL 5.0"),
        ({"columns": (*ORDERS.columns, column("e", "enum", "enum(x'ff','b')"))}, "labels"),
        ({"columns": (*ORDERS.columns, column("e", "set", "set('b','?A')", "binary"))}, "labels"),
    ],
)
def test_tables_that_cannot_be_followed(changes: dict[str, Any], text: str) -> None:
    assert text in only(tables(with_table(**changes)), Level.FAIL)


@pytest.mark.parametrize(
    ("kind", "full", "charset"),
    [
        ("uuid", "uuid", None),
        ("inet4", "inet4", None),
        ("inet6", "inet6", None),
        ("vector", "vector(3)", None),
        ("varchar", "varchar(9)", "eucjpms"),
        ("text", "text /*M!100301 COMPRESSED*/", "keybcs2"),
        ("blob", "blob /*M!100301 COMPRESSED*/", None),
        ("time", "time(3) /* mariadb-5.3 */", None),
        ("enum", "enum('a','é')", "binary"),
        ("enum", "enum('who?')", "latin1"),
        ("geomcollection", "geomcollection", None),
    ],
)
def test_columns_of_every_type_can_be_followed(kind: str, full: str, charset: str | None) -> None:
    assert levels(tables(with_table(columns=(*ORDERS.columns, column("x", kind, full, charset))))) == {Level.OK}


@pytest.mark.parametrize(
    ("flavor", "version", "level"),
    [("mysql", (9, 7), Level.OK), ("mariadb", (10, 11, 19), Level.OK), ("mariadb", (11, 8, 9), Level.FAIL)],
)
def test_generated_columns_that_the_log_leaves_out(flavor: str, version: tuple[int, ...], level: Level) -> None:
    generated = CatalogueColumn("twice", "int", "int", True, None, "VIRTUAL GENERATED")
    facts = with_table(columns=(*ORDERS.columns, generated))
    facts = dataclasses.replace(facts, server=dataclasses.replace(FACTS.server, flavor=flavor, version=version))
    assert levels(tables(facts)) == {level}
    excluded = parse_config(CONFIG.replace("columns: {id: id", "exclude: [twice], columns: {id: id"))
    assert levels(tables(facts, excluded)) == {Level.OK}


def test_an_excluded_column_may_be_of_any_type() -> None:
    facts = with_table(columns=(*ORDERS.columns, column("u", "xmltype")))
    text = CONFIG.replace("columns: {id: id", "exclude: [u], columns: {id: id")
    assert levels(tables(facts, parse_config(text))) == {Level.OK}


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": "MyISAM"},
        {"columns": (*ORDERS.columns[:3], column("amount", "double"))},
    ],
)
def test_tables_that_call_for_a_warning(changes: dict[str, Any]) -> None:
    only(tables(with_table(**changes)), Level.WARN)


def test_a_currency_that_is_a_number_needs_its_list() -> None:
    facts = with_table(columns=(*ORDERS.columns, column("code", "int", "int unsigned")))
    text = CONFIG.replace("columns: {id: id", "columns: {currency: code, id: id")
    assert "set `currencies` in shop.yaml" in only(tables(facts, parse_config(text)), Level.FAIL)
    assert levels(tables(facts, parse_config(text + "currencies: {1: EUR}\n"))) == {Level.OK}


def test_all_parts_of_an_amount_are_looked_at() -> None:
    text = CONFIG.replace("amount: amount", "amount: {column: amount, minus: [rebate]}")
    assert text != CONFIG
    assert "has no column rebate" in only(tables(FACTS, parse_config(text)), Level.FAIL)
    facts = with_table(columns=(*ORDERS.columns, column("rebate", "double")))
    assert "does not hold cents exactly" in only(tables(facts, parse_config(text)), Level.WARN)


def test_missing_table_and_missing_grant() -> None:
    facts = dataclasses.replace(FACTS, tables={}, refusals={"shop.orders": "missing"}, names={"shop": ["shop.order"]})
    assert "did you mean shop.order?" in only(tables(facts), Level.FAIL)
    facts = dataclasses.replace(FACTS, tables={}, refusals={"shop.orders": "SELECT command denied"})
    text = only(tables(facts), Level.FAIL)
    assert "SELECT command denied" in text and "GRANT SELECT ON shop.orders" in text


def test_key_that_is_not_published() -> None:
    log = dataclasses.replace(ORDERS, name="shop.log")
    facts = dataclasses.replace(FACTS, tables={**FACTS.tables, "shop.log": log})
    assert "key column id" in only(tables(facts, mirror_config("{name: shop.log, exclude: [id]}")), Level.FAIL)


@pytest.mark.parametrize(
    ("flavor", "version", "allowed", "level"),
    [
        ("mariadb", (11, 4), False, Level.FAIL),
        ("mariadb", (11, 4), True, Level.WARN),
        ("mysql", (9, 5), False, Level.FAIL),
        ("mysql", (9, 6), False, Level.OK),
    ],
)
def test_cascades(flavor: str, version: tuple[int, ...], allowed: bool, level: Level) -> None:
    server = dataclasses.replace(FACTS.server, flavor=flavor, version=version)
    facts = dataclasses.replace(
        FACTS, server=server, cascades=[Cascade("shop.orders", "shop.customers", "fk", "ON DELETE CASCADE")]
    )
    assert levels(tables(facts, config(allow_cascades=allowed))) == {level}


def test_start() -> None:
    shop = ["shop.orders"]
    assert levels(list(check_start(FACTS, None, shop))) == {Level.OK}
    later = LOGS._replace(logs=(Log("mysql-bin.000004", 9),), current=Place("mysql-bin.000004", 9))
    facts = dataclasses.replace(FACTS, logs=later)
    assert "`ltv-pipeline batch`" in only(list(check_start(facts, None, shop)), Level.WARN)
    here = Checkpoint(Identity("uuid", "mysql-bin"), 1, Place("mysql-bin.000001", 300))
    assert levels(list(check_start(FACTS, here, shop))) == {Level.OK}
    open_ones = (
        PreparedXa("X'61',X'',1", "mysql-bin.000000", 4, 0, ("shop.orders",)),
        PreparedXa("X'62',X'',1", "mysql-bin.000001", 4, 0, None),
    )
    waiting = dataclasses.replace(here, prepared=open_ones[1:])
    assert levels(list(check_start(FACTS, waiting, shop))) == {Level.OK}
    purged = only(list(check_start(FACTS, dataclasses.replace(here, prepared=open_ones), shop)), Level.WARN)
    assert "1 of 2 XA transactions" in purged and "shop.orders" in purged and "XA ROLLBACK X'61',X'',1" in purged
    other = dataclasses.replace(here, identity=Identity("other", "mysql-bin"))
    assert "--epoch 2" in only(list(check_start(FACTS, other, shop)), Level.FAIL)


def test_everything_at_once() -> None:
    facts = with_variables(with_table(primary_key=()), binlog_format="MIXED", binlog_row_image="MINIMAL")
    assert len(failures(preflight(facts, config(server_id=1)))) == 4


@pytest.mark.parametrize(
    ("kind", "declared", "expected"),
    [
        ("bigint", "bigint(20) unsigned", "bigint unsigned"),
        ("int", "int", "int"),
        ("decimal", "decimal(12,2)", "decimal(12,2)"),
        ("decimal", "decimal(12,2) unsigned", "decimal(12,2)"),
        ("datetime", "datetime(6)", "datetime(6)"),
        ("timestamp", "timestamp", "timestamp"),
        ("year", "year(4)", "year"),
        ("mediumtext", "mediumtext", "text"),
        ("longblob", "longblob", "blob"),
        ("enum", "enum('a unsigned(1)','b')", "enum"),
        ("point", "point", "geometry"),
        ("bit", "bit(5)", "bit(5)"),
        ("uuid", "uuid", "uuid"),
        ("vector", "vector(2048)", "vector"),
        ("datetime", "datetime(3) /* mariadb-5.3 */", "datetime(3)"),
        ("time", "time /* mariadb-5.3 */", "time"),
        ("varbinary", "varbinary(5) /*M!100301 COMPRESSED*/", "varbinary"),
    ],
)
def test_wire_type(kind: str, declared: str, expected: str) -> None:
    assert wire_type(column("a", kind, declared)) == expected
