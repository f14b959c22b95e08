"""Presets: what is known of a shop system, one file of `shops/` each.

A file is a shop.yaml without its places and names: table names lack database and prefix, which differ from shop to
shop. Its key `shop` says where the system puts its tables by itself, and where it keeps what a shop.yaml needs to know.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from schemas.identifiers import quoted_table

FOLDER = Path(__file__).parent / "shops"
_TABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class ShopSystem:
    """`required`: keys of shop.yaml that only the shop itself can give → how to find them out. `settings`: keys of
    shop.yaml → queries that answer them, tried in turn. In both {name} stands for a table of the shop."""

    name: str
    title: str
    database: str
    prefix: str
    defaults: Mapping[str, Any]
    required: Mapping[str, str]
    settings: Mapping[str, tuple[str, ...]]

    @property
    def roles(self) -> Mapping[str, Mapping[str, Any]]:
        """Role → its table and columns, as in shop.yaml; the table's name is bare."""
        found: Mapping[str, Mapping[str, Any]] = self.defaults["tables"]
        return found

    def configuration(self, database: str | None = None, prefix: str | None = None) -> dict[str, Any]:
        """Keys of a shop.yaml, for a shop that keeps its tables there."""
        made = dict(self.defaults)
        made["tables"] = {
            role: {**table, "name": self.table(table["name"], database, prefix)} for role, table in self.roles.items()
        }
        if "mirror" in made:
            made["mirror"] = [
                {**table, "name": self.table(table["name"], database, prefix)} for table in made["mirror"]
            ]
        return made

    def table(self, name: str, database: str | None = None, prefix: str | None = None) -> str:
        """database.table of one of the system's tables."""
        return f"{database or self.database}.{self.prefix if prefix is None else prefix}{name}"

    def filled(self, text: str, database: str | None = None, prefix: str | None = None) -> str:
        """A text of `required` or `settings`, its tables quoted as SQL wants them."""
        return _TABLE.sub(lambda match: quoted_table(self.table(match[1], database, prefix)), text)


def presets() -> list[str]:
    """The names of all presets."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


@functools.cache
def read_preset(name: str) -> ShopSystem:
    """One of `presets()`."""
    data = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    shop = data.pop("shop")
    settings = {key: tuple(queries) for key, queries in shop.get("settings", {}).items()}
    return ShopSystem(name, shop["title"], shop["database"], shop["prefix"], data, shop.get("required", {}), settings)
