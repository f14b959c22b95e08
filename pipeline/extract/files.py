"""Which files an extract has, and which table each is of."""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.input_files import find_input
from schemas.config import ShopConfig
from schemas.errors import ExtractRefused, UsageError

_SUFFIXES = (".csv", ".tsv", ".txt")
_PART = re.compile(r"[-_. ]*[0-9][-_.:+ 0-9TZtz]*")
"""What may follow a table's name: a date or a number."""

GZIP_MAGIC = b"\x1f\x8b"


def find_extracts(patterns: Sequence[str]) -> list[str]:
    """Files, folders (their CSV files) and glob patterns → files. Raises UsageError."""
    return find_input(patterns, is_extract, "no extract there", "name CSV files, also as .csv.gz, or folders")


def is_extract(name: str) -> bool:
    return Path(name.lower().removesuffix(".gz")).suffix in _SUFFIXES


def table_of(path: str, config: ShopConfig) -> str:
    """The source table that a file is of, by its name: the table's, with or without its database, and after it a date
    or a number at most. Raises UsageError where it is none of the configured tables, or may be two."""
    name = Path(path).name.lower().removesuffix(".gz")
    stem = name[: -len(suffix)] if (suffix := Path(name).suffix) in _SUFFIXES else name
    found = {table for table in config.source_tables if _begins(stem, table.lower())} or {
        table for table in config.source_tables if _begins(stem, table.split(".")[1].lower())
    }
    if len(found) == 1:
        return found.pop()
    known = ", ".join(config.source_tables)
    example = min(found, default=config.tables["orders"].name)
    if found:
        raise UsageError(
            f"{path} may be of {' or '.join(sorted(found))}", hint=f"--table {example}, or call it {example}.csv"
        )
    raise UsageError(
        f"{path}: its name does not say which table it is of: {known}",
        hint=f"--table {example}, or call it as {example}.csv or {example.split('.')[1]}_2026-10.csv are called",
    )


def _begins(stem: str, table: str) -> bool:
    return stem == table or (stem.startswith(table) and _PART.fullmatch(stem[len(table) :]) is not None)


def named_table(name: str, config: ShopConfig) -> str:
    """What `--table` means: a configured table, with or without its database. Raises UsageError."""
    found = [table for table in config.source_tables if name.lower() in (table.lower(), table.split(".")[1].lower())]
    if len(found) != 1:
        which = "several tables" if found else "no table"
        raise UsageError(
            f"--table {name[:80]}: shop.yaml has {which} of that name", hint=f"one of {', '.join(config.source_tables)}"
        )
    return found[0]


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The bytes of an extract, unpacked where it is gzip, whatever its name. Raises ExtractRefused."""
    try:
        with Path(path).open("rb") as plain:
            packed = plain.read(2) == GZIP_MAGIC
            plain.seek(0)
            if packed:
                with gzip.open(plain) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield plain
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ExtractRefused(f"{path} is damaged: {error}", hint="write or copy it again") from error
    except OSError as error:
        raise ExtractRefused(f"{path} cannot be read: {error}") from error
