"""How a batch logs in where it reads: at the source, or at a replica that may have a password of its own."""

from __future__ import annotations

from schemas.config import ShopConfig, read_password
from schemas.source import Connection, SourceAddress, connect


def log_in(config: ShopConfig, address: SourceAddress, read_timeout: float) -> Connection:
    """Raises SourceRefused, SourceUnavailable and ConfigError."""
    password = address.password.get_secret_value() or read_password(config)
    return connect(address, password, config.encryption, read_timeout=read_timeout)
