"""What `run` and `check` refuse, on a MariaDB of their own: settings, grants, tables, lost logs, other servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_shop import Running, Shop, Topic, shop_on, until

from demo.servers import MariaDB, free_port
from schemas.errors import (
    BadPosition,
    CheckpointError,
    LtvError,
    PurgedBinlog,
    SourceChanged,
    SourceRefused,
    SourceUnavailable,
)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    with MariaDB(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest.fixture
def shop(own: MariaDB, tmp_path: Path, server_id: int, request: pytest.FixtureRequest) -> Iterator[Shop]:
    made = shop_on(own, "t_" + re.sub(r"\W", "_", request.node.name)[:50], tmp_path, server_id)
    yield made
    made.connection.close()


def refusal(shop: Shop, **options: Any) -> LtvError:
    with pytest.raises(LtvError) as caught:
        shop.run(**options)
    return caught.value


SETTINGS = [
    "binlog_format = STATEMENT",
    "binlog_row_image = MINIMAL",
    "binlog_row_metadata = MINIMAL",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_that_lose_rows(shop: Shop, setting: str) -> None:
    name = setting.split()[0]
    before = shop.sql(f"SELECT @@GLOBAL.{name}")[0][0]
    shop.sql(f"SET GLOBAL {setting}")
    try:
        error = refusal(shop)
    finally:
        shop.sql(f"SET GLOBAL {name} = {before}")
    assert isinstance(error, SourceRefused)
    assert name in error.message and "SET GLOBAL" in error.message
    assert not shop.out.exists()


def test_check_shows_everything_at_once(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE nokey (id INT, a INT)",
        "CREATE TABLE prefixed (a VARCHAR(200), PRIMARY KEY (a(10)))",
        "CREATE TABLE odd (id INT PRIMARY KEY, u UUID, z TEXT COMPRESSED, e ENUM(x'ff') CHARACTER SET binary)",
        "CREATE TABLE versioned (id INT PRIMARY KEY) WITH SYSTEM VERSIONING",
        "CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM",
        "CREATE TABLE child (id INT PRIMARY KEY, a BIGINT, FOREIGN KEY (a) REFERENCES orders (id) ON DELETE CASCADE)",
        "CREATE VIEW seen AS SELECT * FROM orders",
        "CREATE TABLE charges (id INT PRIMARY KEY, order_id INT, amount DOUBLE, created DATETIME, other INT)",
    )
    name = shop.database
    shop.settings["tables"]["orders"]["columns"] |= {"status": "stauts"}
    shop.settings["tables"]["charges"] = {
        "name": f"{name}.charges",
        "columns": {"id": "order_id", "order_id": "id", "amount": "amount", "charged_at": "created"},
    }
    mirror = [
        f"{name}.{table}" for table in ("nokey", "prefixed", "odd", "versioned", "old", "child", "seen", "ordres")
    ]
    shop.write(mirror=mirror, server_id=1)
    shop.sql("SET GLOBAL expire_logs_days = 0.5")
    try:
        checked = shop.program(command="check")
        output, errors = checked.communicate(timeout=20)
    finally:
        shop.sql("SET GLOBAL expire_logs_days = 0")
    assert checked.returncode == 1, errors
    levels = {line.split()[0] for line in output.splitlines()[:-1]}
    assert levels == {"ok", "warn", "FAIL"}
    for level, text in (
        ("FAIL", "server_id 1 is the server's own"),
        ("FAIL", f"{name}.nokey has no primary key"),
        ("FAIL", f"the primary key of {name}.prefixed holds only the start"),
        ("FAIL", f"{name}.odd.e is enum"),
        ("FAIL", f"{name}.versioned is system versioned"),
        ("warn", f"{name}.old has the engine MyISAM"),
        ("FAIL", f"{name}.child: foreign key"),
        ("FAIL", f"{name}.seen is a view"),
        ("FAIL", f"{name}.ordres does not exist"),
        ("FAIL", f"{name}.orders has no column stauts"),
        ("FAIL", f"{name}.charges: charges.id is order_id"),
        ("warn", f"{name}.charges.amount is a double"),
        ("warn", "logs are kept for 12.0 hours"),
    ):
        assert re.search(rf"^{level} +{re.escape(text)}.* — .+ — .+", output, re.MULTILINE), (text, output)
    assert "did you mean status?" in output
    assert f"did you mean {name}.orders?" in output
    assert "odd.u" not in output and "odd.z" not in output


def test_check_of_a_sound_shop(shop: Shop) -> None:
    checked = shop.program(command="check")
    output, errors = checked.communicate(timeout=20)
    assert checked.returncode == 0, output + errors
    assert output.endswith("all is well\n")


def test_grants(shop: Shop) -> None:
    shop.sql(
        "CREATE USER poor@'127.0.0.1' IDENTIFIED BY 'p'",
        f"GRANT SELECT (id) ON {shop.database}.orders TO poor@'127.0.0.1'",
    )
    shop.write(source=shop.settings["source"].replace("root@", "poor:p@"))
    message = refusal(shop).message
    assert "lacks REPLICATION SLAVE" in message
    assert "lacks REPLICATION CLIENT" in message
    assert "GRANT REPLICATION SLAVE ON *.*" in message
    assert ":p@" not in message
    shop.sql(
        "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO poor@'127.0.0.1'",
        f"GRANT SELECT ON {shop.database}.* TO poor@'127.0.0.1'",
    )
    shop.insert(1, 1)
    shop.run()
    assert shop.ids() == [1]


def test_a_user_who_may_not_read_the_table(shop: Shop) -> None:
    shop.sql("CREATE USER blind@'127.0.0.1'", "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO blind@'127.0.0.1'")
    shop.write(source=shop.settings["source"].replace("root@", "blind@"))
    message = refusal(shop).message
    assert "orders cannot be read" in message and "GRANT SELECT" in message


def test_wrong_password_and_nobody_there(shop: Shop) -> None:
    """Errors of the program are two lines, never a traceback."""
    source = shop.settings["source"]
    for settings, status, text in (
        ({"source": source.replace("root@", "nobody@")}, 1, "Access denied"),
        ({"source": f"mysql://root@127.0.0.1:{free_port()}"}, 1, "cannot connect to root@127.0.0.1"),
        ({"server_id": None}, 2, "server_id"),
    ):
        shop.write(**settings)
        program = shop.program(MYSQL_PASSWORD="secret-word")
        output, errors = program.communicate(timeout=20)
        assert program.returncode == status, errors
        assert re.search(rf"^error: .*{text}.*^hint: ", errors, re.MULTILINE | re.DOTALL), errors
        assert "Traceback" not in errors
        assert "secret-word" not in errors + output


def test_bad_command_lines(shop: Shop) -> None:
    for arguments in (("--epoch", "x"), ("--from", "yesterday"), ("--epoch", "70000")):
        program = shop.program(*arguments)
        _, errors = program.communicate(timeout=20)
        assert program.returncode == 2, errors
        assert "Traceback" not in errors


def test_purged_log(shop: Shop) -> None:
    shop.insert(1, 1)
    shop.run()
    shop.sql("FLUSH BINARY LOGS")
    newest = shop.position().partition(":")[0]

    def purged() -> bool:
        """The server keeps a log while the connection of the run that ended still seems to read it."""
        shop.sql(f"PURGE BINARY LOGS TO '{newest}'")
        return str(shop.sql("SHOW BINARY LOGS")[0][0]) == newest

    until(purged)
    error = refusal(shop)
    assert isinstance(error, PurgedBinlog)
    assert newest in error.message and shop.checkpoint()["file"] in error.message
    assert error.hint and "--from earliest" in error.hint
    (shop.folder / "checkpoint.json").unlink()
    assert isinstance(refusal(shop), PurgedBinlog)


def test_positions_that_never_were(shop: Shop) -> None:
    file, _, position = shop.position().partition(":")
    assert isinstance(refusal(shop, begin=f"{file}:{int(position) + 5000}"), BadPosition)
    assert isinstance(refusal(shop, begin="mysql-bin.999999:4"), BadPosition)
    shop.insert(1, 1)
    begin = int(shop.begin.rpartition(":")[2])
    (shop.folder / "checkpoint.json").unlink(missing_ok=True)
    assert isinstance(refusal(shop, begin=f"{file}:{begin + 5}"), BadPosition)


def test_reset_log_is_noticed(shop: Shop) -> None:
    """The same server, the same file name, another log; positions are past the checkpoint's again."""
    shop.sql("RESET MASTER")
    shop.begin = shop.position()
    shop.run()
    created = shop.checkpoint()["identity"]["created"]
    until(lambda: shop.sql("SELECT UNIX_TIMESTAMP()")[0][0] > created)
    shop.sql("RESET MASTER")
    shop.insert(1, 50)
    error = refusal(shop)
    assert isinstance(error, SourceChanged)
    assert error.hint and "--epoch 2" in error.hint and f"{shop.database}.orders" in error.hint
    shop.run(epoch=2, begin="earliest")
    assert shop.ids() == list(range(1, 51))
    assert shop.checkpoint()["epoch"] == 2


def test_checkpoint_of_another_server_and_a_corrupt_one(shop: Shop) -> None:
    shop.run()
    path = shop.folder / "checkpoint.json"
    path.write_text(path.read_text().replace('"server": "1"', '"server": "2"'))
    error = refusal(shop)
    assert isinstance(error, SourceChanged) and "--epoch 2" in (error.hint or "")
    path.write_text('{"version": 1, "epoch"')
    assert isinstance(refusal(shop), CheckpointError)


def test_server_restart_and_crash(shop: Shop, own: MariaDB) -> None:
    sink = Topic()
    shop.write(heartbeat_seconds=0.2)
    with Running(shop, send=sink):
        shop.insert(1, 1)
        until(lambda: sink.ids() == [1])
        for number, end in ((2, own.stop), (3, own.kill)):
            end()
            own.start()
            shop.connection = own.connect(database=shop.database, autocommit=True)
            shop.insert(number, 1)
            until(lambda number=number: number in sink.ids())
    assert sink.ids() == [1, 2, 3]


def test_server_that_goes_away_for_good_is_tried_again_until_stopped(tmp_path: Path, server_id: int) -> None:
    with MariaDB(tmp_path / "data") as server:
        shop = shop_on(server, "gone", tmp_path, server_id)
        sink = Topic()
        with Running(shop, send=sink) as running:
            until(lambda: sink.of("heartbeat"))
            server.kill()
            assert running.alive
            running.stop()
        assert isinstance(refusal(shop), SourceUnavailable)


def test_server_without_binlog(tmp_path: Path, server_id: int) -> None:
    with MariaDB(tmp_path / "data", ["--skip-log-bin"]) as server:
        shop = shop_on(server, "quiet", tmp_path, server_id)
        error = refusal(shop, begin=None)
    assert isinstance(error, SourceRefused)
    assert "log_bin is OFF" in error.message and "--log-bin" in error.message


def test_table_that_loses_its_key(shop: Shop) -> None:
    shop.insert(1, 1)
    shop.sql("ALTER TABLE orders DROP PRIMARY KEY")
    shop.insert(2, 1)
    shop.sql("ALTER TABLE orders ADD PRIMARY KEY (id)")
    error = refusal(shop)
    assert "no primary key" in error.message and error.table == f"{shop.database}.orders"
    assert shop.ids() == [1]
