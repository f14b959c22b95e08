"""Texts of the database's columns in its own SQL, and the conditions of shop.yaml that compare them."""

from __future__ import annotations

from pipeline.verify.texts import plain_text
from schemas.catalogue import CatalogueColumn
from schemas.config import Condition
from schemas.identifiers import quoted

_SPACES = "".join(map(chr, range(0x2000, 0x200B)))
BLANKS = f"\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680{_SPACES}\u2028\u2029\u202f\u205f\u3000"
"""What the pipeline trims; a server's TRIM takes off one character alone."""


def text_literal(text: str) -> str:
    """Needs no escapes, whatever sql_mode says."""
    return f"_utf8mb4 x'{text.encode().hex()}'" if text else "''"


def event_text(column: CatalogueColumn) -> str:
    """What `Condition.holds` is asked with: a text; a number's digits."""
    if column.type in ("bit", "year"):
        return f"({quoted(column.name)} + 0)"
    if column.type in ("float", "double"):
        return f"({quoted(column.name)} + 0e0)"
    return plain_text(column) if column.charset else f"CAST({quoted(column.name)} AS CHAR)"


def without_blanks(text: str) -> str:
    """A text without blanks at its ends. Few have any, and looking is cheaper than replacing."""
    ends = ", ".join(str(int.from_bytes(blank.encode(), "big")) for blank in BLANKS)
    pattern = text_literal(f"^[{BLANKS}]+|[{BLANKS}]+$")
    found = f"ORD({text}) IN ({ends}) OR ORD(RIGHT({text}, 1)) IN ({ends})"
    return f"IF({found}, REGEXP_REPLACE({text}, {pattern}, ''), {text})"


def condition_in_source(condition: Condition, column: CatalogueColumn) -> str:
    """A condition of shop.yaml in the database's SQL, letter by letter: no collation makes two texts one."""
    name = quoted(column.name)
    if condition.is_null is not None:
        return f"{name} IS {'' if condition.is_null else 'NOT '}NULL"
    shown = event_text(column)
    text = f"CAST({without_blanks(shown) if column.charset else shown} AS BINARY)"
    listed = ", ".join(f"CAST({text_literal(value)} AS BINARY)" for value in sorted(condition.values))
    if condition.in_ is not None:
        return f"{text} IN ({listed})" if listed else "FALSE"
    return f"{text} NOT IN ({listed})" if listed else f"{name} IS NOT NULL"
