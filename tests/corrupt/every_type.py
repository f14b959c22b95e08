"""Tables of a few columns each that have every type between them, and rows in them."""

from __future__ import annotations

FILL = {"mariadb": (), "mysql": ()}
