"""The checkpoint: the stored place in the binlog below which everything is confirmed.

A small versioned JSON document in a file, or in a Cloud Storage object. The worker writes it as it goes; a batch load
writes the first one, at the position before its first chunk.
"""

from __future__ import annotations

import contextlib
import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from schemas.errors import CheckpointError, Transient
from schemas.sequence import LIMITS, binlog_number

if TYPE_CHECKING:
    from typing_extensions import Self

VERSION = 1
LIMIT_BYTES = 4_000_000
"""GTID sets of old servers are long, but not that long."""

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


@dataclass(frozen=True)
class Checkpoint:
    """`gtid` is the last transaction below the place, `gtid_set` all of them where the log has said so."""

    identity: Identity
    epoch: int
    place: Place
    gtid: str = ""
    gtid_set: str = ""
    run: str = ""
    number: int = 0  # of the last message that is confirmed
    written_at: str = ""  # ISO, UTC
    files: FilesMark | None = None

    def dump(self) -> bytes:
        document = {
            "version": VERSION,
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
    if version != VERSION:
        raise CheckpointError(
            f"checkpoint {where} has version {version!r}, this program reads version {VERSION}",
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


class CheckpointStore(ABC):
    """Where a checkpoint is kept; one worker holds it at a time. Use as a context manager."""

    where: str

    @abstractmethod
    def read(self) -> Checkpoint | None:
        """None where there is none yet. Raises CheckpointError."""

    @abstractmethod
    def write(self, checkpoint: Checkpoint) -> None:
        """Durable and whole, or not at all. Raises CheckpointError, or Transient where trying again may help."""

    def lock(self) -> None:
        """Raises CheckpointError where another worker holds it."""
        return

    def close(self) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class CheckpointFile(CheckpointStore):
    """A local file, replaced atomically: written beside it, synced, renamed, the folder synced."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.where = str(path)
        self._lock: IO[bytes] | None = None

    def lock(self) -> None:
        import fcntl

        lock = self.path.with_name(self.path.name + ".lock")
        try:
            held = lock.open("ab")
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held.close()
            raise CheckpointError(
                f"another worker holds the checkpoint {self.where}",
                hint="stop it first, or give this one a checkpoint and a server_id of its own",
            ) from error
        except OSError as error:
            held.close()
            raise self._unusable(error) from error
        self._lock = held

    def read(self) -> Checkpoint | None:
        try:
            with self.path.open("rb") as file:
                data = file.read(LIMIT_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        if len(data) > LIMIT_BYTES:
            raise CheckpointError(f"checkpoint {self.where} is larger than {LIMIT_BYTES:,} bytes", hint=NEW_START)
        return parse_checkpoint(data, self.where)

    def write(self, checkpoint: Checkpoint) -> None:
        beside = self.path.with_name(f".{self.path.name}.new")
        try:
            with beside.open("wb") as file:
                file.write(checkpoint.dump())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise self._unusable(error) from error

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _unusable(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"checkpoint {self.where}: {error.strerror or error}",
            hint="make its folder, and give the worker the right to write there",
        )


class CheckpointObject(CheckpointStore):
    """gs://bucket/object. No lock: every write names the generation that it replaces, so the second of two workers
    fails on its next write (Cloud Storage, «Request preconditions»)."""

    def __init__(self, url: str, client: Any = None) -> None:
        bucket, _, name = url.removeprefix("gs://").partition("/")
        if not bucket or not name:
            raise CheckpointError(f"checkpoint {url}: must be gs://bucket/object")
        self.where = url
        if client is None:
            from google.cloud import storage  # type: ignore[import-untyped]

            client = storage.Client()
        self._blob = client.bucket(bucket).blob(name)
        self._generation = 0

    def read(self) -> Checkpoint | None:
        from google.api_core.exceptions import NotFound

        try:
            data = self._blob.download_as_bytes()
        except NotFound:
            self._generation = 0
            return None
        except Exception as error:
            raise self._failed(error) from error
        self._generation = int(self._blob.generation)
        return parse_checkpoint(data, self.where)

    def write(self, checkpoint: Checkpoint) -> None:
        try:
            self._blob.upload_from_string(
                checkpoint.dump(), content_type="application/json", if_generation_match=self._generation
            )
        except Exception as error:
            raise self._failed(error) from error
        self._generation = int(self._blob.generation)

    def _failed(self, error: Exception) -> Exception:
        from google.api_core import exceptions
        from google.auth.exceptions import DefaultCredentialsError, TransportError

        what = f"checkpoint {self.where}: {error}"
        if isinstance(error, exceptions.PreconditionFailed):
            return CheckpointError(
                f"another worker wrote the checkpoint {self.where}",
                hint="stop one of the two, or give each a checkpoint and a server_id of its own",
            )
        if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized | exceptions.BadRequest):
            return CheckpointError(what, hint="grant roles/storage.objectUser on the bucket")
        if isinstance(error, DefaultCredentialsError):
            return CheckpointError(what, hint="run `gcloud auth application-default login`")
        if isinstance(error, exceptions.NotFound):
            return CheckpointError(what, hint="create the bucket first")
        if isinstance(error, exceptions.GoogleAPICallError | TransportError | OSError):
            return Transient(what, hint="check the network")
        return error


def open_checkpoint(where: str) -> CheckpointStore:
    """The store that `checkpoint` of shop.yaml names: a path, or gs://bucket/object."""
    return CheckpointObject(where) if where.startswith("gs://") else CheckpointFile(where)
