"""The dump connection over TLS: what was decrypted but not yet read counts as pending, and closing it ends a reader."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme
from test_dump import FILE, beginning, dump, event

from binlog_worker.log import dump as dump_module
from schemas.errors import CorruptBinlog, HalfOpenConnection, SourceUnavailable
from tests.dump_connection import DumpConnection


class TlsConnection(DumpConnection):
    """Both ends after a handshake; `raw` is the server's, below TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = self.server.dup()
        authority = trustme.CA()
        theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.issue_cert("db.example.org").configure_cert(theirs)
        authority.configure_trust(ours)
        accepted: list[ssl.SSLSocket] = []
        thread = threading.Thread(target=lambda: accepted.append(theirs.wrap_socket(self.server, server_side=True)))
        thread.start()
        self._sock: socket.socket = ours.wrap_socket(self._sock, server_hostname="db.example.org")
        thread.join()
        self.server = accepted[0]
        self.server.sendall(b"!")  # the session tickets of TLS 1.3 come before it, as before the answer to a login
        assert self._sock.recv(1) == b"!"


@pytest.fixture
def connection() -> Iterator[TlsConnection]:
    found = TlsConnection()
    yield found
    for one in (found._sock, found.server, found.raw):
        one.close()


def test_pending_counts_what_is_decrypted(connection: TlsConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """One TLS record of four events, read in pieces smaller than it: nothing more comes on the socket itself."""
    monkeypatch.setattr(dump_module, "RECEIVE_BYTES", 40)
    found = dump(connection)
    assert not found.pending()
    connection.server.sendall(beginning(500) + event(16, bytes(8), 531) + event(16, bytes(8), 562))
    assert found.pending()
    events = iter(found)
    for left in (3, 2, 1):
        next(events)
        assert select.select([connection._sock], [], [], 0)[0] == []
        assert found.pending(), left
    next(events)
    assert not found.pending()
    connection.server.sendall(event(16, bytes(8), 593))
    assert found.pending()


def test_packet_of_many_records(connection: TlsConnection) -> None:
    """20 MB are some 1,300 TLS records."""
    body = bytes(range(256)) * 80_000
    end = 500 + 23 + len(body)
    stream = beginning(500) + event(29, body, end) + event(16, bytes(8), end + 31)
    thread = threading.Thread(target=lambda: connection.server.sendall(stream))
    thread.start()
    events = iter(dump(connection))
    data = [next(events).data for _ in range(4)]
    thread.join()
    assert data[2][19:] == body
    assert len(data[3]) == 27


def test_silence_over_tls_is_a_half_open_connection(connection: TlsConnection) -> None:
    connection.server.sendall(beginning(500))
    with pytest.raises(HalfOpenConnection):
        list(dump(connection, read_timeout=0.05))


def test_connection_cut_below_tls(connection: TlsConnection) -> None:
    """No close_notify: the server died."""
    connection.server.sendall(beginning(500) + event(16, bytes(8), 531)[:10])
    connection.raw.shutdown(socket.SHUT_RDWR)
    with pytest.raises(SourceUnavailable, match=f"{FILE}:500"):
        list(dump(connection))


def test_record_that_is_damaged_is_no_event(connection: TlsConnection) -> None:
    """What TLS itself refuses is a broken connection, not a corrupt log."""
    connection.server.sendall(beginning(500))
    connection.raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(SourceUnavailable) as caught:
        list(dump(connection))
    assert not isinstance(caught.value, CorruptBinlog)


def test_close_ends_a_reader_that_waits_over_tls(connection: TlsConnection) -> None:
    found = dump(connection, read_timeout=30.0)
    connection.server.sendall(beginning(500))
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(item.kind for item in found))
    reader.start()
    while len(seen) < 2:
        assert reader.is_alive()
    found.close()
    reader.join(5)
    assert not reader.is_alive()
