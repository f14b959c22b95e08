"""`ltv-pipeline dead-letters`: what could not be applied and why; `--retry` puts it through the graph again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apache_beam as beam

from pipeline.changes import DeadRow
from pipeline.graph import build
from pipeline.process_warehouse import share
from pipeline.runner import run_graph
from pipeline.warehouse import Warehouse
from pipeline.worker_letters import is_final, overtaken
from schemas.config import ShopConfig
from schemas.event import Message

GROUP = 1_000


def as_message(letter: DeadRow) -> Message:
    """A dead letter as the message that it was a line of: its schema line, then its own."""
    data = letter.data if not letter.schema or letter.line == 0 else letter.schema + b"\n" + letter.data
    kept = {name: value for name, value in letter.attributes.items() if name not in ("run", "number")}
    return Message(data, kept, f"{letter.message_id}/{letter.line}")


class Retried(NamedTuple):
    """How many were applied, died again, were overtaken by a later version of their row, or cannot be tried."""

    applied: int = 0
    again: int = 0
    overtaken: int = 0
    final: int = 0


def retry(config: ShopConfig, warehouse: Warehouse, letters: Sequence[DeadRow]) -> Retried:
    """Puts dead letters through the graph.

    Those that are applied or overtaken leave the list, the others stay as they are. Changes of older epochs are let
    through, by their sequence number. Raises Terminal errors; then every letter is still there.
    """
    share(config, warehouse)
    final = [letter for letter in letters if is_final(letter)]
    past = [letter for letter in final if overtaken(letter, config, warehouse)]
    done = Retried(overtaken=len(past), final=len(final) - len(past))
    letters = [letter for letter in letters if not is_final(letter)]
    if not letters:
        warehouse.forget_dead_letters(past)
        return done
    messages = [as_message(letter) for letter in letters]
    tried = {message.message_id: letter for message, letter in zip(messages, letters, strict=True)}
    groups = [messages[start : start + GROUP] for start in range(0, len(messages), GROUP)]
    run_graph(lambda pipeline: build(pipeline, beam.Create(groups, reshuffle=False), config, retry=True), ())
    again = [letter for letter in warehouse.dead_letters() if letter.message_id in tried]
    died = {letter.message_id for letter in again}
    applied = [letter for message_id, letter in tried.items() if message_id not in died]
    warehouse.forget_dead_letters([*applied, *again, *past])
    return done._replace(applied=len(applied), again=len(died))
