"""Text as a server prints values → the Arrow array that `pipeline.values.to_arrow` makes of the stream's values.

The text is that of `pipeline.batch.expressions`. All casts go over whole columns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.batch.binary_arrays import bytes_of, gathered, nulls_of
from pipeline.batch.charset_text import decoded
from pipeline.values import ValueProblem, arrow_type
from schemas.columns import Kind, warehouse_type
from schemas.singles import shortest_single

_SMALLEST_NORMAL, _NEARLY_LARGEST = np.float32(1.17549435e-38), np.float32(3.4028e38)
_SRID_BYTES, _SHORTEST_WKB = 4, 5


def text_to_arrow(array: pa.Array, wire_type: str, charset: str | None = None) -> pa.Array:
    """n values of type binary → n values of the warehouse type of `wire_type`, such as `decimal(12,2)`.

    `charset` is that of the column, None or UTF-8 for what has none. Raises ValueProblem where one does not fit.
    """
    kind = warehouse_type(wire_type)
    name = wire_type.partition("(")[0].partition(" ")[0]
    try:
        if name in _BY_NAME:
            return _BY_NAME[name](array, wire_type)
        if kind.kind is Kind.STRINGS:
            return _sets(decoded(array, charset))
        if kind.kind is Kind.BYTES:
            return array
        if kind.kind is Kind.STRING:
            return decoded(array, charset)
        target = arrow_type(kind)
        if kind.kind is Kind.TIMESTAMP:
            return array.cast(pa.string()).cast(pa.timestamp("us")).cast(target)
        return array.cast(pa.string()).cast(target)
    except (pa.ArrowException, ValueError) as error:
        raise ValueProblem(str(error).splitlines()[0][:200]) from error


def _singles(array: pa.Array, wire_type: str) -> pa.Array:
    """Doubles that are singles, each as the shortest number that reads back as the same single."""
    doubles = array.cast(pa.string()).cast(pa.float64())
    singles = doubles.cast(pa.float32(), safe=False)
    shortest = np.array(singles.cast(pa.string()).cast(pa.float64()))
    plain = np.abs(singles.to_numpy(zero_copy_only=False))
    # Beside a power of two the nearest of the shortest numbers may be another one, as with very small singles.
    odd = ((plain.view(np.uint32) & 0x7FFFFF) == 0) | (plain < _SMALLEST_NORMAL) | (plain > _NEARLY_LARGEST)
    odd &= shortest != np.asarray(doubles)
    for index in np.flatnonzero(odd & np.asarray(doubles.is_valid())):
        shortest[index] = shortest_single(float(doubles[int(index)].as_py()))
    return pa.array(shortest, pa.float64(), mask=np.asarray(doubles.is_null()))


def _time(array: pa.Array, wire_type: str) -> pa.Array:
    """Always with six fraction digits."""
    digits = int(wire_type[5:-1]) if "(" in wire_type else 0
    missing = "0" * (6 - digits)
    text = array.cast(pa.string())
    if not missing:
        return text
    return pc.binary_join_element_wise(text, missing if digits else f".{missing}", "")


def _json(array: pa.Array, wire_type: str) -> pa.Array:
    return array.cast(pa.string())  # it is JSON: the server parsed it


def _sets(text: pa.Array) -> pa.Array:
    """Labels, each behind a comma."""
    return pc.list_slice(pc.split_pattern(text, ","), 1)


def _geometry(array: pa.Array, wire_type: str) -> pa.Array:
    """Without its SRID. An empty value, which MariaDB has in columns that are not NULL, stays empty."""
    data, places = bytes_of(array)
    sizes = np.diff(places)
    if ((sizes > 0) & (sizes < _SRID_BYTES + _SHORTEST_WKB)).any():
        raise ValueProblem("geometry too short")
    starts = np.minimum(places[:-1] + _SRID_BYTES, places[1:])
    return gathered(data, starts, places[1:], nulls_of(array))


def _vectors(array: pa.Array, wire_type: str) -> pa.Array:
    """Single after single, little-endian."""
    data, places = bytes_of(array)
    if (np.diff(places) % 4).any():
        raise ValueProblem("a vector of bytes that are no singles")
    numbers = data.view("<f4")
    if not np.isfinite(numbers).all():
        raise ValueProblem("a number in a vector that is no single")
    null = np.append(np.asarray(array.is_null()), False)
    return pa.ListArray.from_arrays(pa.array(places // 4, pa.int32(), mask=null), pa.array(numbers))


_BY_NAME: dict[str, Callable[[pa.Array, str], pa.Array]] = {
    "float": _singles,
    "time": _time,
    "json": _json,
    "geometry": _geometry,
    "vector": _vectors,
}
