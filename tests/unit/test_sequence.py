"""The sequence number: text that sorts as its four numbers do, and that BigQuery takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.sequence import LENGTH, LIMITS, Sequence, binlog_number, format_sequence, parse_sequence, sequence_prefix

sections = st.tuples(*(st.integers(0, limit) for limit in LIMITS))


def test_its_form() -> None:
    assert format_sequence(1, 3, 1842, 0) == "0001/00000003/0000000000000732/00000000"
    assert str(Sequence(65535, 2**32 - 1, 2**64 - 1, 2**32 - 1)) == "FFFF/FFFFFFFF/FFFFFFFFFFFFFFFF/FFFFFFFF"


@given(sections, sections)
def test_order_as_text_is_order_as_numbers(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    assert (format_sequence(*left) < format_sequence(*right)) == (left < right)


@given(sections)
def test_round_trip_and_bigquerys_rule(numbers: tuple[int, ...]) -> None:
    text = format_sequence(*numbers)
    assert len(text) == LENGTH
    assert parse_sequence(text) == numbers
    assert re.fullmatch(r"[0-9A-F]{1,16}(/[0-9A-F]{1,16}){0,3}", text)
    assert text == sequence_prefix(*numbers[:3]) + f"{numbers[3]:08X}"


@pytest.mark.parametrize(
    "numbers", [(-1, 0, 0, 0), (65536, 0, 0, 0), (0, 2**32, 0, 0), (0, 0, 2**64, 0), (0, 0, 0, 2**32)]
)
def test_a_section_that_does_not_fit_is_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        format_sequence(*numbers)


@pytest.mark.parametrize(
    "text",
    [
        "", "1/2/3/4", "0001/00000003/0000000000000732", "000a/00000003/0000000000000732/00000000",
        "0001/00000003/0000000000000732/00000000\n", " 0001/00000003/0000000000000732/00000000",
        "\u0660001/00000003/0000000000000732/00000000",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a sequence number"):
        parse_sequence(text)


def test_binlog_files_are_numbers() -> None:
    assert binlog_number("mysql-bin.000003") == ("mysql-bin", 3)
    assert binlog_number("a.b.1000000") == ("a.b", 1_000_000)
    for name in ("mysql-bin", "mysql-bin.", ".000001", "mysql-bin.index", ""):
        with pytest.raises(ValueError, match="not a binlog file name"):
            binlog_number(name)
