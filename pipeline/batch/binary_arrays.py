"""Arrow's binary arrays by the places of their values: made of them, and taken apart into them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def gathered(data: Bytes, starts: Places, ends: Places, null: Mask | None) -> pa.Array:
    """n values copied behind each other: value i is data[starts[i]:ends[i]], or NULL. They must lie in order.

    They are taken out of an array that holds what lies between them as well, which copies nothing.
    """
    count = len(starts)
    if not count:
        return pa.array([], pa.binary())
    offsets = np.empty(2 * count, np.int32)
    offsets[::2], offsets[1::2] = starts, ends
    between = pa.Array.from_buffers(pa.binary(), 2 * count - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return between.take(pa.array(np.arange(0, 2 * count, 2, dtype=np.int32), mask=null))


def bytes_of(array: pa.Array) -> tuple[Bytes, Places]:
    """The bytes of n values behind each other, and n + 1 places: value i is data[places[i]:places[i + 1]]."""
    _, offsets, data = array.buffers()
    if not len(array):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    places = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    every = np.frombuffer(data, np.uint8) if data is not None and len(data) else np.empty(0, np.uint8)
    return every[places[0] : places[-1]], places - places[0]


def nulls_of(array: pa.Array) -> Mask | None:
    return np.asarray(array.is_null()) if array.null_count else None
