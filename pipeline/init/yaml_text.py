"""Text of a database as YAML: names and values as scalars, anything as comments, whatever characters are in it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping

WIDTH = 118
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_MOST = 200


def scalar(value: object) -> str:
    """A value as it may stand in a flow mapping or list; text that is no plain name in double quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def flow(value: object) -> str:
    """Mappings and lists on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def shown(value: object, most: int = _MOST) -> str:
    """A value for a comment: on one line, without control characters, not longer than `most` characters."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    text = "".join(character if character.isprintable() else _escaped(character) for character in text[: most + 1])
    return text if len(text) <= most else text[: most - 1] + "…"


def comment(*paragraphs: str, indent: str = "") -> list[str]:
    """Lines of a comment. What came from the database has been through `shown`."""
    lines: list[str] = []
    for paragraph in paragraphs:
        start = f"{indent}# "
        lines += textwrap.wrap(
            shown(paragraph, 4_000), WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False
        ) or [start.rstrip()]
    return lines


def listed(values: Iterable[object], most: int = 12) -> str:
    """Values with commas between them, the first `most` of them."""
    texts = [shown(value, 80) for value in values]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most:,} more" if len(texts) > most else "")
