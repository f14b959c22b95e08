"""`python -m bench.bigquery_writer ours|google`: writes orders into the Storage Write API that the environment names,
with the pipeline's own `Appends`, or with Google's AppendRowsStream and protobuf's messages, one request at a time."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import psutil
import pyarrow as pa
from google.api_core.future.polling import RETRY_PREDICATE
from google.api_core.retry import Retry
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport
from google.cloud.bigquery_storage_v1.writer import AppendRowsStream
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from bench.bigquery_rows import SCHEMAS, flushes
from bench.bigquery_server import DATASET
from pipeline.bigquery.append_client import WRITE_EMULATOR, AppendClient
from pipeline.bigquery.appends import Append, Appends
from schemas.columns import Kind

Write = Callable[[list[Append]], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Logs one line of JSON: rows a second of all tables together, resident bytes at a tenth and at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("ours", "google"))
    parser.add_argument("--orders", type=int, required=True)
    options = parser.parse_args(arguments)
    write = _ours() if options.way == "ours" else _google()
    began = cpu = 0.0
    rows, early = 0, 0.0
    for number, appends in enumerate(flushes(options.orders)):
        if number == 0:
            began, cpu = time.monotonic(), time.process_time()
        write(appends)
        rows += appends[0].rows.num_rows
        if not early and rows >= options.orders / 10:
            early = _resident()
    seconds = time.monotonic() - began
    facts = {
        "message": "done",
        "orders_per_s": rows / seconds,
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu,
        "rss_at_a_tenth": early,
        "rss": _resident(),
    }
    print(json.dumps(facts), flush=True)
    return 0


def _resident() -> float:
    return float(psutil.Process().memory_info().rss)


def _ours() -> Write:
    appends = Appends(AppendClient(), DATASET)

    def write(all_rows: list[Append]) -> None:
        if refused := appends.write(all_rows):
            raise SystemExit(f"refused: {refused}")

    return write


def _google() -> Write:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    channel = grpc.insecure_channel(os.environ[WRITE_EMULATOR], options)
    client: Any = BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]
    polling = Retry(predicate=RETRY_PREDICATE, initial=0.002, maximum=0.05, multiplier=1.5, timeout=60)
    streams: dict[str, AppendRowsStream] = {}
    classes = {table: _class(schema.descriptor) for table, schema in SCHEMAS.items()}

    def write(all_rows: list[Append]) -> None:
        for append in all_rows:
            if append.table not in streams:
                proto = types.ProtoSchema(proto_descriptor=append.schema.descriptor)
                data = types.AppendRowsRequest.ProtoData(writer_schema=proto)
                first = types.AppendRowsRequest(write_stream=DATASET.default_stream(append.table), proto_rows=data)
                streams[append.table] = AppendRowsStream(client, first)
            rows = types.ProtoRows(serialized_rows=list(_messages(append, classes[append.table])))
            request = types.AppendRowsRequest(
                write_stream=DATASET.default_stream(append.table),
                proto_rows=types.AppendRowsRequest.ProtoData(rows=rows),
            )
            answer: Any = streams[append.table].send(request)
            answer.result(polling=polling)

    return write


def _class(descriptor: descriptor_pb2.DescriptorProto) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="rows.proto", syntax="proto2", message_type=[descriptor])
    pool: Any = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.name))


_AS = {Kind.DECIMAL: pa.string(), Kind.DATETIME: pa.string(), Kind.TIMESTAMP: pa.int64(), Kind.DATE: pa.int32()}


def _messages(append: Append, message: Any) -> Iterator[bytes]:
    """Each row by a message of protobuf's, whose C code is the fastest that Python has for it."""
    columns = append.schema.columns
    values = [
        append.rows[name].cast(_AS.get(type.kind, append.rows[name].type)).to_pylist() for name, type in columns.items()
    ]
    sequences: pa.Array = append.sequences
    for sequence, *row in zip(sequences.to_pylist(), *values, strict=True):
        fields = {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        yield message(_CHANGE_TYPE="UPSERT", _CHANGE_SEQUENCE_NUMBER=sequence, **fields).SerializeToString()


if __name__ == "__main__":
    sys.exit(main())
