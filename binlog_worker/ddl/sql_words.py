"""A statement's text → words, quoted names, strings and punctuation, as far as DDL needs it. Pure.

Lexical rules: MySQL manual "Comments", "Schema Object Names", "String Literals". Executable comments (`/*! … */`,
`/*M! … */`) are read as code. `sqlglot` drops those, so it is not used here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_SPACE = r"(?P<space>\s+|\#[^\n]*|--(?=[\s\x00-\x1f]|$)[^\n]*|/\*(?!M?!).*?(?:\*/|$)|/\*M?!\d{0,6}|\*/)"
_QUOTED = {
    "`": r"`(?P<back>[^`]*(?:``[^`]*)*)`",
    '"': r'"(?P<double>[^"\\]*(?:(?:\\.|"")[^"\\]*)*)"',
    "'": r"'(?P<single>[^'\\]*(?:(?:\\.|'')[^'\\]*)*)'",
}
_REST = (r"(?P<word>[\w$\u0080-\U0010ffff]+)", r"(?P<mark>.)")


@lru_cache(maxsize=8)
def _token(quotes: str) -> re.Pattern[str]:
    """Of one token, where some of the quotes come in pairs."""
    return re.compile("|".join((_SPACE, *(_QUOTED[quote] for quote in quotes), *_REST)), re.DOTALL)


class Token(NamedTuple):
    """`word` is the text in capitals of an unquoted word or a punctuation mark, empty for anything quoted.

    `name` is the identifier it may stand for: None for marks and strings in single quotes. Text in double quotes may
    be a name or a string, as the server's sql_mode says; it counts as both.
    """

    word: str
    name: str | None


def tokens(sql: str) -> list[Token]:
    """Without spaces and comments. Behind a quote that nothing closes, quotes of its kind are marks like others: the
    words between them may count."""
    found: list[Token] = []
    start: int | None = 0
    quotes = "`\"'"
    while start is not None:
        start, lonely = _read(sql, start, quotes, found)
        quotes = quotes.replace(lonely, "")
    return found


def _read(sql: str, start: int, quotes: str, found: list[Token]) -> tuple[int | None, str]:
    """Adds the tokens from `start` on, up to a quote that nothing closes: returns where to go on, and that quote."""
    for match in _token(quotes).finditer(sql, start):
        kind, text = match.lastgroup, match.group()
        if kind == "mark" and text in quotes:
            found.append(Token(text, None))
            return match.end(), text
        if kind == "word":
            found.append(Token(text.upper(), text))
        elif kind == "mark":
            found.append(Token(text, None))
        elif kind == "back":
            found.append(Token("", text[1:-1].replace("``", "`")))
        elif kind == "double":
            found.append(Token("", text[1:-1].replace('""', '"')))
        elif kind == "single":
            found.append(Token("", None))
    return None, ""


def split_by_commas(words: list[Token]) -> list[list[Token]]:
    """Parts between the commas that stand outside parentheses; no empty ones."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in words:
        depth += (token.word == "(") - (token.word == ")")
        if token.word == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]
