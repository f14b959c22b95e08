"""A folder with a shop.yaml, and a connection to the database that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class ShopFolder:
    """`settings` are what shop.yaml says, as plain values. The connection is in autocommit mode."""

    folder: Path
    connection: Any
    settings: dict[str, Any]

    def write(self, **settings: Any) -> None:
        self.settings |= settings
        text = yaml.safe_dump(self.settings, sort_keys=False, allow_unicode=True)
        (self.folder / "shop.yaml").write_text(text, encoding="utf-8")

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """The rows of the last one."""
        found: list[tuple[Any, ...]] = []
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                found = list(cursor.fetchall())
        return found
