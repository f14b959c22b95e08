"""Whether a server is the one that a checkpoint speaks of. Pure: plain values in, an error of the tree out.

Log file numbers and positions of two servers do not compare, nor do those before and after a RESET or a restored
backup. The epoch, first section of every sequence number, keeps them apart; an operator raises it with `--epoch`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from binlog_worker.position.failover import Standing, missing, way_on
from schemas.checkpoint import Checkpoint, Place
from schemas.errors import PurgedBinlog, SourceChanged, UsageError
from schemas.sequence import LIMITS
from schemas.server_logs import ServerLogs, differences, is_purged


def check_identity(
    checkpoint: Checkpoint,
    found: ServerLogs,
    tables: Sequence[str],
    standing: Callable[[], Standing | None] = lambda: None,
) -> None:
    """Raises SourceChanged where the checkpoint's place means nothing on this server, PurgedBinlog where it is gone.

    `tables` are those that must be loaded again, named in the hint. `standing` says what another server has of the
    transactions that were delivered, where that can be known.
    """
    stored, place = checkpoint.identity, checkpoint.place
    reasons = differences(stored, place, found)
    if reasons:
        known = standing() if stored.server != found.server else None  # a server that was reset gives its GTIDs anew
        raise changed(reasons, checkpoint, found.current, tables, known)
    if is_purged(place, found):
        raise PurgedBinlog(
            f"the server no longer has {place.file}; its oldest log is {found.oldest}: what was logged from {place} to"
            f" the start of {found.oldest} is lost to the stream",
            position=str(place),
            hint="run `ltv-pipeline batch`, which reads all configured tables again and moves the checkpoint past what"
            f" is lost, then `binlog-worker run` again (without a warehouse to load: `--epoch {checkpoint.epoch + 1}"
            " --from earliest`, and rows changed meanwhile stay as they were until they change again). Keep logs longer"
            " than any outage (binlog_expire_logs_seconds)",
        )


def changed(
    reasons: Sequence[str],
    checkpoint: Checkpoint,
    current: Place,
    tables: Sequence[str],
    standing: Standing | None = None,
) -> SourceChanged:
    if standing is not None:
        return SourceChanged(
            f"this is not the source that the checkpoint speaks of: {'; '.join([*reasons, *missing(standing)])}",
            position=str(checkpoint.place),
            hint=way_on(standing, checkpoint.epoch + 1, tables),
        )
    return SourceChanged(
        f"this is not the source that the checkpoint speaks of: {'; '.join(reasons)}",
        position=str(checkpoint.place),
        hint=f"if that is meant, start with `--epoch {checkpoint.epoch + 1} --from {current}` (or an earlier place that"
        f" holds what was not delivered); rows that the stream missed stay as they were: {', '.join(tables)}",
    )


class Beginning(NamedTuple):
    """The decision where and under which epoch to begin; `checkpoint` is None where it plays no part."""

    epoch: int
    checkpoint: Checkpoint | None


def decide_epoch(checkpoint: Checkpoint | None, epoch: int | None, begin: str | None) -> Beginning:
    """`epoch` and `begin` are the options --epoch and --from. Raises UsageError.

    A checkpoint wins over --from; only a higher --epoch makes a new beginning, and giving the same one again (the
    command line of a supervisor stays) goes on from the checkpoint.
    """
    if epoch is not None and not 1 <= epoch <= LIMITS[0]:
        raise UsageError(f"--epoch {epoch}: must be from 1 to {LIMITS[0]}")
    if checkpoint is None:
        return Beginning(epoch or 1, None)
    if epoch is None or epoch == checkpoint.epoch:
        return Beginning(checkpoint.epoch, checkpoint)
    if epoch < checkpoint.epoch:
        raise UsageError(
            f"--epoch {epoch} is below the checkpoint's {checkpoint.epoch}",
            hint=f"everything new would look old: give at least {checkpoint.epoch + 1}",
        )
    if begin is None:
        raise UsageError(
            f"--epoch {epoch} begins anew, so it needs a place",
            hint="add --from GTID-SET, --from FILE:POSITION, --from earliest or --from now",
        )
    return Beginning(epoch, None)
