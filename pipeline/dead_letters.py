"""`ltv-pipeline dead-letters`: what could not be applied and why; `--retry` puts it through the graph again."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam

from pipeline.changes import DeadRow
from pipeline.graph import build
from pipeline.process_warehouse import share
from pipeline.runner import run_graph
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig
from schemas.event import Message

GROUP = 1_000


def as_message(letter: DeadRow) -> Message:
    """A dead letter as the message that it was a line of: its schema line, then its own."""
    data = letter.data if not letter.schema or letter.line == 0 else letter.schema + b"\n" + letter.data
    kept = {name: value for name, value in letter.attributes.items() if name not in ("run", "number")}
    return Message(data, kept, f"{letter.message_id}/{letter.line}")


def retry(config: ShopConfig, warehouse: Warehouse, letters: Sequence[DeadRow]) -> tuple[int, int]:
    """Puts dead letters through the graph; (applied, dead again).

    Those that are applied leave the list, the others stay as they are. Changes of older epochs are let through, by
    their sequence number. Raises Terminal errors; then every letter is still there.
    """
    share(config, warehouse)
    messages = [as_message(letter) for letter in letters]
    tried = {message.message_id: letter for message, letter in zip(messages, letters, strict=True)}
    groups = [messages[start : start + GROUP] for start in range(0, len(messages), GROUP)]
    run_graph(lambda pipeline: build(pipeline, beam.Create(groups, reshuffle=False), config, retry=True), ())
    again = [letter for letter in warehouse.dead_letters() if letter.message_id in tried]
    died = {letter.message_id for letter in again}
    applied = [letter for message_id, letter in tried.items() if message_id not in died]
    warehouse.forget_dead_letters([*applied, *again])
    return len(applied), len(died)
