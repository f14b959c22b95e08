from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed, ServiceUnavailable

from binlog_worker.checkpointer import Checkpointer
from binlog_worker.sinks.files import FilesSink, segments
from binlog_worker.sinks.sink import Mark
from binlog_worker.stopping import Stopping
from binlog_worker.xa.prepared import MOST_PREPARED
from binlog_worker.xa.xa_log import LONGEST_TABLES
from schemas.checkpoint import Checkpoint, FilesMark, Identity, Place, PreparedXa, parse_checkpoint
from schemas.checkpoint_store import CheckpointFile, CheckpointObject, open_checkpoint
from schemas.errors import CheckpointError, Terminal, Transient
from schemas.event import Message

FULL = Checkpoint(
    Identity("f916e27d-e701-11f1-8e0d-02fc00000001", "mysql-bin", 1_700_000_000),
    3,
    Place("mysql-bin.000012", 2**33, 2**33 + 700, 41),
    "uuid:7",
    "uuid:1-7",
    "run",
    12,
    "2026-01-01T00:00:00.000000Z",
    FilesMark("/out", "changes-00000002.jsonl", 77),
)


SIMPLE = Checkpoint(Identity("1", "b"), 1, Place("b.1", 4))
PREPARED = dataclasses.replace(
    FULL,
    prepared=(
        PreparedXa("X'61',X'',1", "mysql-bin.000003", 2**33, 1_700_000_000, ("shop.orders", "shop.items")),
        PreparedXa("X'00ff',X'62',4294967295", "mysql-bin.000012", 4, 0, None),
    ),
)


@pytest.mark.parametrize(
    "checkpoint",
    [FULL, PREPARED, dataclasses.replace(FULL, files=None), Checkpoint(Identity("1", "b"), 1, Place("b.1", 4))],
)
def test_file_round_trip(checkpoint: Checkpoint, tmp_path: Path) -> None:
    store = open_checkpoint(str(tmp_path / "checkpoint.json"))
    assert store.read() is None
    store.write(FULL)
    store.write(checkpoint)
    assert open_checkpoint(str(tmp_path / "checkpoint.json")).read() == checkpoint
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.json"]


def document(**changes: Any) -> bytes:
    return json.dumps({**json.loads(FULL.dump()), **changes}).encode()


def with_prepared(**changes: Any) -> bytes:
    whole = json.loads(PREPARED.dump())
    whole["prepared"][0] |= changes
    return json.dumps(whole).encode()


def test_prepared_transactions_are_not_for_programs_that_would_forget_them() -> None:
    """Where there are none, an older program may go on."""
    assert [json.loads(one.dump())["version"] for one in (FULL, PREPARED)] == [1, 2]
    assert parse_checkpoint(document(version=2, prepared=[]), "here") == FULL
    assert parse_checkpoint(document(prepared=[{"what": "no program writes"}]), "here") == FULL


def test_a_checkpoint_of_the_most_and_longest_prepared_transactions_can_be_read(tmp_path: Path) -> None:
    longest = PreparedXa(
        f"X'{'61' * 64}',X'{'62' * 64}',4294967295", "mysql-bin.0000012", 2**40, 2**32, ("d" * LONGEST_TABLES,)
    )
    store = CheckpointFile(tmp_path / "c.json")
    store.write(dataclasses.replace(FULL, prepared=(longest,) * MOST_PREPARED, gtid_set="u" * 300_000))
    found = store.read()
    assert found is not None and len(found.prepared) == MOST_PREPARED


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not JSON"),
        (FULL.dump()[:-20], "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "version None"),
        (document(version=3), "version 3"),
        (document(version=True), "version True"),
        (document(version="1"), "version '1'"),
        (document(version=2), "prepared is 'missing'"),
        (document(version=2, prepared={}), "prepared is {}"),
        (document(version=2, prepared=[1]), "prepared is \\[1\\]"),
        (document(version=2, prepared=[{}]), "file is 'missing'"),
        (with_prepared(xid=7), "xid is 7"),
        (with_prepared(file="nonsense"), "nonsense"),
        (with_prepared(position=3), "position is 3"),
        (with_prepared(since=-1), "since is -1"),
        (with_prepared(tables="shop.orders"), "tables is 'shop.orders'"),
        (with_prepared(tables=[1]), "tables is \\[1\\]"),
        (document(epoch=0), "epoch is 0"),
        (document(epoch=70_000), "epoch"),
        (document(position=True), "position is True"),
        (document(position=3), "position"),
        (document(position="4"), "position"),
        (document(row=-2), "row"),
        (document(file="nonsense"), "nonsense"),
        (document(file=None), "file"),
        (document(identity=[]), "identity"),
        (document(identity={"server": 1}), "server"),
        (document(files={"folder": "x"}), "name"),
        (document(gtid_set=None), "gtid_set"),
    ],
)
def test_corrupt_or_foreign(data: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=text) as caught:
        CheckpointFile(path).read()
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_a_huge_or_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(b" " * 4_000_001)
    with pytest.raises(CheckpointError, match="larger"):
        CheckpointFile(tmp_path / "c.json").read()
    with pytest.raises(CheckpointError) as caught:
        CheckpointFile(tmp_path / "nowhere" / "c.json").write(FULL)
    assert caught.value.hint
    with pytest.raises(CheckpointError):
        CheckpointFile(tmp_path).read()


def test_a_failed_write_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointFile(tmp_path / "c.json")
    store.write(FULL)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        store.write(dataclasses.replace(FULL, epoch=4))
    assert store.read() == FULL
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_one_worker_at_a_time(tmp_path: Path) -> None:
    with CheckpointFile(tmp_path / "c.json") as first:
        first.lock()
        with pytest.raises(CheckpointError, match="another worker"):
            CheckpointFile(tmp_path / "c.json").lock()
        CheckpointFile(tmp_path / "d.json").lock()
    again = CheckpointFile(tmp_path / "c.json")
    again.lock()
    again.close()


def test_the_first_one_replaces_no_other(tmp_path: Path) -> None:
    store = CheckpointFile(tmp_path / "c.json")
    assert store.create(SIMPLE)
    assert not store.create(FULL)
    assert store.read() == SIMPLE
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    with pytest.raises(CheckpointError) as caught:
        CheckpointFile(tmp_path / "no" / "folder" / "c.json").create(FULL)
    assert caught.value.hint


class Bucket:
    """Cloud Storage's generations, in memory: `client.bucket(…).blob(…)` all lead to one object."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.now = 0
        self.error: Exception | None = None

    def bucket(self, name: str) -> Bucket:
        return self

    def blob(self, name: str) -> Blob:
        return Blob(self)


class Blob:
    def __init__(self, bucket: Bucket) -> None:
        self._bucket, self.generation = bucket, 0

    def download_as_bytes(self) -> bytes:
        if self._bucket.data is None:
            raise NotFound("no such object")
        self.generation = self._bucket.now
        return self._bucket.data

    def upload_from_string(self, data: bytes, content_type: str, if_generation_match: int) -> None:
        if self._bucket.error:
            raise self._bucket.error
        if if_generation_match != self._bucket.now:
            raise PreconditionFailed("generation")
        self._bucket.now += 1
        self._bucket.data, self.generation = data, self._bucket.now


def test_object_round_trip_and_second_writer() -> None:
    bucket = Bucket()
    store = CheckpointObject("gs://bucket/a/checkpoint.json", bucket)
    assert store.read() is None
    store.write(FULL)
    store.write(dataclasses.replace(FULL, number=13))
    other = CheckpointObject("gs://bucket/a/checkpoint.json", bucket)
    assert other.read() == dataclasses.replace(FULL, number=13)
    other.write(FULL)
    with pytest.raises(CheckpointError, match="another worker"):
        store.write(FULL)
    fresh = CheckpointObject("gs://bucket/a/checkpoint.json", bucket)
    with pytest.raises(CheckpointError, match="another worker"):
        fresh.write(FULL)


def test_the_first_object_replaces_no_other() -> None:
    bucket = Bucket()
    store, other = (CheckpointObject("gs://bucket/a/checkpoint.json", bucket) for _ in range(2))
    assert store.create(SIMPLE)
    assert not other.create(FULL)
    assert other.read() == SIMPLE


@pytest.mark.parametrize(
    ("error", "kind"), [(ServiceUnavailable("busy"), Transient), (Forbidden("no"), CheckpointError)]
)
def test_object_errors(error: Exception, kind: type[Exception]) -> None:
    bucket = Bucket()
    bucket.error = error
    store = CheckpointObject("gs://bucket/object", bucket)
    with pytest.raises(kind):
        store.write(FULL)


def test_object_needs_a_name() -> None:
    with pytest.raises(CheckpointError):
        CheckpointObject("gs://bucket", Bucket())


def test_places_are_ordered_by_number_not_by_text() -> None:
    places = [
        Place("b.000999", 900),
        Place("b.999999", 4),
        Place("b.1000000", 4),
        Place("b.1000000", 4, 30, 0),
        Place("b.1000000", 4, 30, 2),
        Place("b.1000000", 5),
    ]
    mixed = [places[index] for index in (3, 1, 5, 0, 4, 2)]
    assert sorted(mixed, key=lambda place: place.order) == places


def message(text: str) -> Message:
    return Message(text.encode(), {})


def mark(position: int) -> Mark:
    return Mark(Place("b.000001", position), 1, "", "", position, 0)


def test_files_are_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    sink = FilesSink(tmp_path, None, Stopping(), segment_bytes=20)
    for number in range(4):
        sink.put(message(f"line {number}"))
    sink.mark(mark(10))
    sink.put(message("too much"))
    confirmed = sink.confirmed()
    for number in range(5):
        sink.put(message(f"more {number}"))
    sink.close()
    assert confirmed is not None and confirmed.files is not None
    assert len(segments(tmp_path)) > 2
    again = FilesSink(tmp_path, confirmed.files, Stopping(), segment_bytes=20)
    again.put(message("line 4"))
    again.close()
    text = "".join((tmp_path / name).read_text() for name in segments(tmp_path))
    assert text == "".join(f"line {number}\n" for number in range(5))
    assert segments(tmp_path)[:2] == ["changes-00000001.jsonl", "changes-00000002.jsonl"]


def test_files_that_do_not_fit_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "changes-00000001.jsonl").write_text("x\n")
    with pytest.raises(Terminal, match="not the checkpoint's"):
        FilesSink(tmp_path, None, Stopping())
    for kept in (
        FilesMark(str(tmp_path), "changes-00000001.jsonl", 3),
        FilesMark(str(tmp_path), "changes-00000002.jsonl", 0),
        FilesMark(str(tmp_path), "../changes.jsonl", 0),
    ):
        with pytest.raises(CheckpointError):
            FilesSink(tmp_path, kept, Stopping())
    assert (tmp_path / "changes-00000001.jsonl").read_text() == "x\n"


def test_files_nobody_may_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Terminal) as caught:
        FilesSink(tmp_path / "file" / "out", None, Stopping())
    assert caught.value.hint


def test_checkpointer_writes_only_news(tmp_path: Path) -> None:
    sink = FilesSink(tmp_path / "out", None, Stopping())
    store = CheckpointFile(tmp_path / "c.json")
    checkpointer = Checkpointer(store, sink, Identity("1", "b"), 2, "run", Stopping())
    assert checkpointer.write() is None
    sink.put(message("a"))
    assert checkpointer.write() is None, "no mark yet"
    sink.mark(mark(10)._replace(prepared=PREPARED.prepared))
    sink.put(message("b"))
    written = checkpointer.write()
    assert written is not None
    assert written == store.read()
    assert written.prepared == PREPARED.prepared
    assert (written.epoch, written.place, written.number) == (2, Place("b.000001", 10), 10)
    assert written.files == FilesMark(str(tmp_path / "out"), "changes-00000001.jsonl", 2)
    assert checkpointer.write() is None
    sink.close()


def test_checkpointer_ends_the_run_when_it_cannot_write(tmp_path: Path) -> None:
    sink = FilesSink(tmp_path / "out", None, Stopping())
    stopping = Stopping()
    store = CheckpointFile(tmp_path / "nowhere" / "c.json")
    checkpointer = Checkpointer(store, sink, Identity("1", "b"), 2, "run", stopping, every_s=0.001)
    sink.mark(mark(10))
    checkpointer.start()
    assert stopping.event.wait(5)
    assert isinstance(stopping.error, CheckpointError)
    sink.close()


def test_parse_is_the_inverse_of_dump() -> None:
    assert parse_checkpoint(FULL.dump(), "here") == FULL


def test_a_run_that_has_confirmed_nothing_yet_keeps_the_last_message_of_the_run_before(tmp_path: Path) -> None:
    sink = FilesSink(tmp_path / "out", None, Stopping())
    store = CheckpointFile(tmp_path / "c.json")
    before = Checkpoint(Identity("1", "b"), 2, Place("b.000001", 4), run="old", number=7)
    checkpointer = Checkpointer(store, sink, Identity("1", "b"), 2, "new", Stopping(), after=before)
    sink.mark(mark(0)._replace(place=Place("b.000001", 4)))
    first = checkpointer.write()
    assert first is not None
    assert (first.run, first.number) == ("old", 7)
    sink.put(message("a"))
    sink.mark(mark(10))
    second = checkpointer.write()
    assert second is not None
    assert (second.run, second.number) == ("new", 10)
    sink.close()
