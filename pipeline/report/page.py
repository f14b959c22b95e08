"""One HTML file of the page: template, style, script, chart library and document, all of them inside it.

The Content-Security-Policy (W3C, «Content Security Policy Level 3», hash-source) names the SHA-256 of every script and
style, so nothing else runs, and nothing is fetched. Texts of the shop are only ever inside JSON, where no character of
them can end its element.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from pipeline.report.document import Document
from schemas.errors import PageMissing

WEB = Path(__file__).with_name("web")
VENDOR = Path(__file__).with_name("vendor")

PACKED_FROM = 500_000
"""Bytes of a document."""

_SLOT = re.compile(r"\{\{(title|csp|style|vendor|script|charts|document)\}\}")
_ONCE = ("title", "csp", "style", "vendor", "script", "charts", "document")
_ELEMENT = re.compile(r"<(script|style)\b([^>]*)>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)
_DATA = re.compile(r"\btype=[\"']?application/json", re.IGNORECASE)
_ENDS = {"script": re.compile(r"</script|<!--", re.IGNORECASE), "style": re.compile(r"</style", re.IGNORECASE)}
"""What would end an element early, or make a browser look for its end elsewhere (HTML, «Restrictions for contents of
script elements»)."""

_ESCAPES = {b"<": b"\\u003c", b">": b"\\u003e", b"&": b"\\u0026",
            "\u2028".encode(): b"\\u2028", "\u2029".encode(): b"\\u2029"}  # fmt: skip


def page(document: Document, charts: Mapping[str, Any]) -> bytes:
    """UTF-8. Raises PageMissing where the installed package lacks a part."""
    given = {
        "title": html.escape(f"LTV of {document['shop']}").encode(),
        "charts": embedded(charts),
        "document": _packed(embedded(document), document["is_live"]),
    }
    return b"".join(part if isinstance(part, bytes) else given[part.name] for part in _parts(document["is_live"]))


def policy(is_live: bool) -> str:
    """The value of the header that a live page comes with; a file has the same in its meta element, but for the last
    directive, which counts in a header alone."""
    return f"{_policy(_hashes(), is_live)}; frame-ancestors 'none'"


def embedded(value: object) -> bytes:
    """JSON that cannot leave its script element. Raises TypeError where a value is no JSON: texts are made before."""
    text = orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _packed(text: bytes, is_live: bool) -> bytes:
    """A large document as gzip in base64, which `web/unpack.js` knows by its first bytes; loopback needs none of it."""
    if is_live or len(text) <= PACKED_FROM:
        return text
    return base64.b64encode(gzip.compress(text, 6, mtime=0))


class _Slot:
    """A place that each page fills anew."""

    def __init__(self, name: str) -> None:
        self.name = name


@functools.cache
def _parts(is_live: bool) -> tuple[bytes | _Slot, ...]:
    """The page, with the slots of what is another each time."""
    parts: list[bytes | _Slot] = []
    for number, text in enumerate(_SLOT.split(_template())):
        if number % 2 == 0:
            parts.append(text.encode())
        elif text == "csp":
            parts.append(html.escape(_policy(_hashes(), is_live)).encode())
        else:
            parts.append(_Slot(text))
    return tuple(parts)


@functools.cache
def _template() -> str:
    """The template with style and scripts in it, and the slots of title, policy, charts and document left."""
    template = _text(WEB / "page.html")
    wrong = [name for name in _ONCE if template.count(f"{{{{{name}}}}}") != 1]
    if wrong:
        raise PageMissing(f"{WEB / 'page.html'} needs {{{{{wrong[0]}}}}} once", hint=_INSTALL)
    given = {
        "style": _checked("style", "\n".join(_text(file) for file in _files(WEB, "*.css"))),
        "script": _checked("script", script([_text(file) for file in _files(WEB, "*.js")])),
        "vendor": "\n".join(
            f"<script>{_checked('script', _text(file))}</script>" for file in _files(VENDOR, "*.min.js")
        ),
    }
    return "".join(
        text if number % 2 == 0 else given.get(text, f"{{{{{text}}}}}")
        for number, text in enumerate(_SLOT.split(template))
    )


def script(files: list[str]) -> str:
    """The page's files as one classic script: they share their names with each other and with nothing else. The last of
    them starts the page."""
    return '(() => {\n"use strict";\n' + "\n".join(files) + "\n})();"


@functools.cache
def _hashes() -> dict[str, list[str]]:
    """script, style → the hash source of each element, as a browser computes it over all between the tags."""
    found: dict[str, list[str]] = {"script": [], "style": []}
    for name, attributes, text in _ELEMENT.findall(_template()):
        if not _DATA.search(attributes):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            found[name.lower()].append(f"'sha256-{digest}'")
    return found


def _policy(hashes: Mapping[str, list[str]], is_live: bool) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(hashes['script'])}",
            f"style-src {' '.join(hashes['style'])}",
            "img-src data:",
            "connect-src 'self'" if is_live else "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


_INSTALL = "the installed package is not whole: install it anew"


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise PageMissing(f"there is no {folder / pattern}", hint=_INSTALL)
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PageMissing(f"{file} cannot be read: {error}", hint=_INSTALL) from error


def _checked(element: str, text: str) -> str:
    found = _ENDS[element].search(text)
    if found:
        raise PageMissing(f"«{found[0]}» inside a {element} of the page", hint="write it apart: '<' + '/script'")
    return text.strip()
