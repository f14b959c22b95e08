"""The file: whole in itself, nothing else runs, and no text of the shop can leave its place."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.report import page as assembler
from pipeline.report.charts import charts
from pipeline.report.document import Document
from pipeline.report.page import embedded, page, policy
from schemas.errors import PageMissing
from tests.report.test_document import HOSTILE, WORDS, document_of


class Elements(HTMLParser):
    """Every element with its attributes, and the text of scripts and styles, as a browser takes them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, dict[str, str | None], str]] = []
        self._inside: tuple[str, dict[str, str | None]] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = (tag, dict(attrs)) if tag in ("script", "style", "title") else None
        if self._inside:
            self.texts.append((*self._inside, ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[-1] = (*self._inside, self.texts[-1][2] + data)


@pytest.fixture(scope="module")
def document() -> Document:
    return document_of(WORDS)


def hostile(document: Document, **more: Any) -> Document:
    rows = [{**document["products"]["rows"][0], "product": name} for name in HOSTILE]
    return {**document, "products": {"rows": rows, "left_out": 0}, **more}  # type: ignore[typeddict-item]


def parsed(made: bytes) -> Elements:
    return Elements(made.decode("utf-8"))


def data_of(elements: Elements, id: str) -> Any:
    (text,) = (text for _, attributes, text in elements.texts if attributes.get("id") == id)
    return json.loads(text)


def test_the_document_and_the_charts_are_in_it(document: Document) -> None:
    elements = parsed(page(document, charts()))
    assert data_of(elements, "document") == document
    assert data_of(elements, "charts") == charts()
    assert [text for tag, _, text in elements.texts if tag == "title"] == ["LTV of shop"]


def test_hostile_texts_stay_where_they_are(document: Document) -> None:
    given = hostile(document, shop="</title><script>alert(1)</script>{{script}}")
    elements, plain = parsed(page(given, charts())), parsed(page(document, charts()))
    assert data_of(elements, "document") == given
    assert [tag for tag, _ in elements.found] == [tag for tag, _ in plain.found]
    made = page(given, charts()).decode()
    assert "<script>alert" not in made and "\u2028" not in made.split('id="document"')[1].split("</script>")[0]
    assert [text for tag, _, text in elements.texts if tag == "title"] == [f"LTV of {given['shop']}"]


@pytest.mark.parametrize("text", ["</script>", "<!--", "&lt;", "\u2028\u2029", "]]>", "\x00\x1f", "'\"\\"])
def test_no_character_ends_a_script_element(text: str) -> None:
    made = embedded({"text": text}).decode()
    assert not set("<>&\u2028\u2029\x00") & set(made)
    assert json.loads(made) == {"text": text}


@pytest.mark.parametrize("is_live", [False, True])
def test_the_policy_names_every_script_and_style(document: Document, is_live: bool) -> None:
    elements = parsed(page({**document, "is_live": is_live}, charts()))
    (found,) = (
        given["content"] for tag, given in elements.found if given.get("http-equiv") == "Content-Security-Policy"
    )
    directives = {words[0]: words[1:] for words in (part.split() for part in str(found).split(";"))}
    inline = {
        tag: [
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for name, attributes, text in elements.texts
            if name == tag and attributes.get("type") != "application/json"
        ]
        for tag in ("script", "style")
    }
    assert directives["script-src"] == inline["script"] and len(inline["script"]) > 2
    assert directives["style-src"] == inline["style"] and inline["style"]
    assert directives["default-src"] == ["'none'"]
    assert directives["connect-src"] == ["'self'" if is_live else "'none'"]
    assert "unsafe" not in str(found)
    assert policy(is_live) == f"{html.unescape(str(found))}; frame-ancestors 'none'"


def test_nothing_is_fetched(document: Document) -> None:
    for tag, attributes in parsed(page(document, charts())).found:
        for name in ("src", "href", "srcset", "action", "data", "poster", "background", "formaction"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), f"<{tag} {name}={value}>"
        assert "style" not in attributes and not any(name.startswith("on") for name in attributes), tag
    styles = "".join(file.read_text() for file in assembler.WEB.glob("*.css"))
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:|#)", styles)


def test_a_large_document_is_packed(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    given = hostile(document)
    monkeypatch.setattr(assembler, "PACKED_FROM", 1_000)
    elements = parsed(page(given, charts()))
    (text,) = (text for _, attributes, text in elements.texts if attributes.get("id") == "document")
    assert text.startswith("H4sI"), "what web/unpack.js knows it by"
    assert json.loads(gzip.decompress(base64.b64decode(text))) == given
    assert page(given, charts()) == page(given, charts())
    assert data_of(parsed(page({**given, "is_live": True}, charts())), "document") == {**given, "is_live": True}


@pytest.mark.parametrize("lacks", ["page.html", "*.css", "*.js", "*.min.js"])
def test_a_package_that_lacks_a_part_says_so(lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name in ((assembler.WEB, "WEB"), (assembler.VENDOR, "VENDOR")):
        copy = tmp_path / name
        copy.mkdir()
        for file in folder.iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        monkeypatch.setattr(assembler, name, copy)
    for file in [*(tmp_path / "VENDOR").glob(lacks), *(tmp_path / "WEB").glob(lacks)]:
        file.unlink()
    forget()
    try:
        with pytest.raises(PageMissing) as raised:
            page({**document_of([]), "is_live": False}, {})
    finally:
        forget()
    assert lacks in raised.value.message and raised.value.hint == "the installed package is not whole: install it anew"


def forget() -> None:
    for remembered in (assembler._parts, assembler._template, assembler._hashes):
        remembered.cache_clear()


def test_a_value_that_is_no_json_is_refused() -> None:
    import datetime as dt

    with pytest.raises(TypeError):
        embedded({"day": dt.date(2022, 1, 1)})
