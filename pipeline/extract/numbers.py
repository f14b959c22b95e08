"""The order of files, kept in the warehouse: an extract that is read again has the same numbers, under any name."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipeline.extract.survey import Survey
from pipeline.warehouse import Warehouse
from schemas.errors import ExtractRefused
from schemas.sequence import LIMITS


def bases(table: str, surveys: Sequence[Survey], warehouse: Warehouse) -> list[int]:
    """Where the numbers of each file's lines begin, in order: those of a file that is new come after all that were.

    Raises ExtractRefused where 4 billion lines are numbered already.
    """
    name = f"extracts:{table}"
    known = json.loads(warehouse.recall(name) or '{"next": 0, "files": {}}')
    files: dict[str, int] = known["files"]
    after = int(known["next"])
    for survey in surveys:
        if survey.fingerprint not in files:
            files[survey.fingerprint] = after
            after += survey.lines
    if after > LIMITS[3]:
        raise ExtractRefused(
            f"{table}: its extracts have more than {LIMITS[3]:,} lines in all",
            hint="load the table with `ltv-pipeline batch`, or begin a new warehouse",
        )
    if after != known["next"]:
        warehouse.remember(name, json.dumps({"next": after, "files": files}))
    return [files[survey.fingerprint] for survey in surveys]
