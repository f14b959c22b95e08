"""`ltv-pipeline verify`: compares, prints what differs, and raises Differs or NotVerified where not all is equal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import IO

from pipeline.verify.differences import TableResult
from pipeline.verify.looks import Looks
from pipeline.verify.options import Options
from pipeline.verify.progress import LiveProgress
from pipeline.verify.report import Report, print_rollup, print_table
from pipeline.verify.rolled_up import RollupResult, verify_rollup
from pipeline.verify.rows_of_tables import Reporter, verify_tables
from pipeline.verify.sides import Source, Stored
from pipeline.warehouse import Warehouse, open_warehouse
from schemas.config import ShopConfig
from schemas.errors import Differs, NotVerified


def verify(config: ShopConfig, options: Options, out: IO[str], *, live: bool = False) -> None:
    """Prints every difference. Raises Differs, NotVerified where it cannot tell, and what stops the comparison."""
    config.need("source", "warehouse")
    with (
        closing(Source(config)) as source,
        closing(open_warehouse(config, read_only=True)) as warehouse,
        warehouse.fresh(),
    ):
        report = Report()
        with LiveProgress(live) as progress:
            reporter = Reporter(progress.advance, progress.say)
            for result in compare(source, warehouse, config, options, reporter):
                report.add(result)
                with progress.hidden():
                    if isinstance(result, TableResult):
                        print_table(result, options.form, out)
                    else:
                        print_rollup(result, options.form, out)
    raise_unless_equal(report)


def compare(
    source: Source, warehouse: Warehouse, config: ShopConfig, options: Options, reporter: Reporter
) -> Iterator[TableResult | RollupResult]:
    """One result per raw table, then one per rolled-up table."""
    looks = Looks(source, Stored(warehouse), config, options.scope.wait, reporter.say)
    yield from verify_tables(looks, config, options.scope, reporter)
    if options.rollup and not options.scope.tables:
        yield from verify_rollup(looks, config, options.as_of, options.scope, reporter)


def raise_unless_equal(report: Report) -> None:
    hint = report.hint or None
    if report.differing:
        raise Differs(report.summary(), hint=hint)
    if report.problems:
        raise NotVerified(report.summary(), hint=hint)
