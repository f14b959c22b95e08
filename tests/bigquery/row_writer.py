"""A writer of rows that knows nothing of ours: protobuf messages, and the Storage Write API's requests one by one."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.rpc.status_pb2 import Status

from tests.bigquery.server import PROJECT, BigQueryServer
from tests.bigquery.write_service import DETAILS, SERVICE

PROTO = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}
CHANGE = {"_CHANGE_TYPE": "string", "_CHANGE_SEQUENCE_NUMBER": "string"}


class Refusal(Exception):
    """What ended a call: the gRPC code's name, and the Storage Write API's own number, or 0."""

    def __init__(self, error: grpc.RpcError) -> None:
        call: Any = error
        super().__init__(call.details())
        self.code = call.code().name
        self.storage = 0
        for name, value in call.trailing_metadata() or ():
            if name == DETAILS and (details := Status.FromString(value).details):
                storage = types.StorageError.pb()()
                details[0].Unpack(storage)
                self.storage = storage.code


class RowWriter:
    """One connection. `fields` is name → protobuf type, `repeated string` for many; the two of change data come too."""

    def __init__(self, server: BigQueryServer, table: str, fields: Mapping[str, str], *, change: bool = True) -> None:
        self._stream = f"projects/{PROJECT}/datasets/{server.dataset}_raw/tables/{table}/streams/_default"
        self._channel = grpc.insecure_channel(server.grpc_address, [("grpc.max_send_message_length", -1)])
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        call = self._channel.stream_stream(
            f"/{SERVICE}/AppendRows",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=types.AppendRowsResponse.pb().FromString,
        )
        self._answers = call(iter(self._requests.get, None))
        self._first = True
        self.describe({**fields, **(CHANGE if change else {})})

    def describe(self, fields: Mapping[str, str]) -> None:
        """The next request brings another schema."""
        self._proto = row_descriptor(fields)
        self._class = row_class(self._proto)
        self._described = False

    def send(self, *rows: Mapping[str, Any], stream: str | None = None) -> Any:
        """Its answer. Raises Refusal where the call ended instead."""
        request = types.AppendRowsRequest.pb()()
        if self._first or stream is not None:
            request.write_stream = stream or self._stream
        if not self._described:
            request.proto_rows.writer_schema.proto_descriptor.CopyFrom(self._proto)
        request.proto_rows.rows.serialized_rows.extend(self._class(**row).SerializeToString() for row in rows)
        self._first, self._described = False, True
        return self.request(request)

    def request(self, request: Any) -> Any:
        self._requests.put(request)
        try:
            return next(self._answers)
        except grpc.RpcError as error:
            raise Refusal(error) from error

    def upsert(self, *rows: Mapping[str, Any], sequence: str | None = None, kind: str = "UPSERT") -> Any:
        """Rows with the same change type and sequence number."""
        return self.send(*({**row, **change(kind, sequence)} for row in rows))

    def close(self) -> None:
        self._requests.put(None)
        self._channel.close()

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def row_descriptor(fields: Mapping[str, str]) -> DescriptorProto:
    proto = DescriptorProto(name="Row")
    for number, (name, kind) in enumerate(fields.items(), 1):
        repeated = kind.startswith("repeated ")
        label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
        proto.field.add(name=name, number=number, type=PROTO[kind.split()[-1]], label=label)
    return proto


def row_class(proto: DescriptorProto) -> Any:
    file = FileDescriptorProto(name="r.proto", package="r", syntax="proto2")
    file.message_type.add().CopyFrom(proto)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("r.Row"))


def change(kind: str = "UPSERT", sequence: str | None = None) -> dict[str, str]:
    return {"_CHANGE_TYPE": kind, **({"_CHANGE_SEQUENCE_NUMBER": sequence} if sequence is not None else {})}


def rows_of(server: BigQueryServer, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """As the server keeps them, sorted."""
    rows = server.table(table).arrow().select(list(columns)).to_pylist()
    return sorted((tuple(row.values()) for row in rows), key=repr)


def row_errors(answer: Any) -> list[tuple[int, str]]:
    return [(error.index, error.message) for error in answer.row_errors]


def numbered(rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Values of a column `x`, with an `id`."""
    for index, value in enumerate(rows):
        yield {"id": index, **({} if value is None else {"x": value})}
