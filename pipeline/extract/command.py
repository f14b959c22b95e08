"""`ltv-pipeline batch --extract`: looks at every file, then reads them through the graph; the rollup comes after it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from pipeline.extract.files import find_extracts, named_table, table_of
from pipeline.extract.numbers import bases
from pipeline.extract.plan import Reading, plan_table
from pipeline.extract.rows import ExtractFile
from pipeline.extract.source import read_extracts
from pipeline.extract.survey import checked_encoding, survey
from pipeline.graph import write
from pipeline.process_warehouse import release, share
from pipeline.progress import PROGRESS, live_line
from pipeline.runner import pipeline_options, run_graph
from pipeline.warehouse import Warehouse, open_warehouse
from pipeline.worker_letters import EXTRACT
from schemas.config import ShopConfig
from schemas.errors import ExtractRefused, UsageError
from schemas.tables import RAW

LOG = logging.getLogger(__name__)
_DELIMITERS = {"tab": "\t", "\\t": "\t"}


@dataclass(frozen=True)
class FileSummary:
    """What became of one file: `lines` that it has, header included, and how many are dead letters."""

    path: str
    table: str
    lines: int
    dead: int
    first_dead: int = 0


def reading_of(encoding: str, delimiter: str | None, decimal_comma: bool) -> Reading:
    """The command's options, checked. Raises UsageError."""
    mark = _DELIMITERS.get(delimiter, delimiter) if delimiter is not None else None
    if mark is not None and (len(mark) != 1 or mark in '"\r\n\\' or mark.isalnum()):
        raise UsageError(f"--delimiter {delimiter!r} is no single mark", hint="such as , ; | or tab")
    if mark == "," and decimal_comma:
        raise UsageError("--decimal-comma with the delimiter , would tear numbers apart")
    return Reading(checked_encoding(encoding), mark, decimal_comma)


def load_extracts(
    config: ShopConfig,
    patterns: Sequence[str],
    reading: Reading,
    table: str | None = None,
    beam_arguments: Sequence[str] = (),
    *,
    live: bool = False,
) -> list[FileSummary]:
    """Applies every line of the files; the same lines again change nothing. What a file has that does not fit becomes
    dead letters. Raises UsageError and ExtractRefused, before anything is written, where a file as a whole is wrong."""
    config.need("warehouse")
    pipeline_options(beam_arguments)
    only = named_table(table, config) if table else None
    paths = [str(Path(path).resolve()) for path in find_extracts(patterns)]
    of = {path: only or table_of(path, config) for path in paths}
    surveys = {path: survey(path, reading.encoding) for path in paths}
    warehouse = open_warehouse(config, waiting=LOG.warning)
    share(config, warehouse)
    try:
        stored = warehouse.raw_tables()
        plans = {
            table: plan_table(table, [path for path in paths if of[path] == table], reading, config, stored)
            for table in dict.fromkeys(of.values())
        }
        warehouse.check_settings(config)
        files = []
        for table, (plan, names) in plans.items():
            numbered = bases(table, [surveys[path] for path in names], warehouse)
            files += [ExtractFile(path, plan, base, names[path]) for path, base in zip(names, numbered, strict=True)]
            forget_letters(warehouse, table, list(names))
        with live_line() if live else contextlib.nullcontext():
            run_graph(lambda pipeline: _lay(pipeline, files, config), beam_arguments)
        _warn_of_floors(warehouse, config, list(plans))
        dead = _dead_lines(warehouse)
        summaries = [FileSummary(path, of[path], surveys[path].lines, *dead.get(path, (0, 0))) for path in paths]
    finally:
        release(config)
    LOG.info("extracts read", extra={"files": len(paths), **PROGRESS.facts()})
    return summaries


def _lay(pipeline: beam.Pipeline, files: Sequence[ExtractFile], config: ShopConfig) -> None:
    write(pipeline | "ReadExtracts" >> read_extracts(files, config), config)


def forget_letters(warehouse: Warehouse, table: str, paths: Sequence[str]) -> None:
    """The dead letters of files that are read again: what is still wrong comes again."""
    letters = [letter for letter in warehouse.dead_letters(table) if letter.attributes.get(EXTRACT) in paths]
    warehouse.forget_dead_letters(letters)


def _dead_lines(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    """Message id → its dead lines and the first of them."""
    sql = f"SELECT message_id, COUNT(*) AS dead, MIN(line) AS line FROM {RAW}.dead_letters GROUP BY message_id"
    with warehouse.query(sql) as reader:
        return {row["message_id"]: (row["dead"], row["line"]) for row in reader.read_all().to_pylist()}


def _warn_of_floors(warehouse: Warehouse, config: ShopConfig, tables: Sequence[str]) -> None:
    """Rows of an extract are below every change of a binlog, so also below what emptied or reloaded their table."""
    fed = {role for table in tables for role, _ in config.roles_of.get(table, [])}
    fed |= {table.split(".")[1].lower() for table in tables if table in config.mirrored}
    with warehouse.query(f"SELECT `table` FROM {RAW}.floors") as reader:
        hidden = sorted(fed & {row["table"] for row in reader.read_all().to_pylist()})
    for name in hidden:
        LOG.warning(
            "%s was emptied or loaded whole from the database: rows of an extract are older than that and stay unseen",
            name,
        )


def report(summaries: Sequence[FileSummary]) -> list[str]:
    """A line a file."""
    lines = []
    for summary in summaries:
        dead = f", {summary.dead:,} dead letters from line {summary.first_dead:,} on" if summary.dead else ""
        lines.append(f"{summary.path}: {summary.lines - 1:,} lines into {summary.table}{dead}")
    return lines


def refuse_dead(summaries: Sequence[FileSummary]) -> None:
    """Raises ExtractRefused where lines could not be applied, so that the exit status says so."""
    dead = sum(summary.dead for summary in summaries)
    if dead:
        raise ExtractRefused(
            f"{dead:,} line{'s' if dead != 1 else ''} could not be applied; all others are",
            hint="`ltv-pipeline dead-letters` names them; correct the file and run the same command again",
        )
