"""The recorded logs beside this file: packets exactly as a server sent them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from binlog_worker.events import HEADER, RawEvent

FOLDER = Path(__file__).parent
FLAVORS = ("mariadb", "mysql")
CHECKSUMS = ("crc32", "none")
LIFE, TYPES = "{}-{}.packets", "{}-types.packets"
