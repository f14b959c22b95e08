"""Columns of values → columns of protobuf fields, as they stand on the wire: a tag, then a varint, eight bytes, or a
length and bytes (protobuf.dev, "Encoding"). Whole columns at a time; NULL is no bytes, which is a field left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

VARINT, I64, LENGTH = 0, 1, 2
"""Wire types."""

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


def tag(number: int, wire_type: int) -> bytes:
    """What stands before a value of the field `number`."""
    return varint(number << 3 | wire_type)


def varint(value: int) -> bytes:
    """Of one number that is not negative: seven bits a byte, the lowest first."""
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


def varints(values: npt.NDArray[np.int64], before: bytes, valid: Flags | None = None) -> pa.Array:
    """n numbers → n times `before` and the number; nothing where not `valid`. A negative number takes ten bytes."""
    unsigned = values.view(np.uint64)
    highest = int(unsigned.max()) if len(unsigned) else 0
    width = max(1, -(-highest.bit_length() // 7))
    start = len(before)
    laid = np.empty((len(values), start + width), np.uint8)
    laid[:, :start] = np.frombuffer(before, np.uint8)
    if width == 1:
        laid[:, start] = unsigned
        return fixed(laid, valid)
    kept = np.ones(laid.shape, np.bool_)
    lengths = np.full(len(values), start + 1, np.int32)
    rest = unsigned
    for index in range(start, start + width):
        byte = (rest & np.uint64(127)).astype(np.uint8)
        rest = rest >> np.uint64(7)
        more = rest != 0
        laid[:, index] = byte | more.astype(np.uint8) << 7
        if index + 1 < start + width:
            kept[:, index + 1] = more
            lengths += more
    if valid is not None:
        kept &= valid[:, None]
        lengths *= valid
    return _binary(lengths, laid[kept])


def doubles(values: npt.NDArray[np.float64], before: bytes, valid: Flags | None = None) -> pa.Array:
    """n numbers → n times `before` and eight bytes."""
    start = len(before)
    laid = np.empty((len(values), start + 8), np.uint8)
    laid[:, :start] = np.frombuffer(before, np.uint8)
    laid[:, start:] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
    return fixed(laid, valid)


def fixed(laid: Bytes, valid: Flags | None = None) -> pa.Array:
    """The rows of a matrix n × width of bytes, each of them whole, or nothing where not `valid`."""
    count, width = laid.shape
    if valid is None:
        return _binary(np.full(count, width, np.int32), laid)
    return _binary(valid.astype(np.int32) * np.int32(width), laid[valid])


def prefixes(values: pa.Array, before: bytes) -> pa.Array:
    """n texts or byte strings → n times `before` and their length in bytes; nothing for NULL."""
    lengths = pc.binary_length(values)
    return varints(numbers(lengths, pa.int64()), before, present(values))


def numbers(values: pa.Array, type: pa.DataType) -> npt.NDArray[np.int64]:
    """Integers, dates, instants or booleans as 64-bit integers, by way of the Arrow type; 0 for NULL."""
    whole = values.cast(type)
    if whole.null_count:
        whole = whole.fill_null(0)
    return np.ascontiguousarray(whole.to_numpy(zero_copy_only=False), np.int64)


def present(values: pa.Array) -> Flags | None:
    """Which are not NULL; None: all of them."""
    if not values.null_count:
        return None
    valid: Flags = values.is_valid().to_numpy(zero_copy_only=False)
    return valid


def side_by_side(columns: Sequence[pa.Array]) -> pa.Array:
    """Columns of n byte strings each → n byte strings, each the first column's, the second's and so on."""
    return pc.binary_join_element_wise(*columns, pa.scalar(b""), null_handling="replace", null_replacement=b"")


def regrouped(elements: pa.Array, counts: npt.NDArray[np.int64]) -> pa.Array:
    """Byte strings, the first `counts[0]` of them as one, the next `counts[1]` as one, and so on; n in all."""
    ends = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=ends[1:])
    _, offsets, data = elements.buffers()
    at = np.frombuffer(offsets, np.int32)[elements.offset : elements.offset + len(elements) + 1]
    return pa.Array.from_buffers(pa.binary(), len(counts), [None, pa.py_buffer(np.ascontiguousarray(at[ends])), data])


def framed(messages: Sequence[pa.Array], before: bytes) -> pa.Array:
    """The fields of n messages, column by column → n messages, each after `before` and its length: as the elements of
    a repeated field, so that any run of them is that field."""
    lengths = np.zeros(len(messages[0]), np.int64)
    for column in messages:
        lengths += numbers(pc.binary_length(column), pa.int64())
    return side_by_side([varints(lengths, before), *messages])


def _binary(lengths: npt.NDArray[np.int32], data: Bytes) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(pa.binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
