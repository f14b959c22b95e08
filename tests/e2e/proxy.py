"""Between worker and server: a TCP connection that goes silent, is cut, or is listened to."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Forwards TCP to a server until `freeze`, and then keeps all connections open and silent. `heard` is all that went
    either way, where `listening`."""

    def __init__(self, host: str, port: int, *, listening: bool = False) -> None:
        self._target = (host, port)
        self._listening = listening
        self.heard = bytearray()
        self._frozen: list[socket.socket] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            upstream = socket.create_connection(self._target)
            self._open += (client, upstream)
            for one, other in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                if self._listening:
                    self.heard += data
                if one not in self._frozen:
                    other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def freeze(self) -> None:
        self._frozen = list(self._open)

    def cut(self) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()
