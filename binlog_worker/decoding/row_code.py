"""Row decoders as straight-line code: for every table layout, and every set of NULL columns that occurs in it, one
Python function is written, compiled and kept.

An image is a bitmap of the NULL columns, its unused bits set, then the other values (MySQL source documentation
"Rows_event"). What a value becomes is decided in `values`; here neighbours of fixed length are read by one `struct`
call, and texts of packed values that come again are kept. The code holds numbers and our own words only: nothing that
the server sent (names, labels) becomes part of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from copy import copy
from functools import lru_cache
from typing import Any

import orjson

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.charsets import BINARY, is_utf8
from binlog_worker.decoding.decimals import decimal_decoder, decimal_size
from binlog_worker.decoding.table_map import Column, TableLayout
from binlog_worker.decoding.values import Decoder, value_decoder, value_size, value_skipper
from schemas.singles import finite

BAD_IMAGE = (ValueError, IndexError, struct.error)
"""What reading raises where the bytes are no such images."""

_PIECE = Callable[[bytes, int, int, Callable[[Any], None], Callable[[Any], None]], int]

MOST_TEXTS = 8_000
"""Texts of packed values kept for one column of one table."""

MOST_PATTERNS = 128
"""Sets of NULL columns that get code of their own; a table with more of them is in `_step_by_step`."""

_CODES = {t.TINY: "b", t.SHORT: "h", t.LONG: "i", t.BIGINT: "q"}
MOST_SCALE = 4
"""Digits behind the point of a DECIMAL that is decoded inline."""

_KEPT = frozenset((t.DATE, t.DATETIME, t.TIMESTAMP, t.TIME))


class Texts(dict[bytes, Any]):
    """Packed value → what it becomes, for values of one column. Bounded: it starts anew when full."""

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._decode = decode

    def __missing__(self, raw: bytes) -> Any:
        value = self._decode(raw)
        if len(self) >= MOST_TEXTS:
            self.clear()
        self[raw] = value
        return value


class _Writer:
    """The code of one pattern as it grows. `at` is the place of the next value as an expression over `p`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.last: list[str] = []
        self.names: dict[str, Any] = {}
        self.offset = 0
        self._run: list[tuple[str, str]] = []  # struct code, variable ("" where passed over)
        self._run_at = 0

    def name(self, value: Any) -> str:
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    @property
    def at(self) -> str:
        return f"p + {self.offset}" if self.offset else "p"

    def fixed(self, code: str, variable: str) -> None:
        """A value of fixed length, read together with its neighbours."""
        if not self._run:
            self._run_at = self.offset
        self._run.append((code, variable))
        self.offset += struct.calcsize("<" + code)

    def close_run(self) -> None:
        """Writes the one `struct` call of the values gathered."""
        run, self._run = self._run, []
        while run and not run[-1][1]:
            run.pop()
        variables = [variable for _, variable in run if variable]
        if variables:
            unpack = self.name(struct.Struct("<" + "".join(code for code, _ in run)).unpack_from)
            at = f"p + {self._run_at}" if self._run_at else "p"
            self.lines.append(f"{', '.join(variables)}, = {unpack}(d, {at})")

    def late(self, line: str) -> None:
        """A line over values that are read by then."""
        self.last.append(line)

    def move(self, line: str) -> None:
        """A line that sets `p` behind a value of varying length."""
        self.lines.append(line)
        self.offset = 0

    def settle(self) -> None:
        self.close_run()
        if self.offset:
            self.move(f"p += {self.offset}")


def _fixed(column: Column) -> tuple[str, str] | None:
    """Struct code, and the expression over the variable `v` that makes the value of it; `{k}` stands for the value of
    `_constant`. None where the column has no such code."""
    kind = column.kind
    if kind in _CODES:
        return (_CODES[kind].upper() if column.unsigned else _CODES[kind]), "{v}"
    if kind == t.DOUBLE:
        return "d", "({v} if {v} - {v} == 0.0 else {k}({v}))"
    if kind in _KEPT:
        return f"{value_size(column)}s", "{k}[{v}]"
    if kind == t.ENUM and column.a == 1:
        return "B", "{k}[{v}]"
    return None


def _constant(column: Column, decode: Decoder) -> Any:
    if column.kind == t.DOUBLE:
        return finite
    if column.kind == t.ENUM:
        return ("", *(column.labels or ()))
    return Texts(lambda raw: decode(raw, 0)[0])


@lru_cache(maxsize=8)
def _fractions(scale: int) -> tuple[str, ...]:
    return tuple(f".{number:0{scale}d}" for number in range(10**scale)) if scale else ("",)


def _text_prefix(column: Column) -> int | None:
    """Bytes of the length in front of a text in UTF-8; None for all else."""
    if column.kind not in (t.VARCHAR, t.STRING) or column.collation in (None, BINARY):
        return None
    return (1 if column.a < 256 else 2) if is_utf8(column.collation or 0) else None


def _pass_over(writer: _Writer, column: Column, skip: Decoder) -> None:
    size = value_size(column)
    if size is not None:
        writer.fixed(f"{size}x", "")
        return
    writer.close_run()
    writer.move(f"p = {writer.name(skip)}(d, {writer.at})[1]")


class RowCode:
    """The code of one layout for the columns `keep` (all by default): an image becomes the list of their values.

    Raises UnsupportedColumn where a column cannot be decoded.
    """

    def __init__(self, layout: TableLayout, keep: Collection[int] | None = None) -> None:
        count = len(layout.columns)
        self._layout = layout
        self._keep = frozenset(range(count)) if keep is None else frozenset(keep)
        self._decoders = [
            (value_decoder if index in self._keep else value_skipper)(column)
            for index, column in enumerate(layout.columns)
        ]
        self._size = (count + 7) // 8
        self._constants: dict[int, Any] = {}
        self._as_json, self._key = False, tuple[int, ...]()
        self._pieces: dict[bytes, _PIECE] = {}

    def variant(self, *, as_json: bool, key: Collection[int] = ()) -> RowCode:
        """The same with other results: an image becomes a JSON object in bytes; with it comes a tuple of the values of
        the columns `key`, if any are named."""
        other = copy(self)
        other._as_json, other._key, other._pieces = as_json, tuple(key), {}
        return other

    def rows(self, data: bytes, pos: int, end: int) -> tuple[list[Any], list[Any]]:
        """The images from `pos` on, the last of which ends at `end`, and the key of each where keys were asked for.
        Raises BAD_IMAGE."""
        images: list[Any] = []
        keys: list[Any] = []
        pieces, size = self._pieces, self._size
        while pos < end:
            piece = pieces.get(data[pos : pos + size]) or self._piece(data[pos : pos + size])
            pos = piece(data, pos, end, images.append, keys.append)
        if pos != end:
            raise ValueError("a row image ends behind its event")
        return images, keys

    def read(self, data: bytes, pos: int, end: int, count: int) -> tuple[list[Any], list[Any], int]:
        """The next `count` images, and the position behind them. Raises BAD_IMAGE."""
        images: list[Any] = []
        keys: list[Any] = []
        for _ in range(count):
            piece = self._piece(data[pos : pos + self._size])
            pos = piece(data, pos, pos + 1, images.append, keys.append)
        if pos > end:
            raise ValueError("a row image ends behind its event")
        return images, keys, pos

    def _piece(self, pattern: bytes) -> _PIECE:
        if pattern in self._pieces:
            return self._pieces[pattern]
        if len(self._pieces) >= MOST_PATTERNS:
            return self._step_by_step
        piece = self._pieces[pattern] = self._compile(pattern)
        return piece

    def _compile(self, pattern: bytes) -> _PIECE:
        """One function: reads images for as long as they have these NULL columns; returns the position behind them."""
        writer = _Writer()
        nulls = int.from_bytes(pattern, "little")
        expressions: dict[int, str] = {}
        for index, column in enumerate(self._layout.columns):
            if nulls >> index & 1:
                if index in self._keep:
                    expressions[index] = "None"
            elif index in self._keep:
                expressions[index] = self._write(writer, index, column)
            else:
                _pass_over(writer, column, self._decoders[index])
        writer.settle()
        if self._as_json:
            names = {index: writer.name(self._layout.columns[index].name) for index in expressions}
            pairs = ", ".join(f"{names[index]}: {text}" for index, text in expressions.items())
            image = f"{writer.name(orjson.dumps)}({{{pairs}}})"
        else:
            image = f"[{', '.join(expressions.values())}]"
        body = [f"p += {self._size}", *writer.lines, *writer.last, f"add({image})"]
        if self._key:
            body.append(f"key(({', '.join(expressions[index] for index in self._key)},))")
        pattern_name = writer.name(pattern)
        lines = [
            f"def piece(d, p, end, add, key, {', '.join(f'{name}={name}' for name in writer.names)}):",
            f"    while p < end and d[p:p + {self._size}] == {pattern_name}:",
            *(f"        {line}" for line in body),
            "    return p",
        ]
        space = dict(writer.names)
        exec(compile("\n".join(lines), f"<rows of {len(self._layout.columns)} columns>", "exec"), space)  # noqa: S102
        piece: _PIECE = space["piece"]
        return piece

    def _write(self, writer: _Writer, index: int, column: Column) -> str:
        """Adds the reading of one value; returns the expression of it."""
        variable, found = f"v{index}", _fixed(column)
        if found is not None:
            code, expression = found
            writer.fixed(code, variable)
            if "{k}" not in expression:
                return expression.format(v=variable)
            if index not in self._constants:
                self._constants[index] = _constant(column, self._decoders[index])
            return expression.format(v=variable, k=writer.name(self._constants[index]))
        if column.kind == t.DECIMAL and column.b <= MOST_SCALE:
            return self._decimal(writer, index, column)
        writer.close_run()
        prefix = _text_prefix(column)
        if prefix is None:
            writer.move(f"{variable}, p = {writer.name(self._decoders[index])}(d, {writer.at})")
            return variable
        writer.lines.append(f"s = {writer.at} + {prefix}")
        size = "d[s - 1]" if prefix == 1 else "d[s - 2] | d[s - 1] << 8"
        writer.move(f"p = s + ({size})")
        writer.lines.append(f"{variable} = d[s:p].decode()")
        return variable

    def _decimal(self, writer: _Writer, index: int, column: Column) -> str:
        """The common case inline: not negative, at most nine digits before the point (`decimals` has the layout). All
        others, and bytes that are no decimal, are above `limit`."""
        size, raw, number = decimal_size(column.a, column.b), f"v{index}", f"n{index}"
        shift = 8 * decimal_size(column.b, column.b) if column.b else 0
        writer.fixed(f"{size}s", raw)
        top = 1 << (8 * size - 1)
        limit = writer.name(min(top, 10 ** min(column.a - column.b, 9) << shift))
        from_bytes, flip = writer.name(int.from_bytes), writer.name(top)
        others = writer.name(decimal_decoder(column.a, column.b))
        writer.late(f'{number} = {from_bytes}({raw}, "big") ^ {flip}')
        fraction = f"{{{writer.name(_fractions(column.b))}[{number} & {(1 << shift) - 1}]}}" if shift else ""
        whole = f"{number} >> {shift}" if shift else number
        return f'(f"{{{whole}}}{fraction}" if {number} < {limit} else {others}({raw}))'

    def _step_by_step(
        self, data: bytes, pos: int, end: int, add: Callable[[Any], None], key: Callable[[Any], None]
    ) -> int:
        """One image by one call a value: of patterns that have no code of their own."""
        nulls = int.from_bytes(data[pos : pos + self._size], "little")
        pos += self._size
        values: dict[int, Any] = {}
        for index, decode in enumerate(self._decoders):
            values[index] = None
            if not nulls >> index & 1:
                values[index], pos = decode(data, pos)
        kept = {self._layout.columns[index].name: values[index] for index in sorted(self._keep)}
        add(orjson.dumps(kept) if self._as_json else list(kept.values()))
        if self._key:
            key(tuple(values[index] for index in self._key))
        return pos
