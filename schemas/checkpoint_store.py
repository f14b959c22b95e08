"""Where a checkpoint is kept: a local file, or a Cloud Storage object."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from schemas.checkpoint import NEW_START, Checkpoint, parse_checkpoint
from schemas.cloud_storage import storage_client
from schemas.errors import CheckpointError, CheckpointUnavailable

if TYPE_CHECKING:
    from typing_extensions import Self

LIMIT_BYTES = 4_000_000
"""GTID sets of old servers are long, but not that long."""


class CheckpointStore(ABC):
    """Where a checkpoint is kept; one worker holds it at a time. Use as a context manager."""

    where: str

    @abstractmethod
    def read(self) -> Checkpoint | None:
        """None where there is none yet. Raises CheckpointError."""

    @abstractmethod
    def write(self, checkpoint: Checkpoint) -> None:
        """Durable and whole, or not at all. Raises CheckpointError, or Transient where trying again may help."""

    @abstractmethod
    def create(self, checkpoint: Checkpoint) -> bool:
        """The first one, never over another: False where there is one. Raises as `write`."""

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
        self._put(checkpoint, f".{self.path.name}.new", lambda beside: beside.replace(self.path))

    def create(self, checkpoint: Checkpoint) -> bool:
        made = True

        def link(beside: Path) -> None:
            nonlocal made
            try:
                self.path.hardlink_to(beside)
            except FileExistsError:
                made = False
            beside.unlink()

        self._put(checkpoint, f".{self.path.name}.{os.getpid()}", link)
        return made

    def _put(self, checkpoint: Checkpoint, name: str, into_place: Callable[[Path], object]) -> None:
        beside = self.path.with_name(name)
        try:
            with beside.open("wb") as file:
                file.write(checkpoint.dump())
                file.flush()
                os.fsync(file.fileno())
            into_place(beside)
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
        self._blob = (client or storage_client()).bucket(bucket).blob(name)
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

    def create(self, checkpoint: Checkpoint) -> bool:
        if self.read() is not None:
            return False
        self.write(checkpoint)  # which fails where one was written meanwhile
        return True

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
            return CheckpointUnavailable(what, hint="check the network")
        return error


def open_checkpoint(where: str) -> CheckpointStore:
    """The store that `checkpoint` of shop.yaml names: a path, or gs://bucket/object."""
    return CheckpointObject(where) if where.startswith("gs://") else CheckpointFile(where)
