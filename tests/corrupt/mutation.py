"""Bodies of recorded events, and what becomes of them by chance: always the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from binlog_worker.log.events import HEADER, RawEvent
from tests.corrupt.damage import body_of
from tests.corrupt.recordings import FLAVORS, LIVES, TYPES, Recording, life

NUMBERS = tuple(
    number.to_bytes(size, "little")
    for size, numbers in {
        1: (0, 1, 0x7F, 0x80, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF),
        2: (0, 0x7FFF, 0x8000, 0xFFFF),
        4: (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x40000000),
        8: (0, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 40),
    }.items()
    for number in numbers
)
"""What lengths, counts and offsets break at."""


class Source(NamedTuple):
    """An event of a recording, its place among all, its body without the checksum."""

    recording: Recording
    place: int
    kind: int
    body: bytes

    def event(self, body: bytes, kind: int | None = None) -> RawEvent:
        """As the dump would hand it on with another body."""
        found, kind = self.recording.events[self.place], self.kind if kind is None else kind
        timestamp, _, server_id, _, _, flags = HEADER.unpack_from(found.raw)
        size = HEADER.size + len(body)
        data = HEADER.pack(timestamp, kind, server_id, size, (found.start + size) & 0xFFFFFFFF, flags) + body
        return RawEvent(kind, timestamp, server_id, flags, found.file, found.start, found.start + size, data)


@cache
def recordings() -> tuple[Recording, ...]:
    return (*(life(*one) for one in LIVES), *(Recording(flavor, "none", TYPES) for flavor in FLAVORS))


@cache
def sources() -> dict[int, list[Source]]:
    """By kind."""
    found: dict[int, list[Source]] = {}
    for recording in recordings():
        for index, event in enumerate(recording.events):
            source = Source(recording, index, event.kind, body_of(recording, event))
            found.setdefault(event.kind, []).append(source)
    return found


class Mutator(random.Random):
    """`mutated` never returns the body as it was, unless it happens to."""

    def mutated(self, body: bytes, others: Sequence[bytes] = ()) -> bytes:
        """`others` are bodies of the same kind, of which pieces may come in."""
        raw = bytearray(body)
        for _ in range(self.choice((1, 1, 1, 2, 3, 8))):
            self._mutate(raw, others)
        return bytes(raw)

    def of_same_size(self, body: bytes) -> bytes:
        raw = bytearray(body or b"\0")
        for _ in range(self.choice((1, 1, 2, 4))):
            self.choice((self._flip, self._flip, self._set))(raw)
        return bytes(raw)

    def _mutate(self, raw: bytearray, others: Sequence[bytes]) -> None:
        if not raw:
            raw += self.randbytes(self.randrange(1, 9))
            return
        where, size = self.randrange(len(raw)), self.choice((1, 1, 2, 3, 4, 8, 16))
        choice = self.random()
        if choice < 0.35:
            self._flip(raw)
        elif choice < 0.55:
            self._set(raw)
        elif choice < 0.65:
            number = self.choice(NUMBERS)
            raw[where : where + len(number)] = number
        elif choice < 0.72:
            raw[where:where] = self.randbytes(size)
        elif choice < 0.79:
            del raw[where : where + size]
        elif choice < 0.86:
            raw[where:where] = raw[where : where + self.choice((size, size * 8))]
        elif choice < 0.93 and others:
            other = self.choice(others)
            at = self.randrange(len(other) or 1)
            raw[where : where + size] = other[at : at + size * self.choice((1, 4))]
        else:
            del raw[where:]

    def _flip(self, raw: bytearray) -> None:
        raw[self.randrange(len(raw))] ^= 1 << self.randrange(8)

    def _set(self, raw: bytearray) -> None:
        raw[self.randrange(len(raw))] = self.choice((0, 255, self.randrange(256)))
