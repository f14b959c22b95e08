"""Numbers in single precision (FLOAT, VECTOR): each is written as the shortest number that reads back as the same four
bytes, wherever it comes from."""

from __future__ import annotations

import struct

_SINGLE = struct.Struct("<f")
_LARGEST = 3.4028235e38


def shortest_single(number: float) -> float:
    """The double whose text is the shortest that reads back as the same single. Raises ValueError on no number."""
    for digits in (6, 7, 8):
        candidate = float(f"{number:.{digits}g}")
        if abs(candidate) < _LARGEST and _SINGLE.unpack(_SINGLE.pack(candidate))[0] == number:
            return candidate
    return finite(float(f"{number:.9g}"))


def finite(number: float) -> float:
    if number - number != 0.0:
        raise ValueError(f"{number} is no number")
    return number
