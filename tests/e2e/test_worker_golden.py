"""tests/golden/worker_*.yaml: SQL lines → the lines that leave the worker, on both servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from worker_shop import Shop

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = [case for path in sorted(GOLDEN.glob("worker_*.yaml")) for case in yaml.safe_load(path.read_text())]


def shown(line: dict[str, Any], expected: list[Any]) -> list[Any]:
    """A line in the form of `expected`, with the columns that are named there."""
    if "reload" in line:
        return ["reload"]
    found = [line["op"]]
    for image, wanted in ((line["before"], expected[1]), (line["after"], expected[2])):
        found.append(image if image is None or wanted is None else {name: image.get(name) for name in wanted})
    return [*found, int(line["source"]["sequence"].rpartition("/")[2], 16)]


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_golden(case: dict[str, Any], server: Any, database: str, tmp_path: Path, server_id: int) -> None:
    if case.get("only", server.flavor) != server.flavor:
        pytest.skip(f"only for {case['only']}")
    shop = Shop(server.connect, server.dsn, database, tmp_path, server_id, table="")
    for role, changes in case.get("tables", {}).items():
        shop.settings["tables"][role] |= changes
    shop.write()
    shop.sql(*(statement.replace("{database}", database) for statement in case["sql"]))
    shop.run()
    lines = shop.lines()
    changes = [line for line in lines if "schema" not in line]
    padding = [["?", None, None, 0]] * len(changes)
    assert [
        shown(line, expected if len(expected) == 4 else ["?", None, None, 0])
        for line, expected in zip(changes, [*case["lines"], *padding], strict=False)
    ] == case["lines"]
    if "schema" in case:
        for line in lines:
            if "schema" in line:
                assert {column["name"]: column["type"] for column in line["schema"]["columns"]} == case["schema"]
    sequences = [line["source"]["sequence"] for line in changes]
    assert sequences == sorted(sequences)
