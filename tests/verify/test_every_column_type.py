"""Every column type of both servers, through worker and pipeline: equal; and any other value of any column is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Server
from tests.oracle.column_types import column_types
from tests.oracle.source import Source as OracleSource
from tests.oracle.test_every_type import literals
from tests.verify.followed_shop import FollowedShop

ROWS = 2_000


@pytest.fixture
def shop(server: Server, database: str, server_id: int, tmp_path: Path) -> FollowedShop:
    """Table t, a column of each type."""
    oracle = OracleSource(server, database, server_id + 1)
    types = column_types(oracle.mariadb, oracle.version)
    columns = ", ".join(f"c{index} {kind.sql}" for index, kind in enumerate(types.values()))
    made = FollowedShop(
        server,
        database,
        tmp_path,
        server_id,
        f"CREATE TABLE t (id INT PRIMARY KEY, before_ TINYINT NOT NULL, {columns}, after_ TINYINT NOT NULL)",
    )
    oracle.insert("t", list(literals(types, ROWS)))
    oracle.connection.close()
    made.mirror("t")
    return made


def test_all_are_equal_and_another_value_of_any_is_found(shop: FollowedShop) -> None:
    with shop.followed():
        result = shop.tables(chunk_rows=300)["t"]
        assert (result.rows, result.parts, result.in_flight, result.equal) == (ROWS, 7, 0, True), result

        columns = _columns(shop)
        planted: dict[int, str] = {}
        for place, column in enumerate(columns):
            row, other = _two_rows(shop, column, first=place)
            shop.raw(f"UPDATE raw.t SET {column} = (SELECT {column} FROM raw.t WHERE id = {other}) WHERE id = {row}")
            planted[row] = column
        assert len(planted) == len(columns)
        found = shop.differences(limit=1_000)
    assert {int(str(difference.key["id"])) for difference in found} == set(planted)
    for difference in found:
        assert difference.kind == "differs"
        assert [column.name for column in difference.columns] == [planted[int(str(difference.key["id"]))]]
        (column,) = difference.columns
        assert column.database != column.warehouse


def _two_rows(shop: FollowedShop, column: str, first: int) -> tuple[int, int]:
    """Two rows with different values of a column, the first of them one that no other column uses."""
    row = 100 + first
    with shop.warehouse.query(
        f"SELECT id FROM raw.t WHERE (TO_JSON_STRING({column}) IS DISTINCT FROM"
        f" (SELECT TO_JSON_STRING({column}) FROM raw.t WHERE id = {row})) ORDER BY id LIMIT 1"
    ) as reader:
        return row, reader.read_all().to_pylist()[0]["id"]


def test_null_is_no_text_and_no_number(shop: FollowedShop) -> None:
    """The first row is all NULL. Values in its place are found, all and no others, and NULL in place of values."""
    with shop.followed():
        columns = _columns(shop)
        filled = {row: _not_null(shop, columns, row) for row in (1, 2)}
        values = ", ".join(f"{name} = (SELECT {name} FROM raw.t WHERE id = 1)" for name in columns)
        shop.raw(f"UPDATE raw.t SET {values} WHERE id = 0")
        shop.raw(f"UPDATE raw.t SET {', '.join(f'{name} = NULL' for name in columns)} WHERE id = 2")
        found = {difference.key["id"]: difference.columns for difference in shop.differences()}
    assert {column.name for column in found["0"]} == filled[1]
    assert {column.name for column in found["2"]} == filled[2]
    assert min(len(names) for names in filled.values()) > 60
    assert {column.database for column in found["0"]} == {column.warehouse for column in found["2"]} == {None}


def _columns(shop: FollowedShop) -> list[str]:
    with shop.warehouse.query("SELECT * FROM raw.t LIMIT 0") as reader:
        return [name for name in reader.schema.names if name.startswith("c")]


def _not_null(shop: FollowedShop, columns: list[str], row: int) -> set[str]:
    counts = ", ".join(f"COUNT({name}) AS {name}" for name in columns)
    with shop.warehouse.query(f"SELECT {counts} FROM raw.t WHERE id = {row}") as reader:
        (found,) = reader.read_all().to_pylist()
    return {name for name, count in found.items() if count}
