"""The checkpoint: the stored place in the binlog below which everything is confirmed.

A small versioned JSON document; `schemas.checkpoint_store` keeps it. The worker writes it as it goes; a batch load
writes the first one, at the position before its first chunk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.errors import CheckpointError
from schemas.sequence import LIMITS, binlog_number

VERSION, VERSION_WITH_PREPARED = 1, 2
"""A program that knows only version 1 would forget prepared transactions, so it must not read one that names any."""

NEW_START = (
    "move it away to start again at the earliest log, or name a place with `--from`; sending changes twice is harmless"
)


class Place(NamedTuple):
    """How far a log has been dealt with.

    A dump may begin at (`file`, `position`): the start of a transaction. Of that transaction the changes up to and
    including row number `row` of the event at `event` are done; row -1 means none. Trap: positions inside a
    transaction are no place to begin, rows there come without their TABLE_MAP.
    """

    file: str
    position: int
    event: int = 0
    row: int = -1

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Orders places of one server. Raises ValueError where `file` is no binlog name."""
        return (binlog_number(self.file)[1], self.position, self.event, self.row)

    def __str__(self) -> str:
        return f"{self.file}:{self.position}"


@dataclass(frozen=True)
class Identity:
    """Whose positions these are: server_uuid (MariaDB: server_id), base name of its logs, and the creation time of
    the place's file in seconds since 1970 (0 where it is not known)."""

    server: str
    base: str
    created: int = 0

    def text(self, epoch: int) -> str:
        """As it stands in the attribute `source`."""
        return f"{self.server}:{epoch}"


class FilesMark(NamedTuple):
    """How much of the files of change events belongs to the checkpoint: the newest file's name and length in bytes."""

    folder: str
    name: str
    length: int


class PreparedXa(NamedTuple):
    """An XA transaction of which the log does not say yet whether it was committed: its rows stand at (`file`,
    `position`), where it was prepared at `since` (seconds since 1970).

    `tables` are all that it changed, also those not configured; None: too many to name. `xid` is as in the server's own
    statements, such as `X'61',X'',1`.
    """

    xid: str
    file: str
    position: int
    since: int
    tables: tuple[str, ...] | None


@dataclass(frozen=True)
class Checkpoint:
    """`gtid` is the last transaction below the place, `gtid_set` all of them where the log has said so; `prepared` are
    those that were prepared below it and end above it."""

    identity: Identity
    epoch: int
    place: Place
    gtid: str = ""
    gtid_set: str = ""
    run: str = ""
    number: int = 0  # of the last message that is confirmed
    written_at: str = ""  # ISO, UTC
    files: FilesMark | None = None
    prepared: tuple[PreparedXa, ...] = ()
    passing: str = ""  # which transactions above the place are passed over, where the start was a GTID set

    def dump(self) -> bytes:
        document = {
            "version": VERSION_WITH_PREPARED if self.prepared else VERSION,
            "epoch": self.epoch,
            "identity": {
                "server": self.identity.server,
                "base": self.identity.base,
                "created": self.identity.created,
            },
            **self.place._asdict(),
            "gtid": self.gtid,
            "gtid_set": self.gtid_set,
            "run": self.run,
            "number": self.number,
            "written_at": self.written_at,
            "files": self.files._asdict() if self.files else None,
        }
        if self.prepared:
            document["prepared"] = [one._asdict() for one in self.prepared]
        if self.passing:
            document["passing"] = self.passing
        return json.dumps(document, indent=1).encode() + b"\n"


def parse_checkpoint(data: bytes, where: str) -> Checkpoint:
    """The inverse of `Checkpoint.dump`. Raises CheckpointError naming what is wrong."""
    try:
        document = json.loads(data)
    except ValueError as error:
        raise CheckpointError(f"checkpoint {where} is not JSON: {error}", hint=NEW_START) from error
    if not isinstance(document, dict):
        raise CheckpointError(f"checkpoint {where} is not a JSON object", hint=NEW_START)
    version = document.get("version")
    if version not in (VERSION, VERSION_WITH_PREPARED) or isinstance(version, bool):
        raise CheckpointError(
            f"checkpoint {where} has version {version!r}, this program reads versions {VERSION} and"
            f" {VERSION_WITH_PREPARED}",
            hint="use the program that wrote it, or a newer one",
        )
    fields = _Fields(document, where)
    identity = _Fields(fields.mapping("identity"), where)
    files = document.get("files")
    mark = None
    if files is not None:
        inner = _Fields(fields.mapping("files"), where)
        mark = FilesMark(inner.text("folder"), inner.text("name"), inner.number("length", 0, 2**63))
    place = Place(
        fields.text("file"),
        fields.number("position", 4, LIMITS[2]),
        fields.number("event", 0, LIMITS[2]),
        fields.number("row", -1, LIMITS[3]),
    )
    try:
        binlog_number(place.file)
    except ValueError as error:
        raise CheckpointError(f"checkpoint {where}: {error}", hint=NEW_START) from error
    return Checkpoint(
        Identity(identity.text("server"), identity.text("base"), identity.number("created", 0, 2**33)),
        fields.number("epoch", 1, LIMITS[0]),
        place,
        fields.text("gtid"),
        fields.text("gtid_set"),
        fields.text("run"),
        fields.number("number", 0, 2**63),
        fields.text("written_at"),
        mark,
        tuple(_prepared(one, where) for one in fields.items("prepared")) if version == VERSION_WITH_PREPARED else (),
        fields.text("passing") if "passing" in document else "",
    )


def _prepared(fields: _Fields, where: str) -> PreparedXa:
    file = fields.text("file")
    try:
        binlog_number(file)
    except ValueError as error:
        raise CheckpointError(f"checkpoint {where}: {error}", hint=NEW_START) from error
    tables = fields.document.get("tables")
    return PreparedXa(
        fields.text("xid"),
        file,
        fields.number("position", 4, LIMITS[2]),
        fields.number("since", 0, 2**33),
        None if tables is None else tuple(fields.texts("tables")),
    )


class _Fields:
    """Checked access to a parsed JSON object."""

    def __init__(self, document: dict[str, Any], where: str) -> None:
        self.document, self.where = document, where

    def _bad(self, name: str) -> CheckpointError:
        value = self.document.get(name, "missing")
        return CheckpointError(f"checkpoint {self.where}: {name} is {value!r:.60}", hint=NEW_START)

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.document.get(name)
        if not isinstance(value, dict):
            raise self._bad(name)
        return value

    def items(self, name: str) -> list[_Fields]:
        value = self.document.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._bad(name)
        return [_Fields(item, self.where) for item in value]

    def texts(self, name: str) -> list[str]:
        value = self.document.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._bad(name)
        return value

    def text(self, name: str) -> str:
        value = self.document.get(name)
        if not isinstance(value, str):
            raise self._bad(name)
        return value

    def number(self, name: str, low: int, high: int) -> int:
        value = self.document.get(name)
        if type(value) is not int or not low <= value <= high:
            raise self._bad(name)
        return value
