"""Requests are of a bounded size, made as they are asked for, and know which rows they have."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bigquery import append_requests
from pipeline.bigquery.append_client import request, request_start
from pipeline.bigquery.append_requests import NAMES_BYTES, Append, RejectedRow, requests
from pipeline.bigquery.proto_rows import RowSchema
from schemas.columns import BOOL, INT64, STRING, ColumnType, Kind
from tests.unit.append_server import AppendRowsRequest, message_class

COLUMNS = {"id": INT64, "note": STRING}
SCHEMA = RowSchema(COLUMNS)
MESSAGE = message_class(SCHEMA.descriptor)
STREAM = "projects/p/datasets/ltv_raw/tables/orders/streams/_default"
OVERHEAD = SCHEMA.size + NAMES_BYTES


def append(notes: list[str]) -> Append:
    rows = pa.table({"id": range(len(notes)), "note": notes}, pa.schema([("id", pa.int64()), ("note", pa.string())]))
    return Append("orders", SCHEMA, rows, pa.array([f"1/{number:X}" for number in range(len(notes))], pa.string()))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=60), st.integers(60, 1_000))
def test_every_row_is_once_in_a_request_in_order_or_is_too_long(lengths: list[int], room: int) -> None:
    rejected: list[RejectedRow] = []
    made = list(requests(append(["x" * length for length in lengths]), rejected, OVERHEAD + room))
    assert all(0 < len(each.body) <= room for each in made)
    for one, two in itertools.pairwise(made):
        assert len(one.body) + len(two.rows[0].as_py()) > room, "no shorter than it must be"
    places = [int(place) for each in made for place in each.places]
    assert places == sorted(places)
    assert sorted([*places, *(row.index for row in rejected)]) == list(range(len(lengths)))
    for each in made:
        parsed = AppendRowsRequest.FromString(request((b"", b""), each.body))
        rows = [MESSAGE.FromString(row) for row in parsed.proto_rows.rows.serialized_rows]
        assert [(row.id, len(row.note)) for row in rows] == [(place, lengths[place]) for place in each.places]
        assert [row._CHANGE_SEQUENCE_NUMBER for row in rows] == [f"1/{place:X}" for place in each.places]
    for row in rejected:
        assert lengths[row.index] > room - 60
        assert f"BigQuery takes no request of more than {room:,}" in row.message


def test_the_first_request_of_a_call_is_what_protobuf_would_write() -> None:
    made = next(requests(append(["é", "", "x" * 300]), []))
    found = AppendRowsRequest.FromString(request(request_start(STREAM, SCHEMA), made.body))
    assert (found.write_stream, found.trace_id) == (STREAM, "ltv-stream")
    assert found.proto_rows.writer_schema.proto_descriptor == SCHEMA.descriptor
    assert list(found.proto_rows.rows.serialized_rows) == SCHEMA.serialize(made.append.rows, made.append.sequences)
    assert found.ByteSize() == len(found.SerializeToString()) < len(made.body) + OVERHEAD
    rest = AppendRowsRequest.FromString(request((b"", b""), made.body))
    assert (rest.write_stream, rest.proto_rows.HasField("writer_schema")) == ("", False)
    assert rest.proto_rows.rows == found.proto_rows.rows


def test_the_largest_request_is_below_eight_megabytes_with_all_its_names() -> None:
    stream = f"projects/{'p' * 30}/datasets/{'d' * 1024}/tables/{'t' * 1024}/streams/_default"
    wide = RowSchema({f"column {number} {'é' * 100}": BOOL for number in range(2_000)} | COLUMNS)
    rows = append(["x" * 70_000] * 130)
    made = list(requests(Append("orders", wide, rows.rows, rows.sequences), []))
    assert max(len(request(request_start(stream, wide), each.body)) for each in made) <= 8_000_000
    assert sum(len(each.places) for each in made) == 130


def test_rows_are_serialized_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append_requests, "SLICE_BYTES", 10_000)
    parts: list[int] = []
    serialized = RowSchema.in_request

    def watched(schema: RowSchema, rows: pa.Table, sequences: pa.Array | str) -> pa.Array:
        parts.append(rows.num_rows)
        return serialized(schema, rows, sequences)

    monkeypatch.setattr(RowSchema, "in_request", watched)
    source = requests(append(["x" * 100] * 1_000), [], OVERHEAD + 20_000)
    assert parts == []
    first = next(source)
    assert len(parts) == 2, "a request is full, so a second part was needed"
    assert max(parts) < 100
    assert sum(len(each.places) for each in [first, *source]) == sum(parts) == 1_000


def test_refused_rows_leave_and_keep_their_places() -> None:
    made = list(requests(append([f"note {number}" for number in range(10)]), [], OVERHEAD + 150))
    second = made[1]
    first_place = int(second.places[0])
    rejected, rest = second.without({1: "bad", 0: "worse"})
    assert rejected == [RejectedRow(first_place, "worse"), RejectedRow(first_place + 1, "bad")]
    assert rest is not None
    assert [int(place) for place in rest.places] == [int(place) for place in second.places[2:]]
    found = AppendRowsRequest.FromString(request((b"", b""), rest.body)).proto_rows.rows.serialized_rows
    assert [MESSAGE.FromString(row).id for row in found] == list(rest.places)
    assert rest.without(dict.fromkeys(range(len(rest.places)), "all"))[1] is None


def test_null_inside_an_array_is_set_aside() -> None:
    schema = RowSchema({"tags": ColumnType(Kind.STRINGS)})
    rows = pa.table({"tags": [["a"], ["b", None], None]})
    rejected: list[RejectedRow] = []
    made = list(requests(Append("orders", schema, rows, "0"), rejected))
    assert np.concatenate([each.places for each in made]).tolist() == [0, 2]
    assert rejected == [RejectedRow(1, "column tags: NULL inside an array")]
