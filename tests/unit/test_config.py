"""shop.yaml: what is right, and every way to be wrong, with its line and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.config import Condition, comparable, read_password
from schemas.config_file import load_config, parse_config
from schemas.errors import ConfigError
from schemas.presets import presets
from schemas.tls import Tls
from tests.builders import MAPPED, shop, tables, with_columns

GOOD = """\
source: mysql://repl@127.0.0.1:3306
server_id: 5501
project: local-shop
warehouse: duckdb:ltv.duckdb
time_zone: Europe/Paris
currency: EUR
preset: case_study
"""
ITEMS: dict[str, Any] = {
    "name": "shop.items",
    "columns": {"order_id": "order_id", "product": "name", "quantity": "quantity"},
}
ORDERS = "tables:\n  orders: {name: shop.orders, columns: {id: id, customer_id: c, ordered_at: d, amount: a}}\n"


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse_config(text)
    assert raised.value.problems
    assert f"{len(raised.value.problems)} problem" in str(raised.value)
    return raised.value.problems


def of(**fields: Any) -> str:
    """The problems of a shop.yaml that is good but for `fields`."""
    return "\n".join(problems(yaml.safe_dump({**yaml.safe_load(GOOD), **fields})))


def test_a_good_one() -> None:
    config = parse_config(GOOD, folder=Path("/srv/shop"))
    assert str(config.source) == "repl@127.0.0.1:3306"
    assert (config.topic, config.subscription, config.heartbeat_seconds) == ("changes", "ltv", 5.0)
    assert config.warehouse == "duckdb:/srv/shop/ltv.duckdb"
    assert config.checkpoint == "/srv/shop/checkpoint.json"
    assert set(config.tables) == {"orders", "order_items", "charges", "customers"}
    assert config.counted is not None
    assert config.source_tables[0] == "shop.orders"


@pytest.mark.parametrize("preset", presets())
def test_every_preset_is_good(preset: str) -> None:
    assert parse_config(f"preset: {preset}\ntime_zone: UTC\ncurrency: EUR\ncurrencies: {{1: EUR}}\n").tables


def test_a_preset_with_other_names() -> None:
    text = "preset: {name: woocommerce, database: my shop, prefix: wp_2_}\ntime_zone: UTC\n"
    config = parse_config(text)
    assert {table.name for table in config.tables.values()} == {
        "my shop.wp_2_wc_orders",
        "my shop.wp_2_wc_order_product_lookup",
        "my shop.wp_2_users",
    }
    plain = parse_config("preset: {name: magento, prefix: ''}\ntime_zone: UTC\n")
    assert plain.tables["refunds"].name == "magento.sales_creditmemo"
    presta = parse_config("preset: {name: prestashop, prefix: x_}\ntime_zone: UTC\ncurrencies: {1: EUR}\n")
    assert [table.name for table in presta.mirror] == ["prestashop.x_order_payment"]


def test_of_a_presets_tables_each_role_may_be_replaced_or_taken_away() -> None:
    charges = {**MAPPED["charges"], "name": "other.payments"}
    config = parse_config(yaml.safe_dump({**yaml.safe_load(GOOD), "tables": {"charges": charges, "customers": None}}))
    assert {role: table.name for role, table in config.tables.items()} == {
        "orders": "shop.orders",
        "order_items": "shop.order_items",
        "charges": "other.payments",
    }


def test_a_preset_says_what_only_the_shop_knows() -> None:
    text = "preset: {name: prestashop, database: a`b, prefix: x_}\ntime_zone: UTC\n"
    assert "preset.database" in problems(text)[0]
    (missing,) = problems(text.replace("`", ""))
    assert missing.startswith("currencies: missing; PrestaShop numbers its currencies")
    assert "FROM `ab`.`x_currency`" in missing
    own = "tables: {orders: {name: a.b, columns: {id: i, customer_id: c, ordered_at: d, amount: a, currency: code}}}\n"
    assert parse_config(text.replace("`", "") + "counted:\n" + own).currencies is None


def test_what_stands_in_the_file_wins_over_its_preset() -> None:
    assert parse_config(GOOD + "segments: []\ncounted:\n").counted is None
    assert parse_config(GOOD + "segments: [status]\n").segments == ("status",)


def test_all_problems_at_once_each_with_its_line() -> None:
    text = """\
time_zone: Europe/Pariss
curency: EUR
server_id: many
topic: x
tables:
  orders:
    name: orders
    columns: {id: id, customer_id: customer_id, ordered_at: order_date}
  charges:
    name: shop.charges
    columns: {id: id, order_id: order_id, amount: amount, charged_at: created_at, note: note}
    sign: -1
"""
    found = problems(text)
    expected = [
        ("line 1: time_zone:", "'Europe/Pariss' is no time zone"),
        ("line 2: curency:", "did you mean 'currency'?"),
        ("line 3: server_id:", "found 'many'"),
        ("line 4: topic:", "found 'x'"),
        ("line 7: tables.orders.name:", "must be database.table"),
        ("line 11: tables.charges.columns.note:", "no column of the role"),
        ("line 12: tables.charges.sign:", "is for the role `refunds`"),
    ]
    for start, what in expected:
        assert [problem for problem in found if problem.startswith(start) and what in problem], (start, found)
    assert len(found) == len(expected), found


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"colour": 1}, "colour: unknown key"),
        ({"time_zone": ""}, "time_zone:"),
        ({"time_zone": "../../etc/passwd"}, "is no time zone"),
        ({"time_zone": None}, "time_zone:"),
        ({"currency": "euro"}, "found 'euro'"),
        ({"project": "P"}, "project:"),
        ({"topic": "9lives"}, "topic:"),
        ({"warehouse": "ltv.duckdb"}, "must be duckdb:FILE or bigquery:PROJECT.DATASET"),
        ({"warehouse": "duckdb:"}, "must be duckdb:FILE"),
        ({"server_id": 0}, "greater than or equal to 1"),
        ({"server_id": 2**32}, "less than or equal to 4294967295"),
        ({"heartbeat_seconds": 0}, "greater than 0"),
        ({"max_events_per_message": 0}, "greater than or equal to 1"),
        ({"tls": "yes"}, "'preferred'"),
        ({"ca": "ca.pem"}, "ca: is not looked at with `tls: preferred`"),
        ({"ca": "ca.pem", "tls": "required"}, "set `tls: verify-identity`"),
        ({"tls_cert": "c.pem"}, "tls_cert: is for `tls: required`"),
        ({"tls": "required", "tls_key": "k.pem"}, "tls_key: is the key of `tls_cert`, which is missing"),
        ({"name": "my shop"}, "name:"),
        ({"checkpoint": ""}, "checkpoint:"),
        ({"allow_cascades": "perhaps"}, "allow_cascades:"),
        ({"preset": "case_studdy"}, "none of case_study"),
        ({"preset": {"name": "case_studdy"}}, "line 3: preset: 'case_studdy' is none of case_study"),
        ({"preset": {"name": "case_study", "prefix": "a.b"}}, "line 4: preset.prefix"),
        ({"preset": {"name": "case_study", "database": "a.b"}}, "preset.database"),
        ({"preset": {"name": "case_study", "databse": "a"}}, "preset.databse: unknown key"),
        ({"preset": {"prefix": "a"}}, "preset.name"),
        ({"preset": 5}, "preset"),
        ({"currencies": {1: "euro"}}, "found 'euro'"),
        ({"currencies": ["EUR"]}, "currencies"),
        ({"mirror": ["stock"]}, "must be database.table"),
        ({"mirror": ["shop.orders"]}, "mirrored already through its role"),
        ({"mirror": ["other.Orders"]}, "the warehouse has a table of its own by that name"),
        ({"mirror": ["other.ltv_cohorts"]}, "the warehouse has a table of its own by that name"),
        ({"mirror": ["a.stock", "b.stock"]}, "two tables named 'stock'"),
        ({"mirror": [{"name": "a.stock", "only": ["id"]}]}, "unknown key"),
        ({"segments": ["channel"]}, "'channel' is not among tables.orders.columns"),
        ({"counted": {"column": "state", "in": ["x"]}}, "'state' is not among tables.orders.columns"),
        ({"counted": {"column": "status"}}, "exactly one of `in` and `not_in`"),
        ({"counted": {"column": "status", "in": [], "not_in": []}}, "exactly one of `in` and `not_in`"),
        ({"counted": {"column": "status", "in": ["a"], "is_null": False}}, "or `is_null`"),
        ({"counted": {"column": "status", "in": "completed"}}, "counted.in"),
        ({"counted": "completed"}, "counted"),
        ({"tables": {"orders": MAPPED["orders"], "invoices": MAPPED["orders"]}}, "tables"),
        ({"tables": {"orders": None}, "segments": [], "counted": None}, "the role `orders` is missing"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)  # fmt: skip
def test_one_wrong_key(fields: dict[str, Any], what: str) -> None:
    assert what in of(**fields)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (tables(orders={"columns": {**MAPPED["orders"]["columns"], "ordered": "x"}}), "did you mean 'ordered_at'?"),
        (tables(orders={"columns": {"id": "id", "customer_id": "c", "amount": "a"}}), "`ordered_at` is missing"),
        (tables(orders={"where": {"column": "kind"}}), "exactly one of"),
        (tables(orders={"wher": {}}), "unknown key"),
        (tables(orders={"name": "a.b.c"}), "must be database.table"),
        (tables(orders={"segments": ["status"]}), "at the top level"),
        (tables(orders={"exclude": ["amount"]}), "'amount' is mapped, so it cannot be excluded"),
        (tables(charges={"sign": 0}), "sign"),
        (with_columns("orders", currency="amount"), "'amount' is mapped twice"),
        (with_columns("orders", amount={"column": "amount", "time_zone": "UTC"}), "time_zone is for date columns"),
        (with_columns("orders", ordered_at={"column": "d", "time_zone": "Mars"}), "is no time zone"),
        (with_columns("orders", ordered_at={"columm": "d"}), "columm"),
        (with_columns("orders", customer_id={"column": "c", "plus": ["d"]}), "plus and minus are for the amount"),
        (tables(order_items=ITEMS), "needs one of `unit_amount` and `amount`"),
        (
            tables(order_items={**ITEMS, "columns": {**ITEMS["columns"], "amount": "a", "unit_amount": "u"}}),
            "needs one of `unit_amount` and `amount`",
        ),
        (tables(refunds=MAPPED["charges"]), "shop.charges plays charges and refunds: each needs a `where`"),
    ],
)  # fmt: skip
def test_one_wrong_role(changed: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError) as raised:
        shop(tables=changed)
    assert any(what in problem for problem in raised.value.problems), raised.value.problems


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("postgres://repl:s3cret@h:1", "must be mysql://user@host:port"),
        ("repl:s3cret@h", "must be mysql://user@host:port"),
        ("mysql://:s3cret@h", "names no user"),
        ("mysql://repl:s3cret@", "names no host"),
        ("mysql://repl:s3cret@h:port", "the port is no number"),
        ("mysql://repl:s3cret@h:99999", "the port is no number"),
        ("mysql://repl:s3cret@h/shop", "takes no database"),
        ("mysql://repl:s3cret@h?ssl=1", "takes no database and no options"),
        ("mysql://repl:s3cret@[::1", "source"),
        (["mysql://repl:s3cret@h"], "source"),
        ({"url": "mysql://repl:s3cret@h"}, "source"),
    ],
)
def test_a_wrong_source_never_shows_its_password(source: Any, what: str) -> None:
    problem = of(source=source)
    assert what in problem
    assert "s3cret" not in problem


def test_a_password_is_in_no_repr() -> None:
    config = parse_config(GOOD.replace("repl@", "repl:s3cret@"))
    assert "s3cret" not in f"{config!r} {config} {config.source!r} {config.source} {config.settings()}"


def test_where_the_password_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MYSQL_PASSWORD", raising=False)
    (tmp_path / "password").write_text("from file\n")
    in_url = parse_config(GOOD.replace("repl@", "repl:from%20url@"))
    in_file = parse_config(GOOD.replace("repl@", "repl:x@") + "password_file: password\n", folder=tmp_path)
    assert (read_password(in_url), read_password(in_file)) == ("from url", "from file")
    assert read_password(parse_config(GOOD)) == ""
    monkeypatch.setenv("MYSQL_PASSWORD", "from environment")
    assert {read_password(in_url), read_password(in_file)} == {"from environment"}
    monkeypatch.delenv("MYSQL_PASSWORD")
    with pytest.raises(ConfigError, match="password_file"):
        read_password(parse_config(GOOD + "password_file: none\n", folder=tmp_path))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "must be a mapping"),
        ("- a\n- b", "must be a mapping"),
        ("a: b: c", "line 1, column 5"),
        ("time_zone: UTC\n\ttopic: x", "line 2"),
        ("a: !!python/object/apply:os.getcwd []", "line 1"),
        ("{}", "time_zone: missing"),
        ("5: 6\ntime_zone: UTC\ncurrency: EUR\n" + ORDERS, "5: unknown key"),
        ("time_zone: UTC\n" + ORDERS, "currency: missing; or map a `currency` column"),
        ("time_zone: UTC\ncurrency: EUR\ntables: []\n", "tables"),
        ("? [a]\n: b\n", ""),
        ("time_zone: UTC\ntime_zone: UTC\ncurrency: EUR\n" + ORDERS, "twice"),
    ],
)
def test_texts_that_are_no_shop(text: str, what: str) -> None:
    assert any(what in problem for problem in problems(text)), problems(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    large, binary = tmp_path / "large", tmp_path / "binary"
    large.write_text("#" * 1_000_001)
    binary.write_bytes(b"time_zone: \xff")
    found = {
        tmp_path / "none": "cannot be read",
        tmp_path: "cannot be read",
        large: "larger",
        binary: "UTF-8 at byte 11",
    }
    for path, what in found.items():
        with pytest.raises(ConfigError, match=what) as raised:
            load_config(path)
        assert str(path) in str(raised.value)


def test_paths_are_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        GOOD + "checkpoint: gs://bucket/object\ntls: verify-ca\nca: ~/ca.pem\ntls_cert: own.pem\n"
        "tls_key: /run/key.pem\npassword_file: /run/secret\n"
    )
    config = load_config(os.path.relpath(tmp_path / "shop.yaml"))
    assert config.warehouse == f"duckdb:{tmp_path / 'ltv.duckdb'}"
    assert config.checkpoint == "gs://bucket/object"
    assert (config.ca, config.password_file) == (str(Path("~/ca.pem").expanduser()), "/run/secret")
    assert config.encryption == Tls(
        "verify-ca", str(Path("~/ca.pem").expanduser()), str(tmp_path / "own.pem"), "/run/key.pem"
    )


def test_a_command_names_everything_it_needs() -> None:
    with pytest.raises(ConfigError) as raised:
        shop().need("project", "warehouse", "time_zone")
    assert [problem.split(":")[0] for problem in raised.value.problems] == ["project", "warehouse"]


def test_of_customers_only_named_columns_leave_the_database() -> None:
    config = shop(
        tables=tables(
            customers={"name": "shop.customers", "columns": {"id": "id"}, "segments": ["channel"]},
            orders={"exclude": ["note"]},
        ),
        mirror=[{"name": "shop.stock", "include": ["id", "n"]}],
    )
    assert config.published("shop.customers", ["id", "email", "channel"]) == ["id", "channel"]
    assert config.published("shop.orders", ["id", "note", "amount", "more"]) == ["id", "amount", "more"]
    assert config.published("shop.stock", ["n", "cost", "id"]) == ["n", "id"]
    assert config.published("shop.other", ["id"]) == []


@pytest.mark.parametrize(
    ("value", "text"), [(None, None), (True, "1"), (False, "0"), (5, "5"), (" a ", "a"), ("", ""), (["a", "b"], "a,b")]
)
def test_values_compare_as_trimmed_text(value: Any, text: str | None) -> None:
    assert comparable(value) == text


def test_null_fulfils_no_condition() -> None:
    listed, others = (
        Condition.model_validate({"column": "c", "in": [None, 1]}),
        Condition.model_validate({"column": "c", "not_in": [1]}),
    )
    assert [listed.holds(value) for value in (1, "1 ", True, None, 2)] == [True, True, True, False, False]
    assert [others.holds(value) for value in (1, None, 2)] == [False, False, True]


@pytest.mark.parametrize(
    "fields",
    [
        {"time_zone": "UTC"},
        {"currency": "USD"},
        {"counted": None},
        {"guests": [-1]},
        {"tables": with_columns("orders", country="country")},
    ],
)
def test_what_rows_are_derived_with_shows_in_the_fingerprint(fields: dict[str, Any]) -> None:
    assert shop(**fields).settings() != shop().settings()
    assert shop(topic="other").settings() == shop().settings()
