"""Identifiers and literals in GoogleSQL («Lexical structure and syntax»)."""

from __future__ import annotations


def quoted(name: str) -> str:
    """An identifier in back-quotes."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def text(value: str) -> str:
    """A text literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"
