"""tests/golden/worker_*.yaml: SQL lines → the lines that leave the worker, on both servers.

Their format is in tests/golden/README.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
import yaml
from worker_shop import Shop

from schemas.errors import SourceRefused
from schemas.source import describe_server

GOLDEN = Path(__file__).parents[1] / "golden"
SECOND, FAILS = "2> ", "!> "


def cases() -> Iterator[Any]:
    for path in sorted(GOLDEN.glob("worker_*.yaml")):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        given = [] if isinstance(found, list) else found["given"]
        for case in found if isinstance(found, list) else found["cases"]:
            yield pytest.param({**case, "given": given}, id=f"{path.stem}: {case['case']}")


def filled(value: Any, database: str, folder: Path) -> Any:
    """With the names of this run in place of {database} and {folder}."""
    if isinstance(value, dict):
        return {name: filled(one, database, folder) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, database, folder) for one in value]
    return value.replace("{database}", database).replace("{folder}", str(folder)) if isinstance(value, str) else value


def table(line: dict[str, Any]) -> str:
    return str(line["reload"]["table"] if "reload" in line else line["source"]["table"]).rpartition(".")[2]


def sequence(line: dict[str, Any]) -> str:
    return str(line["source"]["sequence"])


def shown(line: dict[str, Any], expected: list[Any]) -> list[Any]:
    """A line in the form of `expected`: with the columns that are named there, and the table where it is."""
    op = "reload" if "reload" in line else line["op"]
    found = [f"{op} {table(line)}" if " " in expected[0] else op]
    if "reload" in line:
        return found
    for image, wanted in ((line["before"], expected[1]), (line["after"], expected[2])):
        found.append(image if image is None or wanted is None else {name: image.get(name) for name in wanted})
    return [*found, int(sequence(line).rpartition("/")[2], 16)]


@contextlib.contextmanager
def local_files(server: Any) -> Iterator[None]:
    """LOAD DATA LOCAL, which MySQL allows only when told to."""
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.local_infile")
        before = cursor.fetchall()[0][0]
        cursor.execute("SET GLOBAL local_infile = ON")
        try:
            yield
        finally:
            cursor.execute(f"SET GLOBAL local_infile = {before}")


def execute(shop: Shop, statements: list[str]) -> None:
    """A statement that waits for a lock fails; what is left prepared is rolled back, for it would hold up the rest."""
    options = {"database": shop.database, "autocommit": True, "local_infile": True, "charset": "utf8mb4"}
    with contextlib.ExitStack() as stack:
        stack.callback(roll_back_prepared, shop)
        first, second = (stack.enter_context(shop.connect(**options)) for _ in range(2))
        for connection in (first, second):
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION innodb_lock_wait_timeout = 3, lock_wait_timeout = 3")
        for statement in statements:
            connection = second if statement.startswith(SECOND) else first
            fails = statement.startswith(FAILS)
            with (
                connection.cursor() as cursor,
                pytest.raises(pymysql.MySQLError) if fails else contextlib.nullcontext(),
            ):
                cursor.execute(statement.removeprefix(SECOND).removeprefix(FAILS))


def roll_back_prepared(shop: Shop) -> None:
    for _, gtrid_length, _, data in shop.sql("XA RECOVER"):
        if shop.database in data:
            shop.sql(f"XA ROLLBACK '{data[:gtrid_length]}', '{data[gtrid_length:]}'")


def refuses(case: dict[str, Any], shop: Shop, server: Any) -> bool:
    first = case.get("refused_from", {}).get(server.flavor)
    return first is not None and describe_server(shop.connection).version >= tuple(first)


@pytest.mark.parametrize("case", list(cases()))
def test_golden(case: dict[str, Any], server: Any, database: str, tmp_path: Path, server_id: int) -> None:
    if case.get("only", server.flavor) != server.flavor:
        pytest.skip(f"only for {case['only']}")
    case = filled(case, database, tmp_path)
    shop = Shop(server.connect, server.dsn, database, tmp_path, server_id, table="")
    for role, changes in case.get("tables", {}).items():
        shop.settings["tables"].setdefault(role, {}).update(changes)
    shop.write(mirror=case.get("mirror", []))
    for name, text in case.get("files", {}).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    execute(shop, case["given"])
    shop.begin = shop.position()
    with local_files(server) if "files" in case else contextlib.nullcontext():
        execute(shop, case["sql"])
    if refuses(case, shop, server):
        with pytest.raises(SourceRefused, match="is a generated column"):
            shop.run()
        shop.connection.close()
        return
    shop.run()
    shop.connection.close()
    lines = shop.lines()
    changes = sorted((line for line in lines if "schema" not in line), key=sequence)
    expected = [*case["lines"], *([["?", None, None, 0]] * len(changes))]
    assert [
        shown(line, wanted if len(wanted) == 4 else [wanted[0], None, None, 0])
        for line, wanted in zip(changes, expected, strict=False)
    ] == case["lines"]
    for found in [line["schema"] for line in lines if "schema" in line]:
        name = found["table"].rpartition(".")[2]
        types = {column["name"]: column["type"] for column in found["columns"]}
        assert types == case.get("schemas", {}).get(name, case.get("schema", types))
    for name in {table(line) for line in changes}:
        left = [sequence(line) for line in lines if "schema" not in line and table(line) == name]
        assert left == sorted(set(left)), "the lines of a table leave in their order"
