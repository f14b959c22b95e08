"""The server's packed DECIMAL → text with exactly its scale, without a detour through a float or a Decimal.

Layout: MySQL source documentation "decimal2bin": nine digits in four bytes, leftover digits in as few as they need,
big-endian; the highest bit is inverted, and a negative number is inverted as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes that hold so many digits."""


def decimal_size(precision: int, scale: int) -> int:
    """Bytes of a DECIMAL(precision, scale)."""
    whole = precision - scale
    return whole // 9 * 4 + _BYTES[whole % 9] + scale // 9 * 4 + _BYTES[scale % 9]


@lru_cache(maxsize=1024)
def decimal_decoder(precision: int, scale: int) -> Callable[[bytes], str]:
    """Decoder of the packed bytes. Raises ValueError on an impossible precision or scale; the decoder on a group of
    digits that is too large."""
    whole = precision - scale
    if not 0 < precision <= 65 or scale < 0 or whole < 0:
        raise ValueError(f"DECIMAL({precision},{scale})")
    digits = ([whole % 9] if whole % 9 else []) + [9] * (whole // 9)
    digits_behind = [9] * (scale // 9) + ([scale % 9] if scale % 9 else [])
    size = decimal_size(precision, scale)
    top, ones = 1 << (8 * size - 1), (1 << 8 * size) - 1
    groups, shift = [], 8 * size
    for count in digits + digits_behind:
        shift -= 8 * _BYTES[count]
        groups.append((shift, (1 << 8 * _BYTES[count]) - 1, 10**count))
    before, behind = groups[: len(digits)], groups[len(digits) :]
    from_bytes = int.from_bytes

    if len(before) <= 2 and len(behind) == 1:
        (high_shift, high_mask, high_unit), (low_shift, low_mask, low_unit) = [(0, 0, 1), (0, 0, 1), *before][-2:]
        fraction_mask, fraction_unit = behind[0][1:]

        def money(raw: bytes) -> str:
            number = from_bytes(raw, "big") ^ top
            sign = ""
            if number & top:
                number ^= ones
                sign = "-"
            high, low = number >> high_shift & high_mask, number >> low_shift & low_mask
            fraction = number & fraction_mask
            if high >= high_unit or low >= low_unit or fraction >= fraction_unit:
                raise ValueError(f"no decimal digits: {raw.hex()}")
            return f"{sign}{high * low_unit + low}.{fraction:0{scale}d}"

        return money

    def group(digits: int, unit: int) -> int:
        if digits >= unit:
            raise ValueError(f"no decimal digits: {digits}")
        return digits

    def general(raw: bytes) -> str:
        number = from_bytes(raw, "big") ^ top
        sign = ""
        if number & top:
            number ^= ones
            sign = "-"
        value = fraction = 0
        for group_shift, mask, unit in before:
            value = value * unit + group(number >> group_shift & mask, unit)
        for group_shift, mask, unit in behind:
            fraction = fraction * unit + group(number >> group_shift & mask, unit)
        return f"{sign}{value}.{fraction:0{scale}d}" if scale else f"{sign}{value}"

    return general


def decimal_text(raw: bytes, precision: int, scale: int) -> str:
    """Text of packed bytes of exactly the right length. Raises ValueError."""
    if len(raw) != decimal_size(precision, scale):
        raise ValueError("DECIMAL of the wrong length")
    return decimal_decoder(precision, scale)(raw)
