"""One look over all bytes of an extract before anything is written: its encoding, lines and fingerprint."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass

from pipeline.extract.files import opened
from schemas.errors import ExtractRefused, UsageError

BLOCK_BYTES = 1_000_000
_ASCII = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Survey:
    """`lines`: line feeds, and the last line without one. `fingerprint`: 32 hexadecimal digits of all bytes."""

    lines: int
    fingerprint: str


def checked_encoding(name: str) -> str:
    """The codec's own name of `--encoding`. Raises UsageError: unknown, or one that does not hold ASCII as it is."""
    try:
        codec = codecs.lookup(name)
        fits = _ASCII.decode(codec.name) == _ASCII.decode("ascii")
    except (LookupError, UnicodeError, ValueError):
        fits = False
        codec = None
    if codec is None or not fits:
        raise UsageError(
            f"--encoding {name[:40]!r} is none that can be read here",
            hint="utf-8 (the default), latin-1, cp1252 and the like; convert others first: iconv -f UTF-16 -t UTF-8",
        )
    return "utf-8" if codec.name in ("utf-8", "utf-8-sig") else codec.name


def survey(path: str, encoding: str) -> Survey:
    """Reads the whole file once, in 1 MB of memory. Raises ExtractRefused naming the line and the byte that is not in
    `encoding`."""
    decoder = codecs.getincrementaldecoder(encoding)()
    digest = hashlib.blake2b(digest_size=16)
    lines = offset = 0
    last = b""
    with opened(path) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            if offset == 0 and block[:2] in _UTF_16:
                raise ExtractRefused(f"{path} is UTF-16", hint=f"convert it: iconv -f UTF-16 -t UTF-8 {path}")
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                raise _undecodable(path, encoding, error, offset - held, lines) from error
            lines += block.count(b"\n")
            offset += len(block)
            last = block
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise _undecodable(path, encoding, error, offset - len(error.object), lines) from error
    if offset == 0:
        raise ExtractRefused(f"{path} is empty", hint="its first line must name the columns")
    return Survey(lines + (not last.endswith(b"\n")), digest.hexdigest())


def _undecodable(path: str, encoding: str, error: UnicodeDecodeError, start: int, lines: int) -> ExtractRefused:
    """`start`: where in the file the bytes begin that the error speaks of; `lines` were read before this block."""
    byte = error.object[error.start]
    line = lines + 1 + error.object[: error.start].count(b"\n")
    return ExtractRefused(
        f"{path}, line {line:,}: byte {start + error.start:,} (0x{byte:02X}) is not {encoding}",
        hint="say what it is written in: --encoding latin-1, cp1252, …",
    )
