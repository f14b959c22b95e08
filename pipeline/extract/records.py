"""Bytes of an extract → its header and records (RFC 4180), each with its line and original bytes, in bounded memory.

Not Python's csv module: before 3.12 it cannot tell an empty field from `""` nor NULL from `"NULL"`, and it gives no
bytes back. A record without a quote is split at its delimiters; only one with quotes is looked at more closely.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from schemas.errors import ExtractRefused

DELIMITERS = (",", ";", "\t")
MAX_RECORD_BYTES = 16_000_000
"""A record that is longer was not closed by its quote."""

NULLS = frozenset({"", "\\N", "NULL"})
"""What NULL looks like, where it is not in quotes."""

Fields = list["str | None"]


class Record(NamedTuple):
    """One row: the line where it begins (the file's first is 1), its bytes, and its fields, or what is wrong."""

    line: int
    data: bytes
    fields: Fields
    problem: str = ""


class Malformed(ValueError):
    """Quotes that no reader could agree upon."""


class Lines:
    """The physical lines of a file, and those that were handed back."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._back: list[bytes] = []
        self.number = 0
        if encoding == "utf-8":
            first = file.readline(MAX_RECORD_BYTES)
            self._back.append(first.removeprefix(b"\xef\xbb\xbf"))

    def next(self) -> bytes:
        """The next line with its line feed; b"" at the end of the file. Raises ExtractRefused: a line without end."""
        self.number += 1
        line = self._back.pop() if self._back else self._file.readline(MAX_RECORD_BYTES)
        if len(line) >= MAX_RECORD_BYTES and not line.endswith(b"\n"):
            raise ExtractRefused(f"line {self.number:,} has more than {MAX_RECORD_BYTES:,} bytes without an end")
        return line

    def hand_back(self, lines: Sequence[bytes]) -> None:
        self._back += reversed(lines)
        self.number -= len(lines)


def split(text: str, delimiter: str) -> Fields:
    """The fields of one record without its line end; NULL is None. Raises Malformed."""
    if '"' not in text:
        return [None if field in NULLS else field for field in text.split(delimiter)]
    pattern = _field(delimiter)
    fields: Fields = []
    at = 0
    while True:
        match = pattern.match(text, at)
        if match is None:
            raise Malformed(_what(text, at, len(fields) + 1))
        quoted, plain = match[1], match[2]
        if quoted is not None:
            fields.append(quoted.replace('""', '"'))
        else:
            fields.append(None if plain in NULLS else plain)
        if match.end() == len(text) and not match[3]:
            return fields
        at = match.end()


def _what(text: str, at: int, number: int) -> str:
    if text[at : at + 1] != '"':
        return f"field {number} has a quote inside, but is not in quotes"
    if _OPEN.match(text, at):
        return f"the quote of field {number} is not closed"
    return f"field {number} goes on after its closing quote"


_OPEN = re.compile(r'"(?:[^"]|"")*\Z')
_FIELDS: dict[str, re.Pattern[str]] = {}


def _field(delimiter: str) -> re.Pattern[str]:
    """One field and the delimiter after it, if any; group 1 in quotes, group 2 plain."""
    if delimiter not in _FIELDS:
        mark = re.escape(delimiter)
        _FIELDS[delimiter] = re.compile(rf'(?:"((?:[^"]|"")*)"|([^"{mark}]*))(?:({mark})|\Z)')
    return _FIELDS[delimiter]


def _text(data: bytes, encoding: str) -> str:
    text = data.decode(encoding)
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


class Extract:
    """An open extract: `header`, `delimiter`, and its records one after another."""

    def __init__(self, path: str, file: BinaryIO, encoding: str, delimiter: str | None, wanted: Sequence[str]) -> None:
        """Reads the header. `wanted`: names of columns, by which the delimiter is found where none is given.

        Raises ExtractRefused: no header, names that are missing or stand there twice.
        """
        self.path = path
        self._encoding = encoding
        self._lines = Lines(file, encoding)
        text = _text(self._first(), encoding)
        if "\0" in text or "\r" in text:
            what = "holds zero bytes: it may be UTF-16" if "\0" in text else "has lines that end with \\r alone"
            raise ExtractRefused(f"{path} {what}", hint="write it as UTF-8 with lines that end with \\n")
        candidates = [delimiter] if delimiter else [mark for mark in DELIMITERS if mark in text] or [","]
        headers = {mark: _header(text, mark) for mark in candidates}
        self.delimiter = max(headers, key=lambda mark: (len(set(headers[mark]) & set(wanted)), len(headers[mark])))
        self.header = headers[self.delimiter]
        folded = [name.lower() for name in self.header]
        twice = sorted({name for name in self.header if folded.count(name.lower()) > 1})
        nameless = [str(number) for number, name in enumerate(self.header, 1) if not name]
        if nameless:
            raise ExtractRefused(
                f"{path}: column {', '.join(nameless)} of the header has no name",
                hint="its first line must name every column; --delimiter if it is none of , ; and tab",
            )
        if twice:
            raise ExtractRefused(f"{path}: the header names {', '.join(twice)} twice", hint="rename one of them")

    def _first(self) -> bytes:
        """The header's bytes: the first line that is not empty, with those that its quotes hold together."""
        while True:
            data = self._lines.next()
            while data.count(b'"') % 2 and len(data) < MAX_RECORD_BYTES and (more := self._lines.next()):
                data += more
            if data.strip() or not data:
                return data

    def records(self) -> Iterator[Record]:
        """Every record, also those that are wrong. Empty lines are none. Raises ExtractRefused where the file is no
        longer what it was."""
        width, delimiter, encoding = len(self.header), self.delimiter, self._encoding
        while line := self._lines.next():
            number = self._lines.number
            try:
                if b'"' in line:
                    yield self._quoted(number, line)
                    continue
                fields = split(_text(line, encoding), delimiter)
            except UnicodeDecodeError as error:
                raise ExtractRefused(f"{self.path} was changed while it was read", hint="run it again") from error
            if not line.strip():
                continue
            if len(fields) == width:
                yield Record(number, line, fields)
            else:
                yield Record(number, line, [], _count(len(fields), width))

    def _quoted(self, number: int, first: bytes) -> Record:
        """A record with quotes, which may go on over several lines. Where they make no sense only its first line is
        set aside: the lines after it may well be rows of their own."""
        lines = [first]
        data = first
        quotes, size = first.count(b'"'), len(first)
        try:
            while True:
                if quotes % 2 == 0:
                    fields = split(_text(b"".join(lines), self._encoding), self.delimiter)
                    break
                if len(lines) == 1:
                    _may_go_on(_text(first, self._encoding), self.delimiter)
                more = self._lines.next() if size < MAX_RECORD_BYTES else b""
                if not more:
                    raise Malformed(f"a quote is not closed within {size:,} bytes")
                lines.append(more)
                quotes += more.count(b'"')
                size += len(more)
        except Malformed as problem:
            self._lines.hand_back(lines[1:])
            return Record(number, first, [], str(problem))
        data = b"".join(lines)
        if len(fields) != len(self.header):
            return Record(number, data, [], _count(len(fields), len(self.header)))
        return Record(number, data, fields)


def _may_go_on(text: str, delimiter: str) -> None:
    """Raises Malformed unless all fields of a first line are well up to one whose quote is still open."""
    pattern, at, number = _field(delimiter), 0, 1
    while (match := pattern.match(text, at)) and match[3]:
        at, number = match.end(), number + 1
    if not _OPEN.match(text, at):
        raise Malformed(_what(text, at, number))


def _count(found: int, wanted: int) -> str:
    return f"{found} fields where the header has {wanted}"


def _header(text: str, delimiter: str) -> list[str]:
    try:
        return [(field or "").strip() for field in split(text, delimiter)]
    except Malformed:
        return [""]
