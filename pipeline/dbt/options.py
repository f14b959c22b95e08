"""The words and options of `ltv-pipeline dbt`, and the command itself."""

from __future__ import annotations

import argparse
from pathlib import Path

from schemas.config import ShopConfig

WORDS = (
    "write a dbt package of the rolled-up tables",
    "Writes a dbt package: the queries of the rollup as models, for dbt to run in place of `rollup` or of the scheduled"
    " queries, with descriptions and data tests. --sources-only: the tables as sources, where dbt only reads them."
    " Reads nothing but shop.yaml. Written again, the package is what this version makes of it.",
    "ltv-pipeline dbt -c shop.yaml -o ltv\n  ltv-pipeline dbt -c shop.yaml -o ltv --sources-only",
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", default="ltv", metavar="FOLDER", help="of the package (default: ltv)")
    command.add_argument("--sources-only", action="store_true", help="for dbt to read the tables, not to make them")


def run(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    """Writes the package. Raises ConfigError, UsageError."""
    from pipeline.dbt.package import package, write

    files = package(config, sources_only=options.sources_only)
    write(files, Path(options.output))
    print(f"{options.output} written, {len(files)} files; name it in packages.yml (- local: …), then: dbt deps")
