"""The Storage Write API's AppendRows call over gRPC: requests out, answers in, errors by their codes.

The only module that imports google-cloud-bigquery-storage, of which it uses the client (credentials, TLS, endpoint) and
the types, not `writer.AppendRowsStream`: its futures poll from one second on, `send` keeps no lock around the queue of
futures and that of requests, opening waits in steps of 80 ms, and each row is a Python object. Here a request is bytes.
Nor Beam's WriteToBigQuery: its upserts are a Java transform, which needs a jar and a JVM beside the workers, runs on no
local Python runner, and refuses DATE, DATETIME and JSON columns without `type_overrides`.
"""

from __future__ import annotations

import os
import queue
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from pipeline.bigquery import wire_format as wire
from pipeline.bigquery.errors import bigquery_errors
from pipeline.bigquery.refusals import Refusal
from schemas.errors import ConfigError, WarehouseUnavailable

if TYPE_CHECKING:
    from pipeline.bigquery.proto_rows import RowSchema

REST_EMULATOR, WRITE_EMULATOR = "BIGQUERY_EMULATOR_HOST", "BIGQUERY_WRITE_EMULATOR_HOST"
METHOD = "/google.cloud.bigquery.storage.v1.BigQueryWrite/AppendRows"
TRACE_ID = "ltv-stream"
DETAILS = "grpc-status-details-bin"
CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # by default up to two minutes pass
]
KEEPALIVE = [("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 60_000)]
"""As in Google's own examples; a plain gRPC server takes it for abuse."""
_PROTO_ROWS, _WRITER_SCHEMA, _ROWS = (wire.tag(number, wire.LENGTH) for number in (4, 1, 2))
"""Of AppendRowsRequest; of its ProtoData."""


@dataclass(frozen=True)
class Answer:
    """To one request: taken, or refused; and then perhaps for some of its rows, by their places in the request."""

    refusal: Refusal | None = None
    row_errors: tuple[tuple[int, str], ...] = ()


class CallEnded(Exception):
    """The call is over, whoever ended it; what was not answered may have been taken or not."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class AppendClient:
    """One channel of this process to the Storage Write API, or to an emulator of it. Safe to use from several threads.

    Raises ConfigError where only the REST half of an emulator is named, WarehouseError without credentials.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        host = environment.get(WRITE_EMULATOR)
        if not host and environment.get(REST_EMULATOR):
            raise ConfigError(
                [f"{REST_EMULATOR} is set, {WRITE_EMULATOR} is not: rows cannot be written"],
                source="the environment",
                hint=f"{WRITE_EMULATOR}=127.0.0.1:PORT names the emulator's gRPC address",
            )
        self._channel = _emulator_channel(host) if host else _google_channel()
        self._append_rows: Any = self._channel.stream_stream(
            METHOD, request_serializer=None, response_deserializer=types.AppendRowsResponse.pb().FromString
        )

    def open(self, stream: str, schema: RowSchema) -> AppendCall:
        """Begins a call that writes rows of one schema to one stream. What is wrong with it is its first answer."""
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # the header by which a request finds its region
        metadata = (("x-goog-request-params", f"write_stream={urllib.parse.quote(stream, safe='/')}"),)
        try:
            call = self._append_rows(iter(requests.get, None), metadata=metadata)
        except ValueError as error:  # so says a channel that is closed
            raise WarehouseUnavailable("the connection to BigQuery is closed") from error
        return AppendCall(call, requests, request_start(stream, schema))

    def close(self) -> None:
        self._channel.close()


class AppendCall:
    """Requests are answered in order. One thread at a time sends, one reads the answers.

    Stream and schema, which the first request must bring, go with every one until a request has been taken: a server
    that refused the first may not have kept them.
    """

    def __init__(self, call: Any, requests: queue.SimpleQueue[bytes | None], start: tuple[bytes, bytes]) -> None:
        self._call = call
        self._requests = requests
        self._start = start

    def send(self, rows: memoryview) -> None:
        """Rows as `RowSchema.in_request` makes them. Does not wait: bound what is unanswered."""
        self._requests.put(request(self._start, rows))

    def answers(self) -> Iterator[Answer]:
        """One to each request. Raises CallEnded, always, when there are no more."""
        try:
            for response in self._call:
                answer = _answer(response)
                if answer.refusal is None:
                    self._start = (b"", b"")
                yield answer
        except grpc.RpcError as error:
            raise CallEnded(_refusal(error)) from error
        finally:
            self._requests.put(None)
        raise CallEnded(Refusal("ABORTED", "the server ended the call"))

    def finish(self) -> None:
        """No more requests: the server ends the call when it has answered those."""
        self._requests.put(None)

    def cancel(self) -> None:
        """Ends it now."""
        self._requests.put(None)
        self._call.cancel()


def request_start(stream: str, schema: RowSchema) -> tuple[bytes, bytes]:
    """What only the first requests of a call bring: of the request itself, and of its ProtoData."""
    proto = types.ProtoSchema.pb()(proto_descriptor=schema.descriptor).SerializeToString()
    fields = types.AppendRowsRequest.pb()(write_stream=stream, trace_id=TRACE_ID).SerializeToString()
    return fields, _WRITER_SCHEMA + wire.varint(len(proto)) + proto


def request(start: tuple[bytes, bytes], rows: memoryview) -> bytes:
    """An AppendRowsRequest, serialized; the rows, which are up to 8 MB, are copied once."""
    fields, schema = start
    before_rows = _ROWS + wire.varint(len(rows))
    length = wire.varint(len(schema) + len(before_rows) + len(rows))
    return b"".join((fields, _PROTO_ROWS, length, schema, before_rows, rows))


def _answer(response: Any) -> Answer:
    if response.WhichOneof("response") != "error":
        return Answer()
    status = response.error
    refusal = Refusal(_code_name(status.code), status.message, _storage_code(status))
    return Answer(refusal, tuple((int(error.index), str(error.message)) for error in response.row_errors))


def _refusal(error: grpc.RpcError) -> Refusal:
    """What ended a call; the Storage Write API's own code comes in the trailing metadata."""
    call: Any = error
    storage_code = ""
    for name, value in call.trailing_metadata() or ():
        if name == DETAILS:
            storage_code = _storage_code(Status.FromString(value))
    return Refusal(call.code().name, call.details() or "", storage_code)


def _storage_code(status: Status) -> str:
    """The name of the Storage Write API's own code; "" where there is none, or one that is newer than the client."""
    found = types.StorageError.pb()()
    for detail in status.details:
        if detail.Unpack(found) and found.code:
            return _STORAGE_CODES.get(found.code, "")
    return ""


_STORAGE_CODE = types.StorageError.pb().DESCRIPTOR.enum_types_by_name["StorageErrorCode"]
_STORAGE_CODES: dict[int, str] = {number: value.name for number, value in _STORAGE_CODE.values_by_number.items()}


_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def _code_name(code: int) -> str:
    return _CODES.get(code, "UNKNOWN")


def _emulator_channel(host: str) -> grpc.Channel:
    return grpc.insecure_channel(host, options=[*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0)])


def _google_channel() -> grpc.Channel:
    """Google's own, with our options besides."""

    def channel(host: str, **settings: Any) -> grpc.Channel:
        settings["options"] = [*settings.get("options", ()), *CHANNEL_OPTIONS, *KEEPALIVE]
        return BigQueryWriteGrpcTransport.create_channel(host, **settings)

    def transport(**settings: Any) -> BigQueryWriteGrpcTransport:
        return BigQueryWriteGrpcTransport(**{**settings, "channel": channel})

    with bigquery_errors("opening the Storage Write API"):
        client: Any = BigQueryWriteClient
        opened: grpc.Channel = client(transport=transport).transport.grpc_channel
        return opened
