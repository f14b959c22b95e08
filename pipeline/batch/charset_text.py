"""Text in any character set → Arrow text, by the decoders that the worker uses: what is text there is text here."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.batch.binary_arrays import bytes_of
from schemas.charset_codecs import decoder_of

UTF8 = frozenset({"utf8mb4", "utf8mb3", "utf8"})
"""Character sets whose bytes are UTF-8; MariaDB called utf8mb3 utf8 once."""

_WIDE = frozenset({"ucs2", "utf16", "utf16le", "utf32"})
_PAIRS = frozenset({"big5", "cp932", "euckr", "eucjpms", "gb18030", "gb2312", "gbk", "sjis", "ujis"})
_LONGEST = 2**31 - 1


def is_known(charset: str | None) -> bool:
    return charset is None or charset == "binary" or charset in UTF8 or decoder_of(charset) is not None


def decoded(array: pa.Array, charset: str | None) -> pa.Array:
    """n binary values → n texts. None, or binary, is for labels and addresses, which are UTF-8 then.

    Raises ValueError where one is no text in `charset`, or where that is not known.
    """
    if charset is None or charset == "binary" or charset in UTF8:
        return array.cast(pa.string())
    decode = decoder_of(charset)
    if decode is None:
        raise ValueError(f"the character set {charset} is not known")
    if charset in _WIDE or (charset in _PAIRS and not _is_ascii(array)):
        return pa.array([None if value is None else decode(value) for value in array.to_pylist()], pa.string())
    if charset != "swe7" and _is_ascii(array):
        return array.cast(pa.string())
    return _eight_bit(array, charset)


def _is_ascii(array: pa.Array) -> bool:
    return int(bytes_of(array)[0].max(initial=0)) < 0x80


@lru_cache(maxsize=64)
def _utf8_sizes(charset: str) -> npt.NDArray[np.uint8]:
    """For each byte of an eight-bit set how many bytes its character has in UTF-8; 1 where it has none."""
    decode = decoder_of(charset)
    assert decode is not None
    sizes = np.ones(256, np.uint8)
    for byte in range(256):
        with suppress(ValueError):
            sizes[byte] = len(decode(bytes((byte,))).encode())
    return sizes


def _eight_bit(array: pa.Array, charset: str) -> pa.Array:
    """Decodes all values as one, for each byte stands for itself."""
    decode = decoder_of(charset)
    assert decode is not None
    data, places = bytes_of(array)
    text = decode(data.tobytes()).encode()
    if len(text) > _LONGEST:
        raise ValueError("text of more than 2 GB")
    ends = np.cumsum(_utf8_sizes(charset)[data], dtype=np.int64)
    offsets = np.concatenate((np.zeros(1, np.int64), ends))[places].astype(np.int32)
    valid = np.packbits(np.asarray(array.is_valid()), bitorder="little")
    buffers = [pa.py_buffer(valid), pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(array), buffers)
