"""The source of the graph that reads extracts: files → changes, in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam

from pipeline.changes import Changes
from pipeline.extract.files import opened
from pipeline.extract.plan import known_names, names_of
from pipeline.extract.records import Extract, Record
from pipeline.extract.rows import ExtractFile, RecordsToChanges
from pipeline.progress import PROGRESS
from schemas.config import ShopConfig
from schemas.errors import ExtractRefused, LtvError

PIECE_ROWS = 10_000
PIECE_BYTES = 16_000_000


def pieces(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records in lists of at most 10,000 and some 16 MB."""
    piece: list[Record] = []
    size = 0
    for record in records:
        piece.append(record)
        size += len(record.data)
        if len(piece) >= PIECE_ROWS or size >= PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def changes_of(file: ExtractFile, config: ShopConfig) -> Iterator[Changes]:
    """All of a file, a piece at a time. Raises ExtractRefused where it is not the file any more that was looked at."""
    plan = file.plan
    named = known_names(plan.table, config)
    with opened(file.path) as opened_file:
        extract = Extract(file.path, opened_file, plan.reading.encoding, plan.reading.delimiter, named)
        if tuple(names_of(extract.header, named)) != file.names:
            raise ExtractRefused(f"{file.path} was changed while it was read", hint="run it again")
        convert = RecordsToChanges(file, config)
        for piece in pieces(extract.records()):
            yield convert.changes(piece)


class ReadExtract(beam.DoFn):
    """An `ExtractFile` → its `Changes`, one piece after another: never more than one piece of it is in memory."""

    def __init__(self, config: ShopConfig) -> None:
        self.config = config

    def process(self, file: ExtractFile) -> Iterator[Changes]:
        try:
            yield from changes_of(file, self.config)
        except LtvError as error:
            PROGRESS.failure = error
            raise


def read_extracts(files: Sequence[ExtractFile], config: ShopConfig) -> beam.PTransform:
    """Reads extracts; the order in which they are read does not matter."""
    return beam.Create(list(files), reshuffle=False) | "ReadExtract" >> beam.ParDo(ReadExtract(config))
