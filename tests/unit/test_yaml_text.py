"""Text of a database in a shop.yaml: any name or value comes back as it was, and no comment says anything to YAML."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.init.yaml_text import comment, flow, listed, scalar, shown

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
WORDS = st.sampled_from(
    ["yes", "NO", "null", "~", "1e3", "0x1", "2024-01-01", "=", "<<", "- a", "a: b", "#", "", " a "]
)
VALUE = TEXT | WORDS | st.integers() | st.booleans() | st.none()


@given(VALUE)
def test_a_value_comes_back(value: Any) -> None:
    assert yaml.safe_load(f"key: {scalar(value)}    # said")["key"] == value


@given(st.dictionaries(TEXT | WORDS, st.lists(VALUE, max_size=3), max_size=4))
def test_mappings_and_lists_come_back(value: dict[str, Any]) -> None:
    assert yaml.safe_load(flow(value)) == value


@given(st.lists(TEXT, max_size=3))
def test_a_comment_says_nothing_to_yaml(paragraphs: list[str]) -> None:
    lines = comment(*(shown(text) for text in paragraphs), indent="  ")
    text = "\n".join(["a: 1", *lines, f"b: 2    # {listed(paragraphs)}"])
    assert yaml.safe_load(text) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb\x00\x85\u2028", "a\\x0ab\\x00\\x85\\u2028"),
        (b"\xff\n", "\\xff\\x0a"),
        ("x" * 300, "x" * 199 + "…"),
        (None, "None"),
    ],
)
def test_what_is_shown_is_one_line_and_short(value: Any, text: str) -> None:
    assert shown(value) == text
