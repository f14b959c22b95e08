"""What the source columns are that raw tables were filled from. A raw table itself no longer shows whether an instant
came from a DATETIME, which moves with the shop's zone, or from a TIMESTAMP, which does not.

Kept in the warehouse under `kinds:ROLE` and, of the rows of extracts, `kinds:ROLE:extract`: source column → its kinds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline.changes import TableBatch
from pipeline.entries import ORIGINS
from pipeline.layout import Layout
from schemas.columns import Kind
from schemas.sequence import EXTRACT_EPOCH

Kinds = dict[str, list[str]]
EXTRACT_PREFIX = f"{EXTRACT_EPOCH:04X}/"


def setting_name(role: str, *, extract: bool) -> str:
    return f"kinds:{role}{':extract' if extract else ''}"


def parse_kinds(text: str | None) -> dict[str, set[Kind]]:
    return {source: {Kind(kind) for kind in kinds} for source, kinds in json.loads(text or "{}").items()}


class SourceKinds:
    """The kinds that this process knows to be kept. They only ever get more, and seldom."""

    def __init__(self, recall: Callable[[str], str | None]) -> None:
        self._recall = recall
        self._kept: dict[str, Kinds] = {}
        self._seen: set[tuple[str, Layout]] = set()

    def new(self, batches: Sequence[TableBatch]) -> Iterator[tuple[str, str]]:
        """(name, value) of what is to be kept in the same transaction as the batches."""
        for batch in batches:
            if batch.layout.role not in ORIGINS or not batch.rows.num_rows:
                continue
            extract = batch.rows["_sequence"][0].as_py().startswith(EXTRACT_PREFIX)
            name = setting_name(str(batch.layout.role), extract=extract)
            if (name, batch.layout) in self._seen:
                continue
            if name not in self._kept:
                self._kept[name] = json.loads(self._recall(name) or "{}")
            found = {column.source: column.type.kind.value for column in batch.layout.columns}
            if _add(self._kept[name], found):
                yield name, json.dumps(self._kept[name])
            self._seen.add((name, batch.layout))

    def forget(self) -> None:
        """After a roll-back: nothing of it was kept."""
        self._kept, self._seen = {}, set()


def _add(kept: Kinds, found: Mapping[str, str]) -> bool:
    added = False
    for source, kind in found.items():
        kinds = kept.setdefault(source, [])
        if kind not in kinds:
            kinds.append(kind)
            added = True
    return added
