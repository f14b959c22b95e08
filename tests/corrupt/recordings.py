"""The recorded logs beside this file: packets exactly as a server sent them, and a server that sends them again."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
FLAVORS = ("mariadb", "mysql")
CHECKSUMS = ("crc32", "none")
LIFE, TYPES = "{}-{}.packets", "{}-types.packets"
