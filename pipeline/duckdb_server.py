"""Shares a DuckDB file that one process holds with other processes of the same machine and user.

DuckDB lets one process write a file and no other even read it meanwhile. The process that holds it listens on loopback
and leaves address and secret in `FILE.server`, readable by its user alone; `RemoteSession` does there what
`LocalSession` does here. Requests and results are JSON headers and Arrow IPC streams, never pickles.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.session import LocalSession, Statement
from schemas.errors import LtvError, QueryError, WarehouseError, WarehouseUnavailable

LOG = logging.getLogger(__name__)
_ERRORS: dict[str, type[LtvError]] = {
    kind.__name__: kind for kind in (QueryError, WarehouseError, WarehouseUnavailable)
}
MAX_CONNECTIONS = 16


def server_file(path: str) -> Path:
    return Path(f"{path}.server")


class DuckDBServer:
    """Serves a `LocalSession` until `close`. A thread per connection, 16 of them at most."""

    def __init__(self, session: LocalSession) -> None:
        self.session = session
        self._token = secrets.token_bytes(32)
        self._listener = Listener(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[Connection] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._accept, name="duckdb-server", daemon=True)
        self._thread.start()
        self._publish()

    def _publish(self) -> None:
        target = server_file(self.session.path)
        temporary = target.with_name(f"{target.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            host, port = self._listener.address[:2]
            json.dump({"host": host, "port": port, "token": self._token.hex(), "pid": os.getpid()}, file)
        temporary.replace(target)

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError):
                continue
            if self._closing or not self._slots.acquire(timeout=5):
                connection.close()
                continue
            _no_delay(connection)
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="duckdb-client", daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        try:
            deliver_challenge(connection, self._token)  # here, for one that says nothing must not hold up the others
            answer_challenge(connection, self._token)
            while True:
                self._answer(connection)
        except (EOFError, OSError, ValueError, AuthenticationError) as error:
            if not isinstance(error, EOFError):
                LOG.info("a client of the warehouse went away: %s", error)
        finally:
            self._open.discard(connection)
            connection.close()
            self._slots.release()

    def _answer(self, connection: Connection) -> None:
        header = json.loads(connection.recv_bytes())
        statements = [Statement(item["sql"], _decode(item["parameters"])) for item in header["statements"]]
        inputs = {name: _table(connection.recv_bytes()) for name in header["inputs"]}
        try:
            if header.get("read"):
                with self.session.read(statements[0]) as reader:
                    _send_result(connection, reader)
            else:
                own = bool(header.get("own_connection"))
                _send_result(connection, self.session.run(statements, inputs, own_connection=own))
        except LtvError as error:
            kind = type(error).__name__ if type(error).__name__ in _ERRORS else "WarehouseError"
            answer = {"error": kind, "message": error.message, "hint": error.hint}
            connection.send_bytes(json.dumps(answer).encode())

    def close(self) -> None:
        self._closing = True
        server_file(self.session.path).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            Client(self._listener.address).close()  # wakes `accept`
        self._thread.join(timeout=5)
        self._listener.close()
        for connection in list(self._open):
            _hang_up(connection)


class RemoteSession:
    """The same as `LocalSession`, of a file that another process holds."""

    def __init__(self, path: str) -> None:
        """Raises WarehouseUnavailable where nobody serves the file."""
        self.path = path
        self._lock = threading.Lock()
        self._half_read = False
        self._connection = self._connect()

    def _connect(self) -> Connection:
        try:
            found = json.loads(server_file(self.path).read_text(encoding="utf-8"))
            made: Connection = Client((found["host"], found["port"]), authkey=bytes.fromhex(found["token"]))
        except (OSError, ValueError, KeyError, TypeError, EOFError, AuthenticationError) as error:
            raise WarehouseUnavailable(
                f"{self.path} is held by another process that does not share it",
                hint="a running `ltv-pipeline stream` shares its file; any other program has to close it first",
            ) from error
        _no_delay(made)
        return made

    def run(
        self,
        statements: Sequence[Statement],
        inputs: Mapping[str, pa.Table] | None = None,
        *,
        own_connection: bool = False,
    ) -> pa.RecordBatchReader:
        with self._lock, _lost():
            self._send(statements, inputs or {}, own_connection=own_connection)
            schema, batches = self._receive()
            return pa.Table.from_batches(list(batches), schema).to_reader()

    @contextmanager
    def read(self, statement: Statement) -> Iterator[pa.RecordBatchReader]:
        with self._lock, _lost():
            self._send([statement], {}, read=True)
            schema, batches = self._receive()
            yield pa.RecordBatchReader.from_batches(schema, batches)

    def _send(self, statements: Sequence[Statement], inputs: Mapping[str, pa.Table], **how: bool) -> None:
        if self._half_read:  # the rest of a result would be taken for the next one
            self._connection.close()
            self._connection, self._half_read = self._connect(), False
        listed = [{"sql": statement.sql, "parameters": _encode(statement.parameters)} for statement in statements]
        self._connection.send_bytes(json.dumps({"statements": listed, "inputs": list(inputs), **how}).encode())
        for table in inputs.values():
            self._connection.send_bytes(_ipc(table.schema, table.to_batches()))

    def _receive(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        header = json.loads(self._connection.recv_bytes())
        _raise(header)
        schema = pa.ipc.read_schema(pa.py_buffer(self._connection.recv_bytes()))
        self._half_read = True
        return schema, self._batches()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        while True:
            header = json.loads(self._connection.recv_bytes())
            self._half_read = "batch" in header
            _raise(header)
            if header.get("end"):
                return
            yield from _table(self._connection.recv_bytes()).to_batches()

    def interrupt(self) -> None:
        self._connection.close()

    def close(self) -> None:
        self._connection.close()


def _no_delay(connection: Connection) -> None:
    """Without it each answer of several small parts waits 40 ms for the other side's delayed acknowledgement."""
    with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _hang_up(connection: Connection) -> None:
    """Its own thread finds it at its end, and closes it: closed under the thread's hands it would fail in odd ways."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


def _send_result(connection: Connection, reader: pa.RecordBatchReader) -> None:
    """ok, the schema, then `batch` and its bytes any number of times, then `end`; an error may come at each step."""
    connection.send_bytes(b'{"ok": true}')
    connection.send_bytes(reader.schema.serialize().to_pybytes())
    for batch in reader:
        connection.send_bytes(b'{"batch": true}')
        connection.send_bytes(_ipc(reader.schema, [batch]))
    connection.send_bytes(b'{"end": true}')


def _raise(header: dict[str, Any]) -> None:
    if "error" in header:
        raise _ERRORS[header["error"]](header["message"], hint=header["hint"])


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise WarehouseUnavailable(
            "the process that holds the warehouse went away in the middle", hint="try again"
        ) from error


def _ipc(schema: pa.Schema, batches: list[pa.RecordBatch]) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def _table(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


def _encode(parameters: dict[str, Any]) -> str:
    """Parameters travel as a one-row Arrow table, which keeps dates and decimals what they are."""
    if not parameters:
        return ""
    table = pa.table({name: [value] for name, value in parameters.items()})
    return _ipc(table.schema, table.to_batches()).hex()


def _decode(text: str) -> dict[str, Any]:
    return dict(_table(bytes.fromhex(text)).to_pylist()[0]) if text else {}
