"""The Storage Write API: google.cloud.bigquery.storage.v1.BigQueryWrite, its default streams alone.

What it answers is by its reference: `AppendRowsRequest` (what the first request of a connection brings, and when
later ones bring it again), `AppendRowsResponse` (`error`, `row_errors`, `updated_schema`), `StorageError`; the rules of
change data by «Stream table updates with change data capture ingestion».
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.rpc.status_pb2 import Status

from tests.bigquery.faults import Faults
from tests.bigquery.row_reader import ExtraFields, RowReader, WrongSchema
from tests.bigquery.tables import Layout, StoredRow, Table, Tables

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryWrite"
REQUEST, RESPONSE = types.AppendRowsRequest.pb(), types.AppendRowsResponse.pb()
ROW_ERROR, STORAGE_ERROR = types.RowError.pb(), types.StorageError.pb()
CODES = types.StorageError.StorageErrorCode
DETAILS = "grpc-status-details-bin"
_STREAM = re.compile(r"projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)(?:/streams/([^/]+))?")
_SCHEMA_TYPES = {"INT64": "INT64", "FLOAT64": "DOUBLE", "BOOL": "BOOL"}


class Refused(Exception):
    """A request that is not taken; `ends`: the call is over with it."""

    def __init__(self, code: grpc.StatusCode, message: str, storage: Any = None, *, ends: bool = True) -> None:
        super().__init__(message)
        self.code, self.ends = code, ends
        self.status = Status(code=code.value[0], message=message)
        if storage is not None:
            self.status.details.add().Pack(STORAGE_ERROR(code=storage, error_message=message))


@dataclass
class _Connection:
    """What the server remembers of one call."""

    table: Table | None = None
    stream: str = ""
    proto: Any = None
    reader: RowReader | None = None
    changing: bool | None = None
    told: int | None = None
    last_given: bool = field(default=True)


class WriteService(grpc.GenericRpcHandler):
    """`clients` counts the calls that are open, `rows` those taken; `cut` breaks off connections. Safe for
    several threads."""

    def __init__(self, tables: Tables, faults: Callable[[], Faults]) -> None:
        self._tables, self._faults = tables, faults
        self.requests = self.rows = self.clients = self.opened = 0
        self.cut: Callable[[], object] = lambda: None

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method.removeprefix(f"/{SERVICE}/")
        if method == "AppendRows":
            return grpc.stream_stream_rpc_method_handler(
                self._append_rows,
                request_deserializer=None,
                response_serializer=RESPONSE.SerializeToString,
            )
        if method == "GetWriteStream":
            return grpc.unary_unary_rpc_method_handler(
                self._get_write_stream,
                request_deserializer=types.GetWriteStreamRequest.pb().FromString,
                response_serializer=types.WriteStream.pb().SerializeToString,
            )
        if handler_call_details.method.startswith(f"/{SERVICE}/"):
            return grpc.unary_unary_rpc_method_handler(_only_default_streams)
        return None

    def _append_rows(self, requests: Iterator[bytes], context: Any) -> Iterator[Any]:
        connection = _Connection()
        self.clients += 1
        self.opened += 1
        try:
            for data in requests:
                self.requests += 1
                try:
                    response = self._answer(connection, data, context)
                except Refused as refused:
                    if refused.ends:
                        _end(context, refused)
                    response = RESPONSE(error=refused.status, write_stream=connection.stream)
                yield response
        finally:
            self.clients -= 1

    def _answer(self, connection: _Connection, data: bytes, context: Any) -> Any:
        faults = self._faults()
        if faults.latency:
            time.sleep(faults.latency)
        if not faults.takes_append():
            raise _denied(connection.stream or "the table")
        fault = faults.next_append()
        if fault == "cut":
            self.cut()
        if fault in ("UNAVAILABLE", "cut"):
            raise Refused(grpc.StatusCode.UNAVAILABLE, "injected: try again")
        if fault in ("ABORTED", "INTERNAL"):
            raise Refused(grpc.StatusCode[fault], "injected: try again", ends=False)
        if len(data) > faults.request_limit:
            message = f"AppendRows request too large: {len(data)} limit {faults.request_limit}"
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, message)
        response = self._append(connection, REQUEST.FromString(data), faults)
        if fault == "lost":
            raise Refused(grpc.StatusCode.UNAVAILABLE, "injected: the answer is lost")
        return response

    def _append(self, connection: _Connection, request: Any, faults: Faults) -> Any:
        self._address(connection, request, faults)
        table, stream = connection.table, connection.stream
        assert table is not None
        if request.HasField("arrow_rows"):
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "this server takes protobuf alone, as change data does")
        if request.HasField("offset"):
            raise _invalid("Offset cannot be specified on the _default stream")
        rows = request.proto_rows.rows.serialized_rows
        reader = self._reader(connection, table, faults)
        if connection.changing not in (None, reader.is_change):
            raise _invalid("The given value is not a valid CHANGE_TYPE: rows with and without it in one connection")
        connection.changing = reader.is_change
        parsed, wrong = reader.parse_all(rows)
        if faults.refuse_row is not None and not wrong:
            for index, (row, *_) in enumerate(parsed):
                if message := faults.refuse_row(table.id[2], row.parse()):
                    wrong.append((index, message))
        if faults.partition_years is not None and not wrong:
            wrong = [
                (index, why) for index, (row, *_) in enumerate(parsed) if (why := self._misplaced(table, row, faults))
            ]
        if wrong:
            message = "Errors found while processing rows. Please refer to the row_errors field for details."
            response = RESPONSE(error=_invalid(f"{message} Entity: {stream}").status, write_stream=stream)
            response.row_errors.extend(ROW_ERROR(index=index, code=1, message=message) for index, message in wrong)
            return response
        with table.lock:
            for row, key, sequence, deleted in parsed:
                if not reader.is_change:
                    table.inserted.append(row)
                elif deleted:
                    table.changes.delete(key, sequence)
                else:
                    table.changes.upsert(key, sequence, row)
            table.version += 1
            self.rows += len(parsed)
        response = RESPONSE(append_result={}, write_stream=stream)
        if connection.told != table.altered:
            if connection.told is not None:
                response.updated_schema.CopyFrom(table_schema(table.layout))
            connection.told = table.altered
        return response

    def _misplaced(self, table: Table, row: StoredRow, faults: Faults) -> str | None:
        """«Streaming data into partitioned tables»: a time-unit partition is open for a while before and after now."""
        partition = table.layout.partition
        assert faults.partition_years is not None
        value = row.parse().get(partition[0].lower()) if partition else None
        if value is None or not isinstance(value, int):
            return None
        column = table.layout.column(partition[0]) if partition else None
        days = value if column is not None and column.kind == "DATE" else value // 86_400_000_000
        away = days - self._tables.now().timestamp() // 86_400
        past, ahead = faults.partition_years
        if -past * 365.25 <= away <= ahead * 365.25:
            return None
        return f"The value {value} of partitioning field {partition and partition[0]} is outside the allowed bounds"

    def _address(self, connection: _Connection, request: Any, faults: Faults) -> None:
        """The table and writer schema of a request: its own, or those of the requests before it."""
        if request.write_stream and request.write_stream != connection.stream:
            table = self._table(request.write_stream, faults)
            if not request.proto_rows.HasField("writer_schema"):
                raise _invalid("The writer schema must be provided with a new destination table")
            connection.table, connection.stream, connection.reader, connection.told = (
                table,
                request.write_stream,
                None,
                None,
            )
        if connection.table is None:
            raise _invalid("The first request on a connection must specify the stream to write to")
        if "write" in faults.denied:
            raise _denied(connection.table.name)
        if self._tables.get(connection.table.id) is not connection.table:
            connection.table = self._table(connection.stream, faults)
        if request.proto_rows.HasField("writer_schema"):
            connection.proto, connection.reader = request.proto_rows.writer_schema.proto_descriptor, None
        if connection.proto is None:
            raise _invalid("The first request on a connection must specify the writer schema")

    def _reader(self, connection: _Connection, table: Table, faults: Faults) -> RowReader:
        hidden = faults.hidden_columns.get(table.id[2], frozenset())
        if connection.reader is None or connection.reader.layout is not table.layout:
            try:
                connection.reader = RowReader(connection.proto, table.layout, hidden)
            except ExtraFields as error:
                raise Refused(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"{error} Entity: {connection.stream}",
                    CODES.SCHEMA_MISMATCH_EXTRA_FIELDS,
                    ends=faults.schema_errors_end_call,
                ) from error
            except WrongSchema as error:
                raise _invalid(f"{error} Entity: {connection.stream}") from error
        return connection.reader

    def _table(self, stream: str, faults: Faults) -> Table:
        found = _STREAM.fullmatch(stream)
        if found is None:
            raise _invalid(f"Invalid stream name: {stream[:100]}")
        project, dataset, name, of = found.groups()
        if "write" in faults.denied:
            raise _denied(f"{project}.{dataset}.{name}")
        table = self._tables.get((project, dataset, name))
        if table is None or name in faults.hidden_tables:
            message = f"Requested entity was not found: table {project}:{dataset}.{name}"
            raise Refused(grpc.StatusCode.NOT_FOUND, message, CODES.TABLE_NOT_FOUND)
        if of not in ("_default", None):
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Stream not found: {stream}", CODES.STREAM_NOT_FOUND)
        return table

    def _get_write_stream(self, request: Any, context: Any) -> Any:
        try:
            table = self._table(request.name, self._faults())
        except Refused as refused:
            _end(context, refused)
        stream = types.WriteStream.pb(types.WriteStream(name=request.name, type_=types.WriteStream.Type.COMMITTED))
        if request.view == types.WriteStreamView.FULL:
            stream.table_schema.CopyFrom(table_schema(table.layout))
        return stream


def table_schema(layout: Layout) -> Any:
    """google.cloud.bigquery.storage.v1.TableSchema."""
    kinds, modes = types.TableFieldSchema.Type, types.TableFieldSchema.Mode
    fields = [
        types.TableFieldSchema(
            name=column.name, type_=kinds[_SCHEMA_TYPES.get(column.kind, column.kind)], mode=modes[column.mode]
        )
        for column in layout.columns
    ]
    return types.TableSchema.pb(types.TableSchema(fields=fields))


def _invalid(message: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def _denied(table: str) -> Refused:
    message = f"Permission 'TABLES_UPDATE_DATA' denied on resource '{table}' (or it may not exist)."
    return Refused(grpc.StatusCode.PERMISSION_DENIED, message)


def _end(context: Any, refused: Refused) -> None:
    context.set_trailing_metadata(((DETAILS, refused.status.SerializeToString()),))
    context.abort(refused.code, str(refused))


def _only_default_streams(request: bytes, context: Any) -> bytes:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server has default streams only, which are not created")
    raise AssertionError("abort raises")
