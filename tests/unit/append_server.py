"""A server of AppendRows that does what a test tells it: it takes rows, refuses, is silent, or cuts the connection."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.rpc.status_pb2 import Status

from pipeline.bigquery.append_client import DETAILS, METHOD

AppendRowsRequest, AppendRowsResponse = types.AppendRowsRequest.pb(), types.AppendRowsResponse.pb()
StorageError = types.StorageError


@dataclass
class Seen:
    """One request as it came: the how-manieth of the call and of all, and its rows, parsed."""

    stream: str
    call: int
    number: int
    rows: list[Any]
    size: int
    request: Any


@dataclass
class Refuse:
    """An answer that is an error; the call goes on."""

    status: grpc.StatusCode
    storage_code: str = ""
    row_errors: list[tuple[int, str]] = field(default_factory=list)
    message: str = "said the test"

    def rpc_status(self) -> Status:
        status = Status(code=self.status.value[0], message=self.message)
        if self.storage_code:
            code = getattr(StorageError.StorageErrorCode, self.storage_code)
            status.details.add().Pack(StorageError.pb()(code=code, error_message=self.message))
        return status


@dataclass
class Cut:
    """The call ends with this status; the rows may have been `taken` all the same."""

    status: grpc.StatusCode
    storage_code: str = ""
    taken: bool = False


@dataclass
class Hold:
    """No answer before the event is set, for ten seconds at most."""

    until: threading.Event


Reply = Refuse | Cut | Hold | None
Script = Callable[[Seen], Reply]


def message_class(descriptor: descriptor_pb2.DescriptorProto) -> Any:
    """The class of protobuf's own that reads messages of this descriptor."""
    file = descriptor_pb2.FileDescriptorProto(name="rows.proto", syntax="proto2", message_type=[descriptor])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.name))


class AppendServer:
    """In this process, on a port of its own. `taken`: stream → rows, in the order in which they were taken."""

    def __init__(self) -> None:
        self.script: Script = lambda seen: None
        self.taken: dict[str, list[Any]] = defaultdict(list)
        self.seen: list[Seen] = []
        self.calls: list[dict[str, str]] = []
        self.answered = 0
        self.ended = 0
        self._open: list[grpc.ServicerContext] = []
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
        handler = grpc.stream_stream_rpc_method_handler(
            self._append_rows, AppendRowsRequest.FromString, AppendRowsResponse.SerializeToString
        )
        service, method = METHOD.strip("/").split("/")
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()

    def hang_up(self) -> None:
        """Ends every call that is open, as BigQuery does with idle ones."""
        for context in list(self._open):
            context.cancel()

    def _append_rows(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        with self._lock:
            self.calls.append({str(key): str(value) for key, value in context.invocation_metadata()})
            call = len(self.calls)
            self._open.append(context)
        stream, message, taken = "", None, False
        try:
            for request in requests:
                stream = request.write_stream or stream
                if request.proto_rows.HasField("writer_schema"):
                    message = message_class(request.proto_rows.writer_schema.proto_descriptor)
                if message is None:
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first request of a call brings the schema")
                rows = [message.FromString(row) for row in request.proto_rows.rows.serialized_rows]
                with self._lock:
                    seen = Seen(stream, call, len(self.seen) + 1, rows, request.ByteSize(), request)
                    self.seen.append(seen)
                response = self._reply(seen, context)
                taken = taken or not response.HasField("error")
                if not taken:  # of a call whose first request was refused nothing is kept
                    stream, message = "", None
                yield response
                with self._lock:
                    self.answered += 1
        finally:
            with self._lock:
                self.ended += 1
                self._open.remove(context)

    def _reply(self, seen: Seen, context: grpc.ServicerContext) -> Any:
        reply = self.script(seen)
        if isinstance(reply, Hold):
            reply.until.wait(10)
        if reply is None or isinstance(reply, Hold) or (isinstance(reply, Cut) and reply.taken):
            with self._lock:
                self.taken[seen.stream] += seen.rows
        if isinstance(reply, Cut):
            details = Refuse(reply.status, reply.storage_code).rpc_status()
            context.set_trailing_metadata(((DETAILS, details.SerializeToString()),))
            context.abort(reply.status, "said the test")
        if isinstance(reply, Refuse):
            errors = [types.RowError.pb()(index=index, message=text) for index, text in reply.row_errors]
            return AppendRowsResponse(error=reply.rpc_status(), row_errors=errors, write_stream=seen.stream)
        return AppendRowsResponse(append_result=AppendRowsResponse.AppendResult(), write_stream=seen.stream)
