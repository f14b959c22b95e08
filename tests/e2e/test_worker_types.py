"""Types that are seldom, from a real server's rows through the worker into the warehouse, or refused by name."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from worker_shop import Running, Shop, Topic, until

from demo.servers import MariaDB
from schemas.config_file import load_config
from schemas.errors import UnsupportedColumn
from tests.builders import apply, memory, rows

UNIQUE = "12345678-1234-4234-8234-123456789a00"
MARIADB = f"""CREATE TABLE things (u UUID PRIMARY KEY, i INET4, j INET6, b BINARY(16),
 t TEXT COMPRESSED CHARACTER SET eucjpms, a VARCHAR(9) CHARACTER SET armscii8, s SET('ä','ö') CHARACTER SET keybcs2,
 h INT INVISIBLE DEFAULT 4);
INSERT INTO things (u, i, j, b, t, a, s)
 VALUES ('{UNIQUE}', '10.0.0.0', '2001:db8::1', x'01', REPEAT('日本①～', 40), 'Ա', 3),
 ('00000000-0000-0000-0000-000000000000', NULL, NULL, NULL, NULL, NULL, NULL)"""
MYSQL = """CREATE TABLE things (u VARBINARY(16) PRIMARY KEY, e VECTOR(3), g GEOMETRY SRID 4326,
 t TEXT CHARACTER SET eucjpms, a VARCHAR(9) CHARACTER SET geostd8, s SET('ä','ö') CHARACTER SET keybcs2,
 v INT AS (LENGTH(a)) VIRTUAL, h INT INVISIBLE DEFAULT 4);
INSERT INTO things (u, e, g, t, a, s) VALUES (x'01', STRING_TO_VECTOR('[0.1, -1.5, 16777217]'),
 ST_GeomFromText('POINT(48.85 2.35)', 4326), '日本①～', 'ა', 3), (x'02', NULL, NULL, NULL, NULL, NULL)"""


def made(server: Any, dsn: str, database: str, folder: Path, server_id: int, sql: str) -> Shop:
    shop = Shop(server.connect, dsn, database, folder, server_id, "")
    shop.sql(*sql.split(";\n"))
    shop.write(tables={}, mirror=[f"{database}.things"])
    return shop


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    sql = MARIADB if server.flavor == "mariadb" else MYSQL
    found = made(server, server.dsn, database, tmp_path, server_id, sql)
    yield found
    found.connection.close()


@pytest.fixture
def maria(mariadb: MariaDB, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    name = f"types_{server_id}"
    with mariadb.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        found = made(mariadb, mariadb.dsn(), name, tmp_path, server_id, MARIADB)
        yield found
        found.connection.close()
        cursor.execute(f"DROP DATABASE {name}")


def events(topic: Topic) -> list[dict[str, Any]]:
    """Rows inserted."""
    lines = [orjson.loads(line) for message in topic.of() for line in message.data.split(b"\n")]
    return [line["after"] for line in lines if line.get("op") == "c"]


def published(shop: Shop) -> Topic:
    topic = Topic()
    shop.run(topic, checkpoint_s=0.05)
    return topic


def test_seldom_types_reach_the_warehouse(shop: Shop, server: Any) -> None:
    messages = published(shop).of()
    schema = orjson.loads(messages[0].data.split(b"\n")[0])["schema"]
    warehouse = memory()
    apply(warehouse, load_config(shop.folder / "shop.yaml"), *messages)
    found, nulls = rows(
        warehouse, "SELECT * EXCLUDE (_sequence, _committed_at, _written_at) FROM things ORDER BY s DESC"
    )
    types = {column["name"]: column["type"] for column in schema["columns"]}
    assert types | {"t": "text", "a": "varchar", "s": "set", "h": "int"} == types
    if server.flavor == "mariadb":
        assert types | {"u": "uuid", "i": "inet4", "j": "inet6", "b": "binary"} == types
        assert found[:5] == (UNIQUE, "10.0.0.0", "2001:db8::1", b"\1" + bytes(15), "日本①～" * 40)
        assert found[5:8] == ("Ա", ["ä", "ö"], 4)
        assert nulls[0] == "00000000-0000-0000-0000-000000000000"
    else:
        assert types | {"u": "varbinary", "e": "vector", "g": "geometry", "v": "int"} == types
        assert found[1] == [pytest.approx(0.1), -1.5, 16777216.0]
        longitude_first = bytes.fromhex("0101000000cdcccccccccc0240cdcccccccc6c4840")
        assert (found[0], found[2]) == (b"\1", longitude_first)
        assert found[3:8] == ("日本①～", "ა", ["ä", "ö"], 1, 4)
    assert nulls[1:3] == (None, None)


def test_types_that_change_while_the_worker_runs(maria: Shop) -> None:
    """Columns come, and two change their types in a way that the log does not show."""
    topic = Topic()
    with Running(maria, send=topic) as running:
        until(lambda: len(events(topic)) == 2)
        maria.sql(
            "ALTER TABLE things ADD COLUMN n INT, ADD COLUMN w INET6",
            f"INSERT INTO things (u, n, w) VALUES ('{UNIQUE[:-2]}01', 5, '::1')",
        )
        until(lambda: len(events(topic)) == 3)
        maria.sql(
            "ALTER TABLE things RENAME COLUMN w TO b, RENAME COLUMN b TO w",
            f"INSERT INTO things (u, b, w) VALUES ('{UNIQUE[:-2]}02', '::2', x'02')",
        )
        until(lambda: len(events(topic)) == 4)
        running.stop()
    *_, third, fourth = events(topic)
    assert (third["u"], third["n"], third["w"], third["b"]) == (f"{UNIQUE[:-2]}01", 5, "::1", None)
    assert (fourth["u"], fourth["b"], base64.b64decode(fourth["w"])) == (f"{UNIQUE[:-2]}02", "::2", b"\2" + bytes(15))


def test_rows_of_before_an_alter_are_refused_by_name_where_their_type_is_lost(maria: Shop) -> None:
    maria.sql("ALTER TABLE things DROP COLUMN b")
    with pytest.raises(UnsupportedColumn, match=rf"column [ujb] .*{maria.database}\.things") as raised:
        published(maria)
    assert "load the table again" in (raised.value.hint or "")


def test_bytes_that_look_like_a_uuid_stay_bytes(maria: Shop) -> None:
    (message,) = published(maria).of()
    row = orjson.loads(message.data.split(b"\n")[1])["after"]
    assert (base64.b64decode(row["b"]), row["u"]) == (b"\1" + bytes(15), UNIQUE)
