"""The settings that the ltv entries of a warehouse were derived with: others are refused."""

from __future__ import annotations

import json

from schemas.config import ShopConfig
from schemas.errors import SettingsChanged


def check_derivation(known: str | None, config: ShopConfig) -> str | None:
    """`known` is what the warehouse has kept. Returns what it is to keep where it has nothing yet, else None.

    Raises SettingsChanged where they were others.
    """
    settings = json.loads(json.dumps(config.settings()))
    if known is None:
        return json.dumps(settings, sort_keys=True)
    differing = [key for key in settings if json.loads(known).get(key) != settings[key]]
    if differing:
        raise SettingsChanged(
            f"the warehouse was derived with other settings: {', '.join(differing)} in shop.yaml changed since",
            hint="`ltv-pipeline rederive` derives it anew from its raw tables, and names those that `ltv-pipeline"
            " batch` has to read again; or put the settings back",
        )
    return None
