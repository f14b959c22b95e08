"""`ltv-pipeline init` on real servers: what it recognises, what it guesses, and that what it writes can be used."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from shop_ways import schema

from binlog_worker.preflight.report import check
from pipeline.cli import main
from schemas.config import ShopConfig
from schemas.config_file import load_config, parse_config

CASE_STUDY = [
    "CREATE TABLE {0}orders (id INT PRIMARY KEY, order_date DATE, status VARCHAR(20), country CHAR(2), customer_id INT,"
    " amount DECIMAL(12,2), updated_at DATETIME)",
    "CREATE TABLE {0}order_items (id INT PRIMARY KEY, order_id INT, name TEXT, quantity INT, unit_amount DECIMAL(9,2))",
    "CREATE TABLE {0}charges (id INT PRIMARY KEY, order_id INT, amount DECIMAL(12,2), created_at DATETIME)",
    "CREATE TABLE {0}customers (id INT PRIMARY KEY)",
]
BOOKINGS = [
    """CREATE TABLE shop_orders (order_id INT PRIMARY KEY, user_id INT, created_at DATETIME NOT NULL,
    placed_at DATETIME,
    total DECIMAL(10,2), price INT, state VARCHAR(20), country CHAR(2), currency CHAR(3))""",
    "INSERT INTO shop_orders VALUES (1, 1, NOW(), NOW(), 5, 5, 'paid', 'FR', 'EUR'),"
    " (2, 1, NOW(), NOW(), 5, 5, 'cancelled', 'FR', 'EUR'), (3, 1, NOW(), NOW(), 5, 5, 'paid', 'FR', 'USD'),"
    " (4, 1, NOW(), NOW(), 5, 5, NULL, 'FR', 'USD')",
    "CREATE TABLE order_lines (id INT PRIMARY KEY, order_id INT, product_name TEXT, qty INT, line_total DECIMAL(10,2))",
    """CREATE TABLE payments (id INT PRIMARY KEY, order_id INT, amount DOUBLE, paid_at TIMESTAMP NULL,
    FOREIGN KEY (order_id) REFERENCES shop_orders (order_id) ON DELETE CASCADE)""",
    "CREATE TABLE order_refunds (id INT PRIMARY KEY, order_id INT, amount INT, refunded_at DATETIME)",
    "INSERT INTO order_refunds VALUES (1, 1, 5, NOW())",
    "CREATE TABLE payment_transactions (x INT)",
    "CREATE TABLE users (id INT PRIMARY KEY, email TEXT, channel TEXT)",
]

Init = Callable[..., tuple[ShopConfig, str]]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The command sets up its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def sql(server: Any, database: str) -> Iterator[Callable[..., None]]:
    """Runs statements in the database of the test."""
    with server.connect(database=database, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")

        def run(*statements: str) -> None:
            for statement in statements:
                cursor.execute(statement)

        yield run


@pytest.fixture
def init(server: Any, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Runs the command on the test's database; what it wrote, read back and as text."""
    monkeypatch.setenv("MYSQL_PASSWORD", server.password)

    def run(*arguments: str) -> tuple[ShopConfig, str]:
        target = tmp_path / "shop.yaml"
        assert main(["init", f"{server.dsn}/{database}", "-o", str(target), *arguments]) == 0
        return load_config(target), target.read_text(encoding="utf-8")

    return run


@pytest.mark.parametrize(
    ("system", "prefix"),
    [
        ("prestashop", "ps_"),
        ("prestashop", "my-shop_8_"),
        ("woocommerce", "wp_"),
        ("woocommerce", ""),
        ("magento", ""),
        ("magento", "mage_"),
        ("case_study", ""),
        ("case_study", "old_"),
    ],
)
def test_each_system_is_recognised_under_any_prefix(
    system: str, prefix: str, sql: Any, init: Init, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    quoted = [one.format(prefix) for one in CASE_STUDY] if system == "case_study" else schema(system, prefix)
    sql(*(_quoting(statement, prefix) for statement in quoted))
    config, text = init()
    assert config.preset is not None
    assert (config.preset.name, config.preset.database, config.preset.prefix) == (system, database, prefix)
    assert all(table.name.startswith(f"{database}.{prefix}") for table in config.tables.values())
    assert "null" not in text.split("preset:")[1], "every role is there"
    said = capsys.readouterr()
    assert f"database {database}, prefix {prefix or 'none'}" in said.err
    assert check(config), capsys.readouterr().out


def _quoting(statement: str, prefix: str) -> str:
    """A prefix that is no plain name needs quotes."""
    if prefix.replace("_", "").isalnum() or not prefix:
        return statement
    words = (f"`{word}`" if word.startswith(prefix) else word for word in statement.split(" "))
    return " ".join(words)


def test_a_shops_own_settings_are_taken(sql: Any, init: Init) -> None:
    sql(
        *schema("prestashop", "ps_"),
        "INSERT INTO ps_currency (id_currency, name, iso_code) VALUES (1, 'e', 'EUR'), (4, 'u', 'USD')",
        "INSERT INTO ps_configuration (name, value) VALUES ('PS_TIMEZONE', 'Europe/Rome')",
        "INSERT INTO ps_configuration (name, value) VALUES ('PS_CURRENCY_DEFAULT', '4')",
        "INSERT INTO ps_orders (id_order, id_currency, valid, date_add, date_upd) VALUES (1, 1, 1, NOW(), NOW()),"
        " (2, 1, 0, NOW(), NOW()), (3, 4, 1, NOW(), NOW())",
    )
    config, text = init()
    assert (config.time_zone, config.currency, config.currencies) == ("Europe/Rome", "USD", {1: "EUR", 4: "USD"})
    assert "# valid of the newest orders: 1 (2), 0 (1)" in text
    assert "# The shop numbers its currencies. In the newest orders: 1 (2), 4 (1)" in text


def test_woocommerce_may_give_an_offset_instead_of_a_zone(sql: Any, init: Init) -> None:
    sql(
        *schema("woocommerce", "wp_"),
        "INSERT INTO wp_options (option_name, option_value) VALUES ('timezone_string', ''), ('gmt_offset', '2'),"
        " ('woocommerce_currency', 'GBP')",
        "INSERT INTO wp_wc_orders (id, type, status, currency) VALUES (1, 'shop_order', 'wc-completed', 'GBP'),"
        " (2, 'shop_order_refund', 'wc-completed', 'GBP'), (3, 'shop_order', 'wc-packed', 'GBP')",
    )
    config, text = init()
    assert (config.time_zone, config.currency) == ("Etc/GMT-2", "GBP")
    assert "# status of the newest orders: wc-completed (1), wc-packed (1)" in text


def test_a_role_that_a_shop_lacks_is_left_out_with_the_reason(sql: Any, init: Init, database: str) -> None:
    sql(
        *schema("woocommerce", "wp_2_"),
        "DROP TABLE wp_2_users",
        "ALTER TABLE wp_2_wc_order_product_lookup RENAME COLUMN product_qty TO qty",
    )
    config, text = init()
    assert set(config.tables) == {"orders", "refunds"}
    assert f"# there is no {database}.wp_2_users: the role is left out" in text
    assert f"# {database}.wp_2_wc_order_product_lookup has no column product_qty: the role is left out" in text


def test_a_copied_table_that_a_shop_lacks_is_left_out(sql: Any, init: Init) -> None:
    sql(*schema("prestashop", "ps_"), "DROP TABLE ps_order_payment")
    assert init()[0].mirror == ()


def test_cascades_of_a_known_system_are_named(sql: Any, init: Init, server: Any) -> None:
    sql(*schema("magento", ""))
    config, text = init()
    named = "sales_order_ibfk_1 ON DELETE SET NULL" in text and "Run it regularly." in text
    assert config.allow_cascades == named == (server.flavor == "mariadb")


def test_an_unknown_shop_is_guessed_with_reasons(
    sql: Any, init: Init, server: Any, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sql(*BOOKINGS)
    config, text = init()
    assert config.preset is None
    assert {role: table.renames() for role, table in config.tables.items()} == {
        "orders": {
            "order_id": "id",
            "user_id": "customer_id",
            "placed_at": "ordered_at",
            "total": "amount",
            "state": "status",
            "country": "country",
            "currency": "currency",
        },
        "order_items": {
            "id": "id",
            "order_id": "order_id",
            "product_name": "product",
            "qty": "quantity",
            "line_total": "amount",
        },
        "charges": {"id": "id", "order_id": "order_id", "amount": "amount", "paid_at": "charged_at"},
        "refunds": {"id": "id", "order_id": "order_id", "amount": "amount", "refunded_at": "charged_at"},
        "customers": {"id": "id"},
    }
    assert (config.tables["refunds"].sign, config.tables["customers"].segments) == (-1, ("channel",))
    assert config.counted is not None
    assert config.counted.not_in == ("cancelled",)
    assert config.segments == ("country",)
    for said in (
        "# state of the newest orders: paid (2), NULL (1), cancelled (1)",
        "# In the newest orders: EUR (2), USD (2)",
        "placed_at    # datetime; or is it created_at?",
        "total    # decimal(10,2); or is it price?",
        "# CHECK: a double does not hold cents exactly.",
        "# CHECK: whole numbers. If they are cents, the LTV is in cents.",
        f"# Without a primary key, so they cannot be followed: {database}.payment_transactions",
        "if it is UTC, write {column: placed_at, time_zone: UTC}",
    ):
        assert said in text, said
    assert ("payments_ibfk_1 ON DELETE CASCADE" in text) == (server.flavor == "mariadb")
    assert not config.allow_cascades, "a shop of its own can change its tables"
    assert "5 roles guessed" in capsys.readouterr().err
    assert check(config) is (server.flavor == "mysql")


HOSTILE = """CREATE TABLE `"o: {x} # - Orders` (`i'd: "1" # %s` INT PRIMARY KEY, `% Customer_ID` INT,
 `Order\nDate` DATETIME, `order "date"` DATETIME NOT NULL, `Total: #{amount}` DECIMAL(9,2), `sta}tus` VARCHAR(200))"""


def test_names_and_values_break_out_of_nothing(sql: Any, server: Any, database: str, tmp_path: Path) -> None:
    name = f"{database}: # \"{{'%"
    evil = 'x\n  evil: 1\r\n# "]} \u2028\u0085\x1b[31m cancelled' + "y" * 60
    target = tmp_path / "shop.yaml"
    sql(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    try:
        with server.connect(database=name, autocommit=True, charset="utf8mb4") as connection:
            with connection.cursor() as cursor:
                cursor.execute(HOSTILE)
                cursor.execute("CREATE TABLE `new\nline orders` (id INT PRIMARY KEY, total INT)")
                insert = 'INSERT INTO `"o: {x} # - Orders` VALUES (1, 1, NOW(), NOW(), 1, '
                cursor.execute(f"{insert}{connection.escape(evil)})")
            source = f"{server.dsn}/{quote(name, safe='')}"
            assert main(["init", source, "-o", str(target)]) == 0
    finally:
        sql(f"DROP DATABASE `{name}`")
    config, text = load_config(target), target.read_text(encoding="utf-8")
    assert config.tables["orders"].name == f'{name}."o: {{x}} # - Orders'
    assert config.tables["orders"].renames() == {
        'i\'d: "1" # %s': "id",
        "% Customer_ID": "customer_id",
        'order "date"': "ordered_at",
        "Total: #{amount}": "amount",
        "sta}tus": "status",
    }
    assert config.counted is not None
    assert config.counted.not_in == (evil,)
    assert all(character == "\n" or character.isprintable() for character in text)
    keys = {line.split(":")[0] for line in text.splitlines() if line and not line.startswith(("#", " "))}
    assert keys <= set(ShopConfig.model_fields)


def refusal(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> str:
    assert main(["init", *arguments]) == status
    return capsys.readouterr().err


def test_what_cannot_be_recognised(
    sql: Any, server: Any, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = f"{server.dsn}/{database}", tmp_path / "shop.yaml"
    said = refusal(capsys, 1, source, "-o", str(target))
    assert f"shows no tables in database '{database}'" in said
    assert "hint: check the name of the database, and GRANT SELECT ON it" in said
    sql("CREATE TABLE weather (id INT PRIMARY KEY, amount INT)", "CREATE TABLE orders (amount DECIMAL(5,2))")
    said = refusal(capsys, 2, source, "-o", str(target))
    assert "looks like orders" in said
    assert f"{database}.weather" in said
    assert "write shop.yaml by hand" in said
    assert not target.exists()


def test_a_file_that_is_there_stays(sql: Any, init: Init, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql(*BOOKINGS)
    target = tmp_path / "shop.yaml"
    target.write_text("mine: 1\n")
    said = refusal(capsys, 2, "mysql://nobody@127.0.0.1:1", "-o", str(target))
    assert "is there already" in said
    assert "--force" in said
    assert target.read_text() == "mine: 1\n"
    assert init("--force")[0].tables["orders"].name.endswith(".shop_orders")


def test_it_prints(sql: Any, server: Any, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql(*BOOKINGS)
    assert main(["init", f"{server.dsn}/{database}", "-o", "-"]) == 0
    assert parse_config(capsys.readouterr().out).tables["orders"].name == f"{database}.shop_orders"


@pytest.mark.parametrize(
    ("arguments", "status", "what"),
    [
        (["mysql://reader:s3cret@127.0.0.1:1/shop"], 1, "cannot connect to reader@127.0.0.1:1"),
        (["postgres://reader:s3cret@127.0.0.1/shop"], 2, "source: must be mysql://user@host:port"),
        (["mysql://reader:s3cret@127.0.0.1/shop?a=b"], 2, "source: takes no database and no options"),
        (["mysql://reader:s3cret@127.0.0.1", "--ca", "ca.pem"], 2, "ca: is not looked at with `tls: preferred`"),
        (["mysql://reader:s3cret@127.0.0.1", "--password-file", "none"], 2, "password_file: "),
    ],
)
def test_a_command_line_that_cannot_be_carried_out(
    arguments: list[str],
    status: int,
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MYSQL_PASSWORD", raising=False)
    said = refusal(capsys, status, *arguments, "-o", str(tmp_path / "shop.yaml"))
    assert what in said
    assert "s3cret" not in said


def test_select_alone_is_enough_and_every_shop_in_sight_is_named(
    sql: Any, server: Any, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user, second = f"r_{uuid.uuid4().hex[:8]}", f"{database}_b"
    secret = "a b'\"s3cret"
    target, password_file = tmp_path / "shop.yaml", tmp_path / "password"
    password_file.write_text(secret + "\n")
    literal = secret.replace("'", "''")
    sql(f"CREATE DATABASE {second}", f"CREATE USER {user}@'%' IDENTIFIED BY '{literal}'")
    try:
        sql(f"GRANT SELECT ON `{database}`.* TO {user}@'%'", f"GRANT SELECT ON `{second}`.* TO {user}@'%'")
        sql(*schema("woocommerce", "wp_"), f"USE {second}", *schema("prestashop", "ps_"), f"USE {database}")
        source = f"mysql://{user}@{server.host}:{server.port}"
        assert main(["init", source, "-o", str(target), "--password-file", str(password_file)]) == 0
        said = capsys.readouterr()
        assert refusal(capsys, 1, f"{source.replace(user, user + ':wrong')}", "-o", str(tmp_path / "b")) != ""
    finally:
        sql(f"DROP USER {user}@'%'", f"DROP DATABASE {second}")
    text, config = target.read_text(), load_config(target)
    assert config.preset is not None
    assert (config.preset.name, config.preset.database) == ("woocommerce", database)
    assert f"# Also here: PrestaShop in database {second}, prefix ps_." in text
    assert config.password_file == str(password_file)
    assert secret not in text + said.out + said.err
