"""The files that `ltv-pipeline dbt` writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pipeline.dbt.model import BIGQUERY, later_than, models, sources
from pipeline.dbt.package import package, write
from pipeline.dbt.tables import TABLES
from pipeline.facts import BEFORE, FACTS
from pipeline.google_sql import Places, qualified, with_parameter, without_order
from pipeline.rollup import ROLLED_UP, rollup, rollup_queries
from schemas.errors import UsageError
from schemas.tables import OWN_TABLES
from tests.builders import memory, shop
from tests.consumers.rich_shop import LAST_DAY, config_of

QUERIES = [*rollup_queries(), ("rolled_up", ROLLED_UP)]
JINJA = re.compile(r"\{\{ (\w+)\('(\w+)'(?:, '(\w+)')?\) \}\}")


def test_every_column_of_every_table_is_described() -> None:
    warehouse = memory()
    rollup(warehouse, config_of("duckdb:x"), LAST_DAY)
    stored = {}
    for table, _ in QUERIES:
        with warehouse.query(f"SELECT * FROM {table}") as reader:
            stored[table] = reader.schema.names
    assert {table: described.columns.split() for table, described in TABLES.items()} == stored
    for table, described in TABLES.items():
        assert all(described.meaning(column) for column in stored[table])
        assert {*described.key.split(), *described.filled.split(), *described.own} <= set(stored[table]), table


def test_a_model_is_the_query_of_the_rollup() -> None:
    """Its text, once dbt's calls are names again."""

    def name(call: re.Match[str]) -> str:
        what, first, second = call.groups()
        return {"ref": first, "ltv_before": first, "source": f"raw.{second}" if first == "ltv_raw" else second}[what]

    for table, text in models(QUERIES, BIGQUERY).items():
        body = text.split(" }}\n", 1)[1]
        body = "".join(line for line in body.splitlines(True) if not line.startswith("-- depends_on"))
        made = JINJA.sub(name, body.replace("CAST('{{ ltv_as_of() }}' AS DATE)", "@as_of"))
        assert "{" not in made, table
        given = dict(QUERIES)[table]
        if table == "cohort_changes":  # reads the view `marks`, which is written out
            assert made.count("AS entries_mark") == 1
            given = given.replace("CROSS JOIN marks", "")
            made = re.sub(r"CROSS JOIN \(SELECT.*?AS `marks`", "", made, flags=re.DOTALL)
        assert _words(made) == _words(given), table


def _words(sql: str) -> list[str]:
    """Without the names that tables keep as their aliases, and without an order at the end."""
    plain = qualified(with_parameter(sql, "as_of", "DATE '2022-01-31'"), Places(lambda table: table)).sql
    plain = re.sub(r"\(SELECT \* EXCEPT \(_deleted\) FROM (raw\.\w+) WHERE _deleted IS NOT TRUE\)", r"\1", plain)
    return re.sub(r" AS `\w+`", "", without_order(plain)).split()


def test_what_shows_the_run_before_is_made_after_what_reads_it() -> None:
    for table in ("order_first_purchase", "counted_refunds"):
        assert later_than(table, QUERIES) == ["cohort_changes"]
    assert later_than("ltv_cohorts", QUERIES) == []
    assert later_than("rolled_up", QUERIES) == [table for table, _ in rollup_queries()]


def test_the_sources_are_what_the_pipeline_makes() -> None:
    found = sources(QUERIES)
    assert set(found["ltv"]) <= {*FACTS, "ltv_entries"}
    assert set(found["ltv_raw"]) <= set(OWN_TABLES)
    assert not {*BEFORE, "marks"} & set(found["ltv"])


@pytest.mark.parametrize(
    ("warehouse", "places"),
    [
        ("duckdb:ltv.duckdb", [(None, "main"), (None, "raw")]),
        ("bigquery:my-project.shop", [("my-project", "shop"), ("my-project", "shop_raw")]),
    ],
)
def test_sources_are_where_the_warehouse_is(warehouse: str, places: list[tuple[str | None, str]]) -> None:
    read = yaml.safe_load(package(shop(warehouse=warehouse))["models/sources.yml"])["sources"]
    assert [(source.get("database"), source["schema"]) for source in read] == places
    only = yaml.safe_load(package(shop(warehouse=warehouse), sources_only=True)["models/ltv.yml"])["sources"]
    assert [(source.get("database"), source["schema"]) for source in only] == places[:1]
    assert [table["name"] for table in only[0]["tables"]] == list(TABLES)


def test_a_package_is_written_again_over_itself_and_over_nothing_else(tmp_path: Path) -> None:
    folder, config = tmp_path / "deep" / "ltv", shop(warehouse="duckdb:ltv.duckdb")
    files, fewer = package(config), package(config, sources_only=True)
    write(files, folder)
    (folder / "models" / "mine.sql").write_bytes(b"SELECT '\xe9'")
    write(fewer, folder)
    left = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert left == {*fewer, "models/mine.sql"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dbt_project.yml").write_text("name: mine\n")
    with pytest.raises(UsageError, match="holds something else"):
        write(files, tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write(files, tmp_path / "file")
