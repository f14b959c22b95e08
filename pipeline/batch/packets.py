"""Bytes of a result set → where each row's packet begins and ends.

A packet is its length (3 bytes, little-endian), a number that counts modulo 256, and the payload; one of 2**24 - 1
bytes goes on in the next packet (MySQL source documentation «MySQL Packets»).
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.batch.binary_arrays import Bytes, Places

HEADER = 4
LONGEST = 0xFFFFFF
"""The payload that goes on in the next packet."""

LANES = 256
_SMALL = 64 * 1024
_SAMPLE = 32
_FOLLOWING = 8
_head = Struct("<I").unpack_from


class Rows(NamedTuple):
    """n rows in one buffer: row i is data[starts[i]:ends[i]]."""

    data: Bytes
    starts: Places
    ends: Places


class WrongNumber(ValueError):
    """The packets' numbers do not count up."""


def joined_rows(data: Bytes, places: Places, number: int) -> tuple[Rows, int, int]:
    """The rows in whole packets at `places` (see `packet_places`), whose first has `number`. Also how many packets
    belong to them: fewer where the last row goes on in packets to come; and the place behind these.

    Raises WrongNumber.
    """
    starts, ends = places[:-1], places[1:]
    if not np.array_equal(data[starts + 3], (np.arange(len(starts)) + number).astype(np.uint8)):
        raise WrongNumber(f"packets do not count up from {number}")
    goes_on = ends - starts == LONGEST + HEADER
    if not goes_on.any():
        return Rows(data, starts + HEADER, ends), len(starts), int(places[-1])
    last = np.flatnonzero(~goes_on)
    whole = int(last[-1]) + 1 if len(last) else 0
    sizes = (ends - starts - HEADER)[:whole]
    spans = zip(starts[:whole].tolist(), ends[:whole].tolist(), strict=True)
    payloads = np.concatenate([np.empty(0, np.uint8), *(data[start + HEADER : end] for start, end in spans)])
    ends_of_rows = np.cumsum(sizes)[last]
    starts_of_rows = np.concatenate((np.zeros(min(1, whole), np.int64), ends_of_rows[:-1]))
    return Rows(payloads, starts_of_rows, ends_of_rows), whole, int(places[whole])


def packet_places(data: Bytes, have: int) -> Places:
    """The places of all whole packets in data[:have], the first at 0, and the place behind the last: n + 1 places."""
    if have >= _SMALL:
        found = _in_lanes(data, have)
        if found is not None:
            return found
    return np.array(_one_by_one(data, 0, have), np.int64)


def _one_by_one(data: Bytes, first: int, have: int, most: int = 1 << 62) -> list[int]:
    places, view = [first], data.data
    end = first
    while end + HEADER <= have and len(places) <= most:
        end += HEADER + (_head(view, end)[0] & LONGEST)
        if end > have:
            break
        places.append(end)
    return places


def _in_lanes(data: Bytes, have: int) -> Places | None:
    """Walks through many parts of the data at once, each from a place that looks like the start of a packet.

    It is one if the part before ends right there. None where one does not, and where it would not be worth while.
    """
    heads = np.ndarray((have - 3,), "<u4", data, strides=(1,))
    widest = int(np.diff(_one_by_one(data, 0, have, _SAMPLE)).max(initial=0))
    part = have // LANES
    if not 0 < widest * (_FOLLOWING + 2) < part:
        return None
    first = np.zeros(1, np.int64)
    begins = np.concatenate((first, _likely_starts(heads, np.arange(1, LANES, dtype=np.int64) * part, widest, part)))
    ends = np.append(begins[1:], have - 3)
    places, lanes = begins.copy(), np.arange(len(begins))
    walked = []
    while len(lanes):
        at = places[lanes]
        walked.append(at)
        behind = at + (heads[at] & LONGEST) + HEADER
        places[lanes] = behind
        lanes = lanes[behind < ends[lanes]]
    if not np.array_equal(places[:-1], begins[1:]):
        return None
    found = np.sort(np.concatenate(walked), kind="stable")
    return np.append(found, places[-1]) if places[-1] <= have else found


def _likely_starts(heads: npt.NDArray[np.uint32], from_: Places, width: int, reach: int) -> Places:
    """For each of some places a start of a packet at most `reach` behind it, where one is found, most likely.

    From a place at most `width` further some packets must follow whose numbers count up. It is the end of these that
    is taken: a false place may lead to a true one by chance, but not all the way along false ones.
    """
    candidates = from_[:, None] + np.arange(width)
    row, column = np.nonzero(candidates < len(heads))
    at = candidates[row, column]
    for _ in range(_FOLLOWING):
        head = heads[at]
        behind = at + (head & LONGEST) + HEADER
        kept = np.flatnonzero(behind < np.minimum(from_[row] + reach, len(heads)))
        kept = kept[heads[behind[kept]] >> 24 == (head[kept] + (1 << 24)) >> 24]
        row, at = row[kept], behind[kept]
    return at[np.unique(row, return_index=True)[1]]
