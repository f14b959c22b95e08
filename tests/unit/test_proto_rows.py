"""What is serialized column by column is what protobuf's own messages read, and would have written."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bigquery.proto_rows import COLUMN_NAME, RowSchema
from pipeline.values import arrow_type
from schemas.columns import BOOL, DATE, INT64, MONEY, STRING, TIMESTAMP, ColumnType, Kind
from tests.unit.append_server import message_class

FIRST, EPOCH, LAST = map(dt.datetime.fromisoformat, ("0001-01-01", "1970-01-01", "9999-12-31T23:59:59.999999"))
SEQUENCE = "0001/00000003/0000000000000732/00000000"
BIG = ColumnType(Kind.DECIMAL, 38, 38)
WHOLE = ColumnType(Kind.DECIMAL, 38, 0)
UNSIGNED = ColumnType(Kind.DECIMAL, 20, 0)
PRICE = ColumnType(Kind.DECIMAL, 12, 2)
FLOAT, BYTES, JSON = ColumnType(Kind.FLOAT64), ColumnType(Kind.BYTES), ColumnType(Kind.JSON)
DATETIME, STRINGS, FLOATS = ColumnType(Kind.DATETIME), ColumnType(Kind.STRINGS), ColumnType(Kind.FLOATS)
TYPES = (INT64, PRICE, MONEY, BIG, WHOLE, UNSIGNED, FLOAT, STRING, BYTES, DATE, DATETIME, TIMESTAMP, JSON, BOOL)


def decimals(type: ColumnType) -> st.SearchStrategy[Decimal]:
    top = 10**type.precision - 1
    return st.integers(-top, top).map(
        lambda number: Decimal((number < 0, tuple(map(int, str(abs(number)))), -type.scale))
    )


DATETIMES = st.datetimes(FIRST, LAST)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.INT64: st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300),
    Kind.FLOAT64: st.floats(allow_nan=False),
    Kind.STRING: st.text(max_size=200),
    Kind.BYTES: st.binary(max_size=200),
    Kind.DATE: st.dates(),
    Kind.DATETIME: DATETIMES,
    Kind.TIMESTAMP: DATETIMES.map(lambda value: value.replace(tzinfo=dt.timezone.utc)),
    Kind.JSON: st.just('{"a": [1, "é"]}') | st.text(max_size=20),
    Kind.BOOL: st.booleans(),
    Kind.STRINGS: st.lists(st.text(max_size=20), max_size=4),
    Kind.FLOATS: st.lists(st.floats(allow_nan=False, width=32), max_size=4),
}


def values_of(type: ColumnType) -> st.SearchStrategy[Any]:
    return decimals(type) if type.kind is Kind.DECIMAL else VALUES[type.kind]


def wanted(value: Any, kind: Kind) -> Any:
    """A value as its field must read."""
    if kind is Kind.DATE:
        return (value - EPOCH.date()).days
    if kind is Kind.TIMESTAMP:
        return (value.replace(tzinfo=None) - EPOCH) // dt.timedelta(microseconds=1)
    if kind is Kind.DATETIME:
        return f"{value.year:04}{value:-%m-%d %H:%M:%S.%f}"
    return value


def check(
    columns: dict[str, ColumnType], rows: list[dict[str, Any]], table: pa.Table, sequences: Any = SEQUENCE
) -> None:
    schema = RowSchema(columns)
    message = message_class(schema.descriptor)
    serialized = schema.serialize(table, sequences)
    assert len(serialized) == len(rows)
    names = dict(zip(columns, schema.descriptor.field, strict=False))
    every = [sequences] * len(rows) if isinstance(sequences, str) else sequences.to_pylist()
    for row, bytes_of_it, sequence in zip(rows, serialized, every, strict=True):
        found = message.FromString(bytes_of_it)
        assert found._CHANGE_TYPE == "UPSERT"
        assert sequence == found._CHANGE_SEQUENCE_NUMBER
        again = message(_CHANGE_TYPE="UPSERT", _CHANGE_SEQUENCE_NUMBER=sequence)
        for name, type in columns.items():
            field, value = names[name].name, row.get(name)
            if type.kind in (Kind.STRINGS, Kind.FLOATS):
                assert list(getattr(found, field)) == (value or [])
                getattr(again, field).extend(value or [])
                continue
            assert found.HasField(field) == (value is not None)
            if type.kind is Kind.DECIMAL and value is not None:
                text = getattr(found, field)
                assert Decimal(text) == value
                assert set(text) <= set("-0123456789.")
                setattr(again, field, text)
            elif value is not None:
                assert getattr(found, field) == wanted(value, type.kind)
                setattr(again, field, wanted(value, type.kind))
        assert bytes_of_it == again.SerializeToString(), "byte for byte as protobuf writes it"


def arrow(columns: dict[str, ColumnType], rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], arrow_type(type)) for name, type in columns.items()})


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, ColumnType], list[dict[str, Any]]]:
    types = draw(st.lists(st.sampled_from([*TYPES, STRINGS, FLOATS]), min_size=1, max_size=20))
    columns = {f"c{number}": type for number, type in enumerate(types)}
    row = st.fixed_dictionaries({name: st.none() | values_of(type) for name, type in columns.items()})
    return columns, draw(st.lists(row, min_size=1, max_size=8))


@settings(max_examples=300, deadline=None)
@given(tables())
def test_any_value_of_any_type(drawn: tuple[dict[str, ColumnType], list[dict[str, Any]]]) -> None:
    columns, rows = drawn
    check(columns, rows, arrow(columns, rows))


@settings(max_examples=60, deadline=None)
@given(tables(), st.data())
def test_any_part_of_any_number_of_chunks(
    drawn: tuple[dict[str, ColumnType], list[dict[str, Any]]], data: st.DataObject
) -> None:
    columns, rows = drawn
    cut = data.draw(st.integers(0, len(rows)))
    table = pa.concat_tables([arrow(columns, rows[:cut]), arrow(columns, rows[cut:])])
    start, end = sorted((data.draw(st.integers(0, len(rows))), data.draw(st.integers(0, len(rows)))))
    sequences = pa.array([f"1/{number:X}" for number in range(len(rows))]).slice(start, end - start)
    check(columns, rows[start:end], table.slice(start, end - start), sequences)


@pytest.mark.parametrize(
    ("type", "values"),
    [
        (INT64, [0, -1, 1, 127, 128, 16383, 16384, 2**63 - 1, -(2**63), None]),
        (PRICE, [Decimal("0.00"), Decimal("-0.01"), Decimal("9999999999.99"), Decimal("-9999999999.99"), None]),
        (MONEY, [Decimal("0E-9"), Decimal("0.000000001"), Decimal("-0.000000001"), Decimal(10**28)]),
        (BIG, [Decimal(1).scaleb(-38), Decimal(-1).scaleb(-38), Decimal(0), Decimal("0.5")]),
        (WHOLE, [Decimal(10**38 - 1), Decimal(1 - 10**38), Decimal(0)]),
        (UNSIGNED, [Decimal(2**64 - 1), Decimal(0), None]),
        (FLOAT, [0.0, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), None]),
        (STRING, ["", "é", "x" * 127, "x" * 128, "\U0001f600" * 5000, "\x00", None]),
        (BYTES, [b"", b"\x00\xff", b"x" * 20000, None]),
        (DATE, [dt.date(1, 1, 1), dt.date(1969, 12, 31), dt.date(1970, 1, 1), dt.date(9999, 12, 31), None]),
        (DATETIME, [FIRST, EPOCH - dt.timedelta(microseconds=1), EPOCH, LAST, None]),
        (BOOL, [True, False, None]),
        (STRINGS, [[], [""], ["a", "", "é" * 200], None]),
        (FLOATS, [[], [0.5, -0.0], [1.5] * 300, None]),
    ],
)  # fmt: skip
def test_extremes(type: ColumnType, values: list[Any]) -> None:
    columns = {"value": type}
    rows = [{"value": value} for value in values]
    check(columns, rows, arrow(columns, rows))
    check(columns, [], arrow(columns, []))
    nothing = [{"value": None}] * 3
    check(columns, nothing, arrow(columns, nothing))


def test_not_a_number() -> None:
    schema = RowSchema({"value": FLOAT, "more": FLOATS})
    rows = pa.table({"value": [float("nan")], "more": pa.array([[float("nan")]], pa.list_(pa.float32()))})
    found = message_class(schema.descriptor).FromString(schema.serialize(rows, "0")[0])
    assert math.isnan(found.value)
    assert math.isnan(found.more[0])


def test_wide_rows_have_tags_of_two_bytes() -> None:
    columns = {f"c{number}": (INT64, STRING, FLOAT, DATE)[number % 4] for number in range(2100)}
    row = {
        name: {INT64: -5, STRING: "é", FLOAT: 0.5, DATE: dt.date(2022, 1, 13)}[type] for name, type in columns.items()
    }
    check(columns, [row], arrow(columns, [row]))


def test_a_column_that_the_rows_lack_is_null_and_one_that_the_schema_lacks_is_left_out() -> None:
    check({"id": INT64, "note": STRING, "tags": STRINGS}, [{"id": 1}], pa.table({"_op": ["c"], "id": [1]}))


def test_columns_of_a_related_type_are_taken_when_the_values_fit() -> None:
    table = pa.table({"id": pa.array([5], pa.int32()), "amount": pa.array([Decimal("1.50")], pa.decimal128(12, 2))})
    check({"id": INT64, "amount": MONEY}, [{"id": 5, "amount": Decimal("1.5")}], table)
    with pytest.raises(ValueError, match="Rescaling"):
        RowSchema({"amount": ColumnType(Kind.DECIMAL, 12, 1)}).serialize(pa.table({"amount": [Decimal("1.55")]}), "0")


def test_every_row_has_its_sequence_number() -> None:
    rows, schema = pa.table({"id": [1, 2]}), RowSchema({"id": INT64})
    for sequences in (pa.array(["1"]), pa.array(["1", None])):
        with pytest.raises(ValueError, match="1 sequence numbers for 2 rows"):
            schema.serialize(rows, sequences)
    chunked = pa.chunked_array([["1"], ["2"]])
    assert schema.serialize(rows, chunked) == schema.serialize(rows, chunked.combine_chunks())


def test_names_that_are_no_names_of_fields_are_annotated() -> None:
    columns = {
        "id": INT64,
        "prénom": STRING,
        "order-id": STRING,
        "column_2": STRING,
        "1st": STRING,
        "_sequence": STRING,
    }
    schema = RowSchema(columns)
    fields = schema.descriptor.field
    assert [field.name for field in fields] == [
        "id", "column_2_", "column_3", "column_2", "column_5", "_sequence", "_CHANGE_TYPE", "_CHANGE_SEQUENCE_NUMBER"
    ]  # fmt: skip
    annotated = [annotation(field) for field in fields]
    assert annotated == ["", "prénom", "order-id", "", "1st", "", "", ""]
    rows = [dict.fromkeys(columns, "é") | {"id": 7}]
    check(columns, rows, arrow(columns, rows))


def annotation(field: FieldDescriptorProto) -> str:
    """The extension as any reader of google/cloud/bigquery/storage/v1/annotations.proto sees it."""
    column_name = FieldDescriptorProto(
        name="column_name",
        number=COLUMN_NAME,
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
    )
    options = message_class(DescriptorProto(name="FieldOptions", field=[column_name]))
    return str(options.FromString(field.options.SerializeToString()).column_name)


def test_names_that_are_one_in_json_are_two_here() -> None:
    columns = {"order_id": INT64, "orderId": INT64, "order__id": INT64, "_deleted": BOOL, "deleted": BOOL}
    rows = [{"order_id": 1, "orderId": 2, "order__id": 3, "_deleted": True, "deleted": None}]
    check(columns, rows, arrow(columns, rows))


NAMES = st.text("aAbB_12é- ", min_size=1, max_size=5) | st.sampled_from(["CHANGETYPE", "column_1", "Column_2_", "_3"])


@settings(max_examples=200, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=8, unique_by=str.lower))
def test_any_names_make_a_message(names: list[str]) -> None:
    columns = dict.fromkeys(names, STRING)
    rows = [dict(zip(names, "abcdefgh", strict=False))]
    check(columns, rows, arrow(columns, rows))
    fields = list(RowSchema(columns).descriptor.field)[: len(names)]
    assert [annotation(field) or field.name for field in fields] == names
    assert len({field.name.lower() for field in fields}) == len(names)


def test_types_of_the_fields() -> None:
    of = FieldDescriptorProto
    fields = {
        **dict.fromkeys((INT64, TIMESTAMP), of.TYPE_INT64),
        **dict.fromkeys((MONEY, STRING, DATETIME, JSON, STRINGS), of.TYPE_STRING),
        **dict.fromkeys((FLOAT, FLOATS), of.TYPE_DOUBLE),
        BYTES: of.TYPE_BYTES,
        DATE: of.TYPE_INT32,
        BOOL: of.TYPE_BOOL,
    }
    assert {type.kind for type in fields} == set(Kind), "every kind that a warehouse stores"
    for type, proto in fields.items():
        field = RowSchema({"value": type}).descriptor.field[0]
        repeated = type in (STRINGS, FLOATS)
        assert (field.type, field.label) == (proto, of.LABEL_REPEATED if repeated else of.LABEL_OPTIONAL)


def test_schemas_are_equal_by_their_columns() -> None:
    one, same = RowSchema({"id": INT64, "a": PRICE}), RowSchema({"id": INT64, "a": ColumnType(Kind.DECIMAL, 12, 2)})
    assert one == same
    assert len({one, same}) == 1
    assert one != RowSchema({"a": PRICE, "id": INT64}), "the numbers of the fields differ"
    assert one != RowSchema({"id": INT64, "a": MONEY})


def test_null_inside_an_array_is_named() -> None:
    lists = pa.array([["a", None], None, [], ["b"], [None, None]], pa.list_(pa.string()))
    schema = RowSchema({"tags": STRINGS, "id": INT64})
    assert schema.misfits(pa.table({"tags": lists})) == dict.fromkeys((0, 4), "column tags: NULL inside an array")
    assert schema.misfits(pa.table({"tags": lists}).slice(1, 3)) == {}
    assert set(schema.misfits(pa.table({"tags": lists}).slice(2))) == {2}
