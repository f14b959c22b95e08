"""Where in the order of all changes a batch stands: its epoch, its place in the log, and the worker's checkpoint.

Rows read by a batch carry the sequence number of a place of the log that the worker tails, so both must speak of the
same server and epoch. Pure, but for `begin` and `move_on`, which write checkpoints.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from schemas.checkpoint import Checkpoint, Identity, Place
from schemas.checkpoint_store import CheckpointStore, open_checkpoint
from schemas.errors import CheckpointError, SourceChanged
from schemas.sequence import binlog_number, format_sequence, parse_sequence
from schemas.server_logs import ServerLogs, differences, is_purged


@dataclass(frozen=True)
class LogOrder:
    """The order that the rows of a batch join. `logs` are those that the worker tails; `purged`: they have lost what is
    behind the checkpoint, so that only a batch of all tables can put it right."""

    epoch: int
    logs: ServerLogs
    checkpoint: Checkpoint | None
    purged: bool = False

    @property
    def identity(self) -> Identity:
        return self.checkpoint.identity if self.checkpoint else self.logs.identity()

    def sequence(self, file: str, position: int) -> str:
        """Above that of every change below the place, below that of every change behind it."""
        return format_sequence(self.epoch, binlog_number(file)[1], position, 0)

    def place(self, sequence: str) -> Place | None:
        """The place of a sequence number of this order; None where the log no longer has it, or for ""."""
        if not sequence:
            return None
        epoch, number, position, _ = parse_sequence(sequence)
        names = {binlog_number(name)[1]: name for name in self.logs.sizes()}
        return Place(names[number], position) if epoch == self.epoch and number in names else None


def decide_order(
    checkpoint: Checkpoint | None, logs: ServerLogs, highest_epoch: str, *, everything: bool = True
) -> LogOrder:
    """`highest_epoch` is the warehouse's, hexadecimal or "". Raises SourceChanged, CheckpointError.

    A batch of `everything` writes the first checkpoint, in an epoch of its own. One of a part writes none: a worker
    would begin there and miss what the log still has of the rest; so it joins the epoch in which a worker without a
    checkpoint begins.
    """
    highest = int(highest_epoch or "0", 16)
    if checkpoint is None:
        return LogOrder(highest + 1 if everything else max(highest, 1), logs, None)
    place = checkpoint.place
    if reasons := differences(checkpoint.identity, place, logs):
        raise SourceChanged(
            f"this is not the source that the checkpoint speaks of: {'; '.join(reasons)}",
            position=str(place),
            hint="if that is meant, stop the worker and move the checkpoint away: the batch begins a new epoch and"
            " writes a new checkpoint, from which `binlog-worker run` goes on",
        )
    if checkpoint.epoch < highest:
        raise CheckpointError(
            f"the checkpoint's epoch {checkpoint.epoch} is below {highest}, the highest in the warehouse: what is read"
            " now would look older than what is there",
            hint="name the checkpoint of the worker that fed this warehouse, or move this one away: the batch begins a"
            " new epoch and writes a new checkpoint",
        )
    return LogOrder(checkpoint.epoch, logs, checkpoint, is_purged(place, logs))


def begin(store: CheckpointStore, order: LogOrder, place: Place) -> Checkpoint | None:
    """The first checkpoint, at the place before the first chunk; None where there is one already. Raises
    CheckpointError where one has been written meanwhile."""
    if order.checkpoint is not None:
        return None
    first = _checkpoint(order, place)
    if not store.create(first):
        raise CheckpointError(
            f"another program wrote the checkpoint {store.where} meanwhile",
            hint="run the batch again: it begins there",
        )
    return first


def refuse_running_worker(where: str) -> None:
    """Raises CheckpointError where a worker holds the checkpoint."""
    with closing(open_checkpoint(where)) as store:
        store.lock()


def move_on(where: str, order: LogOrder, place: Place) -> bool:
    """Replaces a checkpoint whose place is purged. False where somebody else has replaced it meanwhile. Raises
    CheckpointError where a worker holds it."""
    with closing(open_checkpoint(where)) as store:
        store.lock()
        if store.read() != order.checkpoint:
            return False
        store.write(_checkpoint(order, place))
        return True


def loaded_from(order: LogOrder, done: Mapping[str, str], tables: Sequence[str]) -> Place | None:
    """The place behind which the stream is all that is missing: that of the oldest load of all `tables`. None where one
    is not loaded, or so long ago that the log no longer reaches back to it.

    `done`: table → the sequence number of its last load that was whole.
    """
    places = [order.place(done.get(table, "")) for table in tables]
    known = [place for place in places if place is not None]
    return min(known, key=lambda place: place.order) if known and len(known) == len(places) else None


def _checkpoint(order: LogOrder, place: Place) -> Checkpoint:
    now = dt.datetime.now(dt.timezone.utc)
    identity = order.logs.identity()  # created: 0, as no query tells when a file was created
    return Checkpoint(identity, order.epoch, place, written_at=now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
