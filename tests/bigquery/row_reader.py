"""A writer's descriptor held against a table's columns, and its rows parsed and checked, one by one.

Every value is checked when it is appended, since that is when BigQuery answers with `row_errors`; a row is kept as the
bytes that came, and becomes values when the table is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from google.protobuf import descriptor_pool, message_factory, unknown_fields
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError

from tests.bigquery.change_rows import UNORDERED, parse_sequence
from tests.bigquery.change_rows import Sequence as ChangeSequence
from tests.bigquery.column_values import CHECKS, PROTO_TYPES
from tests.bigquery.tables import Layout, StoredRow

CHANGE_TYPE, CHANGE_SEQUENCE = "_change_type", "_change_sequence_number"
MAX_ROW_BYTES = 10_000_000
COLUMN_NAME = 454943157
"""FieldOptions' extension `column_name` (google/cloud/bigquery/storage/v1/annotations.proto): the name of the column of
a field whose own name is none that protobuf takes."""

Parsed = tuple[StoredRow, Any, ChangeSequence, bool]
"""The row, its key, its sequence, and whether it is a DELETE."""


class ExtraFields(Exception):
    """The writer's schema has fields that the table does not: SCHEMA_MISMATCH_EXTRA_FIELDS."""


class WrongSchema(Exception):
    """Types or modes that do not fit the table, or change data for a table that takes none."""


class RowReader:
    """Of one writer schema for one layout of a table. Raises ExtraFields or WrongSchema.

    `hidden` are columns in lower case that the write API does not know yet."""

    def __init__(self, proto: DescriptorProto, layout: Layout, hidden: frozenset[str] = frozenset()) -> None:
        self.layout = layout
        self._names = {field.number: _column_name(field) for field in proto.field}
        self.is_change = CHANGE_TYPE in self._names.values()
        self._check_fields(proto, hidden)
        self._class = _message_class(proto)
        self._repeated = {field.number for field in proto.field if field.label == FieldDescriptorProto.LABEL_REPEATED}
        fields = {self._names[field.number]: field for field in proto.field}
        self._required = [
            (column.name, fields[column.name.lower()].name if column.name.lower() in fields else None)
            for column in layout.columns
            if column.mode == "REQUIRED"
        ]
        checked = [column for column in layout.columns if column.kind in CHECKS and column.name.lower() in fields]
        self._checks = [(CHECKS[column.kind], column.mode == "REPEATED", column.name) for column in checked]
        self._ordered = CHANGE_SEQUENCE in fields
        wanted = [CHANGE_TYPE] if self.is_change else []
        wanted += [CHANGE_SEQUENCE] if self._ordered else []
        keys = [name.lower() for name in layout.key if name.lower() in fields]
        wanted += [*keys, *(column.name.lower() for column in checked)]
        self._key = slice(len(wanted) - len(checked) - len(keys), len(wanted) - len(checked))
        self._taken = [fields[name].name for name in wanted]
        self._take = attrgetter(*self._taken, "DESCRIPTOR", "DESCRIPTOR")  # a tuple, however few there are

    def _check_fields(self, proto: DescriptorProto, hidden: frozenset[str]) -> None:
        extra = []
        for field in proto.field:
            name = self._names[field.number]
            if name in (CHANGE_TYPE, CHANGE_SEQUENCE):
                if field.type != FieldDescriptorProto.TYPE_STRING:
                    raise WrongSchema(f"{name.upper()} must be of type STRING")
                continue
            column = self.layout.column(name)
            if column is None or name in hidden:
                extra.append(field.name)
                continue
            if field.type not in PROTO_TYPES[column.kind]:
                kind = FieldDescriptorProto.Type.Name(field.type)
                raise WrongSchema(
                    f"The proto field mismatched with BigQuery field at {field.name}: {kind} for {column.kind}"
                )
            repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
            if repeated != (column.mode == "REPEATED"):
                raise WrongSchema(f"The proto field label mismatched with BigQuery field mode at {field.name}")
        if extra:
            raise ExtraFields(f"Input schema has more fields than BigQuery schema, extra fields: '{','.join(extra)}'")
        if self.is_change and not self.layout.key:
            raise WrongSchema("The table has no primary key: it takes no rows with _CHANGE_TYPE")
        if self.is_change and not {name.lower() for name in self.layout.key} <= set(self._names.values()):
            raise WrongSchema("The rows lack columns of the primary key")

    def parse_all(self, rows: Sequence[bytes]) -> tuple[list[Parsed], list[tuple[int, str]]]:
        """All rows, and of those that are wrong the index and what it is."""
        parsed: list[Parsed] = []
        wrong: list[tuple[int, str]] = []
        for index, data in enumerate(rows):
            try:
                parsed.append(self._parse(data))
            except (ValueError, DecodeError) as error:
                wrong.append((index, str(error)))
        if rows and not wrong and (strange := self._unknown(rows[0])):
            wrong.append((0, f"the row has a field {strange} that is not in the writer's schema"))
        return parsed, wrong

    def _parse(self, data: bytes) -> Parsed:
        if len(data) > MAX_ROW_BYTES:
            raise ValueError(f"Row payload too large. Maximum size {MAX_ROW_BYTES} Actual size {len(data)}")
        row = self._class.FromString(data)
        *values, _, _ = self._take(row)
        for place, (check, repeated, name) in enumerate(self._checks, self._key.stop):
            value = values[place]
            if not repeated:
                if (value or row.HasField(self._taken[place])) and (problem := check(value)):
                    raise ValueError(f"Field {name}: {problem}")
            elif problem := next(filter(None, map(check, value)), None):
                raise ValueError(f"Field {name}: {problem}")
        for name, field in self._required:
            if field is None or not row.HasField(field):
                raise ValueError(f"Field {name} is required")
        sequence, deleted = UNORDERED, False
        if self.is_change:
            if values[0] not in ("UPSERT", "DELETE"):
                raise ValueError(f"The given value is not a valid CHANGE_TYPE: {values[0]!r}")
            deleted = values[0] == "DELETE"
            if self._ordered and (values[1] or row.HasField(self._taken[1])):
                sequence = parse_sequence(values[1])
        key = tuple(values[self._key])
        if not all(key):
            fields = self._taken[self._key]
            key = tuple(value if row.HasField(field) else None for value, field in zip(key, fields, strict=True))
        return StoredRow(data, self.values), key, sequence, deleted

    def values(self, data: bytes) -> dict[str, Any]:
        found = {}
        for field, value in self._class.FromString(data).ListFields():
            found[self._names[field.number]] = list(value) if field.number in self._repeated else value
        return found

    def _unknown(self, data: bytes) -> int | None:
        """Of the first row of a request alone: looking costs more than parsing."""
        strange = unknown_fields.UnknownFieldSet(self._class.FromString(data))
        return next((field.field_number for field in strange), None)


def _column_name(field: FieldDescriptorProto) -> str:
    for option in unknown_fields.UnknownFieldSet(field.options):
        if option.field_number == COLUMN_NAME:
            return bytes(option.data).decode().lower()
    return field.name.lower()


def _message_class(proto: DescriptorProto) -> Any:
    """A pool of its own for each: the same name is another message next time."""
    file = FileDescriptorProto(name="rows.proto", package="written", syntax="proto2")
    file.message_type.add().CopyFrom(proto)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"written.{proto.name}"))
