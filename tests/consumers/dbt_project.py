"""A team's dbt project in a folder: the one of `consumers/dbt` with the package that `ltv-pipeline dbt` writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from pipeline.cli import main
from tests.consumers.environments import run
from tests.consumers.rich_shop import settings

EXAMPLE = Path(__file__).parents[2] / "consumers" / "dbt"
VARIABLES = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_USE_COLORS": "false", "TZ": "Asia/Kolkata"}
"""Another zone than the shop's, and than that of the warehouse."""


class DbtProject:
    """`folder` is made; its shop.yaml names `warehouse`."""

    def __init__(self, folder: Path, warehouse: str, *options: str, **more: str) -> None:
        self.folder = folder
        self._environment = {
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_USE_COLORS": "false",
            "TZ": "Asia/Kolkata",
            **more,
        }
        shutil.copytree(EXAMPLE, folder)
        (folder / "shop.yaml").write_text(yaml.safe_dump(settings(warehouse)), encoding="utf-8")
        assert main(["dbt", "-c", str(folder / "shop.yaml"), "-o", str(folder / "ltv"), *options]) == 0

    def install(self) -> None:
        """What `dbt deps` does, without another start of dbt."""
        shutil.copytree(self.folder / "ltv", self.folder / "dbt_packages" / "ltv")

    def __call__(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        """What dbt printed."""
        variables = {**VARIABLES, **environment}
        return run("dbt", "dbt", *arguments, folder=self.folder, variables=variables, fails=fails)

    def results(self) -> dict[str, str]:
        """Of the last command: model or data test → success, pass, warn, fail or error."""
        found = json.loads((self.folder / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
        return {result["unique_id"].split(".")[2]: result["status"] for result in found}
