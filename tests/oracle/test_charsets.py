"""Text and labels in every character set of both servers, and every sequence of bytes as the server itself reads it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from binlog_worker.decoding.charsets import charset_of_collation
from schemas.charset_codecs import decoder_of
from tests.oracle.source import Source

REPLACED = "\ufffd"
"""What the servers make of seven pairs of big5 that they do write, and of what tis620 does not have."""

ALPHABETS = "äéßжאก日本表ソ葛한€ԱაčŇ★①～—ÿ|😀"


def charsets(source: Source) -> dict[str, int]:
    """Name → bytes of the longest character."""
    known = dict(source.run("SELECT character_set_name, maxlen FROM information_schema.character_sets"))
    return {name: known[name] for name in sorted(known) if name != "binary"}


def test_every_collation_has_its_character_set(source: Source) -> None:
    table = "collation_character_set_applicability" if source.mariadb else "collations"
    found = source.run(f"SELECT id, character_set_name FROM information_schema.{table} WHERE id IS NOT NULL")
    assert len(found) > 250
    assert [(number, name) for number, name in found if charset_of_collation(number) != name] == []


def planes(supplementary: bool) -> Iterator[str]:
    """All of Unicode, 256 characters of the first plane at a time, 4,096 of the others."""
    for first in range(0, 0x10000, 256):
        if not 0xD800 <= first < 0xE000:
            yield "".join(map(chr, range(first, first + 256))).replace(REPLACED, "")
    for first in range(0x10000, 0x110000 if supplementary else 0, 4096):
        yield "".join(map(chr, range(first, first + 4096)))


def test_every_character_that_a_set_has(source: Source) -> None:
    """In text columns, in as many tables as there are sets; the server writes `?` for what a set does not have."""
    for charset in charsets(source):
        source.run(f"CREATE TABLE {charset} (id INT PRIMARY KEY, v MEDIUMTEXT CHARACTER SET {charset})")
    start = source.position()
    for charset, longest in charsets(source).items():
        rows = [f"({number},_utf8mb4 x'{text.encode().hex()}')" for number, text in enumerate(planes(longest == 4))]
        source.insert(charset, rows)
    decoded: dict[str, dict[int, str]] = {}
    for _, layout, _, after in source.changes(start):
        decoded.setdefault(layout.table, {})[after[0]] = after[1]
    assert decoded.keys() == charsets(source).keys()
    for charset, texts in decoded.items():
        for number, text in source.run(f"SELECT id, CONVERT(v USING utf8mb4) FROM {charset}"):
            pairs = zip(texts[number], text, strict=True)
            wrong = [(ours, theirs) for ours, theirs in pairs if ours != theirs and theirs != REPLACED]
            assert not wrong, (charset, wrong[:5])


BYTES = [bytes((byte,)) for byte in range(256)]
PAIRS = [number.to_bytes(2, "big") for number in range(0x10000)]
EUC = ("ujis", "eucjpms")
TRIPLES = [b"\x8f" + pair for pair in PAIRS if pair >= b"\x80\x80"]
"""What may follow the byte that leads to the second plane of the EUC sets: all else has pairs, or is UTF."""


@pytest.mark.parametrize("reader", ["eight bits", "more"])
def test_every_sequence_of_bytes(source: Source, reader: str) -> None:
    """What the server makes of bytes with a `!` behind them, we make of them. What it cannot convert raises: MySQL cuts
    such a text off, MariaDB writes `?`."""
    wide = {"ucs2", "utf16", "utf16le", "utf32"}  # of these, the characters say all
    wanted = {name: longest for name, longest in charsets(source).items() if name not in wide}
    wanted = {name: longest for name, longest in wanted.items() if (longest == 1) == (reader == "eight bits")}
    source.run("CREATE TABLE b (id INT PRIMARY KEY, b VARBINARY(3), part INT)", "SET group_concat_max_len = 1 << 30")
    every = BYTES if reader == "eight bits" else BYTES + PAIRS + TRIPLES
    source.insert("b", [f"({n},x'{raw.hex()}',{n // 4096})" for n, raw in enumerate(every)], 8192)
    for charset, longest in wanted.items():
        limit = len(every) if charset in EUC else len(BYTES) + (len(PAIRS) if longest > 1 else 0)
        decode = decoder_of(charset)
        assert decode is not None
        read = f"COALESCE(HEX(CONVERT(CONVERT(CONCAT(b, '!') USING {charset}) USING utf8mb4)), '')"
        texts = source.run(
            f"SELECT GROUP_CONCAT(CONCAT(HEX(b), '21=', {read}) ORDER BY id) FROM b WHERE id < {limit} GROUP BY part"
        )
        for pair in ",".join(text for (text,) in texts).split(","):
            raw, _, theirs = pair.partition("=")
            data, text = bytes.fromhex(raw), bytes.fromhex(theirs).decode("utf-8")
            if REPLACED in text and charset == "big5":
                continue  # it reads badly what it writes well: see test_every_character_that_a_set_has
            valid = REPLACED not in text and all(text.count(mark) == data.count(mark.encode()) for mark in "!?")
            try:
                ours: str | None = decode(data)
            except ValueError:
                ours = None
            assert ours == (text if valid else None), (charset, raw, text)


def test_labels_in_every_character_set(source: Source) -> None:
    names = charsets(source)
    labels: dict[str, list[str]] = {}
    for charset in names:
        ((known,),) = source.run(f"SELECT CONVERT(CONVERT('{ALPHABETS}' USING {charset}) USING utf8mb4)")
        labels[charset] = [f"x{char}" for char in known if char != "?"] or ["x"]
    quoted = {charset: ",".join(f"'{label}'" for label in labels[charset]) for charset in names}
    columns = ", ".join(
        f"e_{charset} ENUM({quoted[charset]}) CHARACTER SET {charset}, s_{charset} SET({quoted[charset]}) CHARACTER SET"
        f" {charset}"
        for charset in names
    )
    source.run(f"CREATE TABLE e ({columns}, b ENUM('x', 'é') CHARACTER SET binary)")
    start = source.position()
    source.run(
        f"INSERT INTO e VALUES ({', '.join(f'{len(labels[c])}, {(1 << len(labels[c])) - 1}' for c in names)}, 2)"
    )
    (row,) = source.inserted(start)
    selected = source.run(f"SELECT {', '.join(f'CONVERT(e_{charset} USING utf8mb4)' for charset in names)} FROM e")[0]
    assert row[0:-1:2] == list(selected) == [labels[charset][-1] for charset in names]
    assert row[1:-1:2] == [labels[charset] for charset in names]
    assert row[-1] == "é"
