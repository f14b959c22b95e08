"""Bytes of a CSV file → records: lines, quotes, NULL, and what is wrong set aside with its own bytes."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.records import Extract, Record
from schemas.errors import ExtractRefused


def extract(data: bytes, delimiter: str | None = None, encoding: str = "utf-8") -> Extract:
    return Extract("x.csv", io.BytesIO(data), encoding, delimiter, ["id", "amount"])


def records(body: str, header: str = "id,note,amount") -> list[Record]:
    return list(extract(f"{header}\n{body}".encode()).records())


def fields(body: str) -> list[list[str | None]]:
    return [record.fields for record in records(body)]


def problems(body: str) -> list[tuple[int, bytes, str]]:
    return [(record.line, record.data, record.problem) for record in records(body) if record.problem]


def test_plain_and_quoted_fields() -> None:
    assert fields('1,a,2\n2,"x, ""y""\nz",3\r\n3,"",4') == [
        ["1", "a", "2"],
        ["2", 'x, "y"\nz', "3"],
        ["3", "", "4"],
    ]


def test_null_is_empty_or_a_word_without_quotes() -> None:
    assert fields('1,,2\n2,NULL,3\n3,\\N,4\n4,"NULL",5\n5,null,6') == [
        ["1", None, "2"],
        ["2", None, "3"],
        ["3", None, "4"],
        ["4", "NULL", "5"],
        ["5", "null", "6"],
    ]


def test_lines_are_counted_over_records_and_empty_lines() -> None:
    found = records('1,a,2\n\n2,"b\nb\nb",3\n3,c,4')
    assert [(record.line, record.data) for record in found] == [
        (2, b"1,a,2\n"),
        (4, b'2,"b\nb\nb",3\n'),
        (7, b"3,c,4"),
    ]


def test_wrong_counts_of_fields() -> None:
    assert problems("1,a\n2,b,3\n3,c,4,5\n") == [
        (2, b"1,a\n", "2 fields where the header has 3"),
        (4, b"3,c,4,5\n", "4 fields where the header has 3"),
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('1,5" pipe,2', "field 2 has a quote inside, but is not in quotes"),
        ('1,"a"b,2', "field 2 goes on after its closing quote"),
        ('1,"never closed,2', "a quote is not closed within 30 bytes"),
    ],
)
def test_damaged_quotes_cost_one_line(line: str, what: str) -> None:
    found = records(f"{line}\n2,b,3\n3,c,4\n")
    assert [(record.line, record.problem) for record in found if record.problem] == [(2, what)]
    assert [record.fields for record in found if not record.problem] == [["2", "b", "3"], ["3", "c", "4"]]
    assert found[0].data == f"{line}\n".encode()


def test_a_quote_that_another_closes_costs_one_line() -> None:
    found = records('1,"open,2\n2,b,3\n3,"c",4\n4,d,5')
    assert [record.line for record in found if record.problem] == [2]
    assert [record.fields[0] for record in found if not record.problem] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("header", "delimiter"), [("id,amount", ","), ("id;amount", ";"), ("id\tamount", "\t"), ("id;amount;a,b,c,d", ";")]
)
def test_the_delimiter_is_found_by_the_columns_that_are_wanted(header: str, delimiter: str) -> None:
    assert extract(f"{header}\n".encode()).delimiter == delimiter


def test_another_delimiter() -> None:
    found = extract(b'id|note\n1|"a|b"\n', "|")
    assert [record.fields for record in found.records()] == [["1", "a|b"]]


def test_a_byte_order_mark_is_no_part_of_the_header() -> None:
    assert extract(b"\xef\xbb\xbfid,amount\n").header == ["id", "amount"]


def test_another_encoding() -> None:
    (record,) = extract("id,näme\n1,café\n".encode("latin-1"), encoding="latin-1").records()
    assert record.fields == ["1", "café"]


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (b"id,amount,ID\n", "names ID, id twice"),
        (b"id,,amount,\n", "column 2, 4 of the header has no name"),
        (b"i\0d\0,\0\n\0", "holds zero bytes"),
        (b"id,amount\r1,2\r", "\\\\r alone"),
    ],
)
def test_headers_that_are_refused(header: bytes, what: str) -> None:
    with pytest.raises(ExtractRefused, match=what) as refused:
        extract(header)
    assert refused.value.hint


def test_a_file_that_changes_while_it_is_read() -> None:
    with pytest.raises(ExtractRefused, match="changed while it was read"):
        list(extract(b"id,note\n1,\xff\n").records())


TEXT = st.text(st.characters(blacklist_characters="\r\0", blacklist_categories=["Cs"]), max_size=8)


@given(st.lists(st.lists(TEXT, min_size=3, max_size=3), max_size=8), st.sampled_from(",;\t|"))
def test_what_pythons_csv_writes_is_read_back(rows: list[list[str]], delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([["id", "amount", "note"], *rows])
    assert [record.fields for record in extract(out.getvalue().encode(), delimiter).records()] == rows


@given(st.lists(st.lists(st.text('a1",\n', max_size=5), min_size=2, max_size=2), max_size=8))
def test_what_pythons_csv_quotes_as_needed_is_read_back(rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["id", "amount"], *rows])
    expected = [[value or None for value in row] for row in rows]
    found = [[value or None for value in record.fields] for record in extract(out.getvalue().encode()).records()]
    assert found == expected


@given(st.lists(st.text('a1",', max_size=12), max_size=12))
def test_every_byte_is_in_some_record(lines: list[str]) -> None:
    body = "\n".join(lines)
    found = records(body)
    kept = b"".join(record.data for record in found)
    assert kept.replace(b"\n", b"") == body.encode().replace(b"\n", b"")
    assert [record.line for record in found] == sorted({record.line for record in found})
