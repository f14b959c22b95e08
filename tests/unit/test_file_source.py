"""Files of change events → messages: wherever a file is cut into parts, its lines are the same, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import file_source
from pipeline.changes import Changes
from pipeline.file_source import find_files, messages_of, parts, schema_lines
from schemas.errors import UsageError
from schemas.event import Message, heartbeat_line, reload_line
from tests.builders import CHARGES, LETTER, ORDERS, charge, decode, event, order, schema, sequence, shop

HEARTBEAT = heartbeat_line("s", "2022", {}, 1)
PLAIN = (
    b'{"schema":{"type":"struct","fields":[]},"payload":{"op":"c","before":null,"after":{"id":9,"order_date":"2022-01-13",'
    b'"status":"completed","customer_id":1,"amount":"5.00"},"source":{"db":"shop","table":"orders","file":"b.000001",'
    b'"pos":900,"ts_ms":5},"ts_ms":1}}'
)
WITH_PAYLOAD = schema("shop.hooks", {"id": "int", "payload": "text"})
CONFIG = shop(mirror=["shop.hooks"])
LINES = [
    ORDERS.line(),
    event("c", order(1), 1),
    event("c", order(2), 2),
    HEARTBEAT,
    event("u", order(1, status="shipped"), 3),
    CHARGES.line(),
    event("c", charge(1), 4),
    ORDERS.line(),
    WITH_PAYLOAD.line(),
    event("c", {"id": 1, "payload": '{"schema":{'}, 5),
    event("c", {"id": 2, "payload": "x"}, 6),
    CHARGES.line(),
    HEARTBEAT,
    event("c", charge(2), 7),
]


def read(path: Path) -> list[Message]:
    cut = parts(str(path))
    heads = schema_lines(str(path), [start for _, start, _ in cut])
    return [item for part, head in zip(cut, heads, strict=True) for item in messages_of(*part, head)]


def contents(changes: Changes) -> list[str]:
    assert not changes.dead, changes.dead
    found = [
        (batch.layout.table, row["_sequence"], row["id"]) for batch in changes.batches for row in batch.rows.to_pylist()
    ]
    return sorted(map(str, found))


@pytest.mark.parametrize("end", [b"\n", b"", b"\r\n", b"\n\n"])
@pytest.mark.parametrize("size", [1, 2, 50, 199, 200, 333, 1000, 10**6])
def test_parts_cut_anywhere_give_the_same_changes(
    tmp_path: Path, size: int, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "changes.jsonl"
    path.write_bytes((b"\r\n" if end == b"\r\n" else b"\n").join(LINES) + end)
    monkeypatch.setattr(file_source, "GROUP_BYTES", size)
    changes = decode(CONFIG, *read(path))
    assert [text.split(",")[0] for text in contents(changes)] == ["('charges'"] * 2 + ["('hooks'"] * 2 + [
        "('orders'"
    ] * 3


@pytest.mark.parametrize("size", [1, 100, 500, 10**6])
def test_events_of_another_debezium_between_ours(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "changes.jsonl"
    path.write_bytes(
        b"\n".join([PLAIN, *LINES[:3], PLAIN.replace(b"900", b"901"), LINES[4], PLAIN.replace(b"900", b"902")])
    )
    monkeypatch.setattr(file_source, "GROUP_BYTES", size)
    assert len(contents(decode(CONFIG, *read(path)))) == 6


@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_marks_and_letters_of_the_worker_between_rows(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload mark is a message by itself; a letter stands below the schema of its table."""
    path = tmp_path / "changes.jsonl"
    mark = reload_line("shop.orders", "ALTER TABLE", {"sequence": sequence(3)}, 1)
    path.write_bytes(b"\n".join([*LINES[:3], mark, ORDERS.line(), LETTER, ORDERS.line(), LINES[4]]))
    monkeypatch.setattr(file_source, "GROUP_BYTES", size)
    changes = decode(CONFIG, *read(path))
    assert [dead.reason for dead in changes.dead] == ["oversized_values"]
    assert [reload.table for reload in changes.reloads] == ["shop.orders"]
    assert changes.events == 3


def test_an_empty_file_has_no_messages(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    path.write_bytes(b"")
    assert read(path) == []


def test_a_last_line_cut_off_is_a_dead_letter(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    path.write_bytes(b"\n".join(LINES[:3])[:-30])
    changes = decode(CONFIG, *read(path))
    assert [(dead.reason, dead.table) for dead in changes.dead] == [("not_json", "shop.orders")]
    assert changes.events == 1


def test_a_schema_line_cut_off_takes_its_events_along(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    path.write_bytes(b"\n".join([*LINES[:2], CHARGES.line()[:-9], event("c", order(7), 9), *LINES[5:7]]))
    changes = decode(CONFIG, *read(path))
    assert [dead.reason for dead in changes.dead] == ["not_json"]
    assert event("c", order(7), 9) in changes.dead[0].data
    assert changes.events == 2


def test_ids_name_file_and_place(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    path.write_bytes(b"\n".join(LINES))
    ids = [item.message_id for item in read(path)]
    assert all(id.startswith(f"{path.resolve()}:") for id in ids)
    assert len(set(ids)) == len(ids)


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.json", "notes.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "empty").mkdir()
    names = [Path(file).name for file in find_files([str(tmp_path), str(tmp_path / "a*")])]
    assert names == ["a.jsonl", "b.jsonl", "c.json"]
    with pytest.raises(UsageError, match="no files of change events") as raised:
        find_files([str(tmp_path / "x*"), str(tmp_path / "empty"), str(tmp_path / "a.jsonl")])
    assert "x*" in str(raised.value)
    assert "empty" in str(raised.value)
