"""How a server may write its binlog and a worker read it: compressed or not, over TLS or not, with checksums or not."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tls_servers import Certificates, MariadbTls

from tests.conftest import Server


class Variant(NamedTuple):
    compressed: bool
    tls: bool
    checksum: str

    def __str__(self) -> str:
        return f"{'compressed' if self.compressed else 'plain'}-{'tls' if self.tls else 'open'}-{self.checksum.lower()}"


ALL = [Variant(*choice) for choice in itertools.product((False, True), (False, True), ("CRC32", "NONE"))]
COVERING = [variant for variant in ALL if (variant.compressed + variant.tls + (variant.checksum == "NONE")) % 2 == 0]
"""Four of the eight: each pair of settings occurs with both values of each."""

SETTINGS = {
    "mariadb": ("log_bin_compress", "log_bin_compress_min_len", "binlog_checksum"),
    "mysql": ("binlog_transaction_compression", "binlog_checksum"),
}
COMPRESSED_EVENTS = {"mariadb": "Write_rows_compressed_v1", "mysql": "Transaction_payload"}


@dataclass(frozen=True)
class VariantServer:
    """`tls` is what shop.yaml says to be encrypted."""

    server: Server
    tls: dict[str, str]

    @contextlib.contextmanager
    def writing(self, variant: Variant) -> Iterator[None]:
        """Sessions that begin now write so; settings are global, and as before afterwards."""
        names = SETTINGS[self.server.flavor]
        before = self._sql(f"SELECT {', '.join(f'@@GLOBAL.{name}' for name in names)}")[0]
        compress = "ON" if variant.compressed else "OFF"
        values = (compress, 10, variant.checksum) if self.server.flavor == "mariadb" else (compress, variant.checksum)
        try:
            self._set(names, values)
            yield
        finally:
            self._set(names, before)

    def _set(self, names: tuple[str, ...], values: tuple[Any, ...]) -> None:
        for name, value in zip(names, values, strict=True):
            self._sql(f"SET GLOBAL {name} = {value}")

    def compressed(self, begin: str) -> bool:
        """Whether a compressed event stands in the log behind FILE:POSITION; rotations in between are followed."""
        file, _, position = begin.partition(":")
        logs = [str(row[0]) for row in self._sql("SHOW BINARY LOGS")]
        wanted = COMPRESSED_EVENTS[self.server.flavor]
        return any(
            row[2] == wanted
            for log in logs[logs.index(file) :]
            for row in self._sql(f"SHOW BINLOG EVENTS IN '{log}' FROM {position if log == file else 4}")
        )

    def _sql(self, statement: str) -> list[tuple[Any, ...]]:
        with self.server.connect(autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


@contextlib.contextmanager
def mariadb_variants(folder: Path) -> Iterator[VariantServer]:
    certificates = Certificates(folder)
    with MariadbTls(folder, certificates).restored() as running:
        server = running.show(certificates.trusted, certificates.authority)
        yield VariantServer(server, {"tls": "verify-identity", "ca": str(certificates.ca)})


def mysql_variants(server: Server) -> VariantServer:
    """MySQL makes itself a certificate, whose authority is in its data folder alone."""
    return VariantServer(server, {"tls": "required"})
