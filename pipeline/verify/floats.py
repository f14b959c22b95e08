"""FLOAT, DOUBLE and VECTOR as text that both sides write alike: whole numbers, since every server prints fractions in a
way of its own.

A number is written as exponent and mantissa, `kem` for m × 2 ** (k - 52). Dividing by a power of two is exact, so the
same number gives the same text wherever numbers are those of IEEE 754. Trap: k is the floor of a logarithm, whose last
bits differ from server to server; moved by a quarter, it is nowhere near a number that has few digits.
"""

from __future__ import annotations

import math
import re

_K = "FLOOR(LN(ABS({x})) / 0.6931471805599453 - 0.25)"
_M = "{x} / POW(2, {k}) * 4503599627370496"
_SMALL, _LIFT = "1e-290", 200
"""Below it numbers are first multiplied by 2 ** 200, and written with an `s` before them."""
_WRITTEN = re.compile(r"(s?)(-?\d+)e(-?\d+)")
_SMALLEST_SINGLE = "1.1754943508222875e-38"
_BYTES = "".join(f"{number:02X}" for number in range(256))


def source_text(x: str) -> str:
    """In the SQL of MySQL and MariaDB. A FLOAT must have been made a double: `column + 0e0`."""

    def written(y: str) -> str:
        k = _K.format(x=y)
        return f"CONCAT(CAST({k} AS SIGNED), 'e', CAST({_M.format(x=y, k=k)} AS SIGNED))"

    small = f"CONCAT('s', {written(f'({x} * POW(2, {_LIFT}))')})"
    return f"CASE WHEN {x} = 0 THEN '0' WHEN ABS({x}) < {_SMALL} THEN {small} ELSE {written(x)} END"


def warehouse_text(x: str) -> str:
    """In GoogleSQL, of a FLOAT64."""

    def written(y: str) -> str:
        k = _K.format(x=f"NULLIF({y}, 0)")
        exponent = f"CAST(CAST({k} AS INT64) AS STRING)"
        return f"CONCAT({exponent}, 'e', CAST(CAST({_M.format(x=y, k=k)} AS INT64) AS STRING))"

    small = f"CONCAT('s', {written(f'({x} * POW(2, {_LIFT}))')})"
    return f"CASE WHEN {x} = 0 THEN '0' WHEN ABS({x}) < {_SMALL} THEN {small} ELSE {written(x)} END"


def warehouse_single(x: str) -> str:
    """In GoogleSQL, which knows no singles: the single that a FLOAT64 is the shortest number of, as a FLOAT64.

    Rounds to 24 bits by the difference of two products (Veltkamp's splitting), below the normal singles to a multiple
    of the smallest.
    """
    split = f"({x} * 536870913) - ({x} * 536870913 - {x})"
    return f"IF(ABS({x}) < {_SMALLEST_SINGLE}, ROUND({x} * POW(2, 149)) / POW(2, 149), {split})"


def source_vector(vector: str) -> str:
    """Single by single the bytes of IEEE 754, little-endian, in hexadecimal, and a comma. -0.0, which DuckDB's upsert
    makes 0.0 in a list, is 0.0. The two servers write the group that was found differently; each reads its own comment
    (MariaDB: «Comment Syntax»)."""
    apart = f"REGEXP_REPLACE(HEX({vector}), '(.{{8}})', /*M! '\\\\1,' */ /*!90000 '$1,' */)"
    return f"REPLACE({apart}, '00000080,', '00000000,')"


def warehouse_vector(vector: str) -> str:
    """The same in GoogleSQL, of a list of numbers. The bits of a single are continuous in it, so its exponent needs no
    care at powers of two."""
    v, exponent = "CAST(one AS FLOAT64)", "FLOOR(LN(ABS(NULLIF({v}, 0))) / 0.6931471805599453)"
    k = exponent.format(v=v)
    normal = f"({k} + 127) * 8388608 + (ABS({v}) / POW(2, {k}) - 1) * 8388608"
    low = f"ABS({v}) * POW(2, 149)"
    magnitude = f"CASE WHEN {v} = 0 THEN 0 WHEN ABS({v}) < {_SMALLEST_SINGLE} THEN {low} ELSE {normal} END"
    each = f"UNNEST({vector}) AS one WITH OFFSET AS place"
    sign = f"IF({v} < 0, 2147483648, 0)"
    bits = f"SELECT place, CAST({magnitude} AS INT64) + {sign} AS bits FROM {each}"
    parts = [f"SUBSTR('{_BYTES}', MOD(DIV(bits, {256**index}), 256) * 2 + 1, 2)" for index in range(4)]
    return f"(SELECT STRING_AGG(CONCAT({', '.join(parts)}, ','), '' ORDER BY place) FROM ({bits}))"


def number_of(text: str) -> float | None:
    """What a text of `source_text` or `warehouse_text` means; None where it is none."""
    if text == "0":
        return 0.0
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    small, exponent, mantissa = match.groups()
    return math.ldexp(int(mantissa), int(exponent) - 52 - (_LIFT if small else 0))
