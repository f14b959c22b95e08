"""The settings that a warehouse was derived with, and how those of shop.yaml differ."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from schemas.config import RoleTable, ShopConfig


@dataclass(frozen=True)
class Derivation:
    """What `ShopConfig.settings` kept of a configuration, as far as rows of raw tables depend on it."""

    settings: dict[str, Any]
    time_zone: str
    tables: dict[str, RoleTable]

    @classmethod
    def parse(cls, text: str) -> Derivation:
        """Of the JSON that the warehouse keeps."""
        settings = json.loads(text)
        tables = {role: RoleTable.model_validate(table) for role, table in settings["tables"].items()}
        return cls(settings, settings["time_zone"], tables)

    @classmethod
    def of(cls, config: ShopConfig) -> Derivation:
        return cls.parse(json.dumps(config.settings()))


def differences(old: Derivation, new: Derivation) -> list[str]:
    """A line for each setting that is another now, with both values."""
    lines = []
    for name in sorted({*old.settings, *new.settings} - {"tables"}):
        before, after = old.settings.get(name), new.settings.get(name)
        if before != after:
            lines.append(f"{name}: {_shown(before)} → {_shown(after)}")
    before, after = old.settings["tables"], new.settings["tables"]
    for role in sorted({*before, *after}):
        for key in sorted({*before.get(role, {}), *after.get(role, {})}):
            was, is_ = before.get(role, {}).get(key), after.get(role, {}).get(key)
            if was != is_:
                lines.append(f"tables.{role}.{key}: {_shown(was)} → {_shown(is_)}")
    return lines


def _shown(value: object) -> str:
    return json.dumps(_without_nothing(value), ensure_ascii=False)


def _without_nothing(value: object) -> object:
    """Without the keys that say nothing: null and empty lists."""
    if not isinstance(value, dict):
        return value
    kept = {key: _without_nothing(item) for key, item in value.items() if item is not None and item != []}
    return kept["column"] if list(kept) == ["column"] else kept
