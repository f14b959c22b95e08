"""What to compare, and how: the options of `ltv-pipeline verify`."""

from __future__ import annotations

import argparse
import datetime as dt
from dataclasses import dataclass, field

from pipeline.arguments import as_of_day, seconds_from_0, whole_number
from schemas.errors import UsageError

WORDS = (
    "compare the warehouse with the database, row by row and number by number",
    "Compares checksums of ranges of rows that both sides compute, prints the rows that differ, and runs the\n"
    "rollup's analysis on the database. Beside a running stream, too: what is in flight is looked at again.\n"
    "Exit status 0: equal; 1: different, or it cannot be told.",
    "ltv-pipeline verify -c shop.yaml\n"
    "  ltv-pipeline verify -c shop.yaml --table orders --no-rollup --format json\n"
    "  ltv-pipeline verify -c shop.yaml --sample 1% --wait 300",
)
"""For `--help`: in a line, in full, and examples."""
CHUNK_ROWS = 50_000
LIMIT = 20
WAIT_S = 60.0


@dataclass(frozen=True)
class Sample:
    """A fraction of the rows, or about so many of each table."""

    fraction: float = 1.0
    rows: int = 0

    @classmethod
    def parse(cls, text: str) -> Sample:
        """0.01 or 1% of the rows, or a number of them. Raises UsageError."""
        percent = text.endswith("%")
        try:
            number = float(text.removesuffix("%")) / (100 if percent else 1)
        except ValueError:
            number = 0.0
        if 0 < number < 1 or (percent and number == 1):
            return cls(fraction=number)
        if 1 <= number < 1e15 and number == int(number) and not percent:
            return cls(rows=int(number))
        raise UsageError(
            f"--sample {text[:40]!r} is neither a fraction nor a number of rows", hint="0.01, 1% or 100000"
        )

    def share(self, total: int) -> float:
        """Of a table with `total` rows."""
        return min(1.0, self.rows / total) if self.rows and total else self.fraction


@dataclass(frozen=True)
class Scope:
    """`tables`: source or raw tables; all, where none is named. `chunk_rows`: of a range that has one checksum.
    `limit`: differing rows of a table that are printed. `wait`: the most seconds for what is in flight, per table."""

    tables: tuple[str, ...] = ()
    chunk_rows: int = CHUNK_ROWS
    limit: int = LIMIT
    wait: float = WAIT_S
    sample: Sample = field(default_factory=Sample)


@dataclass(frozen=True)
class Options:
    """`as_of` None: the day of the last rollup, or today. `form`: table or json."""

    scope: Scope = field(default_factory=Scope)
    rollup: bool = True
    as_of: dt.date | None = None
    form: str = "table"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--table", action="append", metavar="TABLE", help="only this one, of the database or raw")
    command.add_argument("--sample", metavar="PART", help="compare 0.01, 1%% or 100000 of each table's rows")
    command.add_argument("--chunk-rows", type=whole_number, default=CHUNK_ROWS, metavar="N", help="rows of a checksum")
    command.add_argument(
        "--limit", type=whole_number, default=LIMIT, metavar="N", help="differing rows that are printed"
    )
    command.add_argument("--wait", type=seconds_from_0, default=WAIT_S, metavar="SECONDS", help="for what is in flight")
    command.add_argument("--as-of", metavar="DATE", help="of the rolled-up tables; default: as of their last rollup")
    command.add_argument("--no-rollup", action="store_true", help="compare rows alone, no rolled-up tables")
    command.add_argument("--format", choices=("table", "json"), default="table", help="default: table")


def from_arguments(given: argparse.Namespace) -> Options:
    """Raises UsageError."""
    sample = Sample() if given.sample is None else Sample.parse(given.sample)
    scope = Scope(tuple(given.table or ()), given.chunk_rows, given.limit, given.wait, sample)
    as_of = None if given.as_of is None else as_of_day(given.as_of)
    return Options(scope, not given.no_rollup, as_of, given.format)
