"""`ltv-pipeline report` and `ltv-pipeline serve` on the command line: their options, and what they print."""

from __future__ import annotations

import argparse
import sys

from pipeline.arguments import seconds
from schemas.config import ShopConfig

REPORT = (
    "write the analysis as one HTML file",
    "Writes what the last rollup made as one file that needs nothing else: no network, no server. It holds the ids of\n"
    "orders and customers (--orders-per-cell 0: no customer's), so give it to those who may see them.",
    "ltv-pipeline report -c shop.yaml\n"
    "  ltv-pipeline report -c shop.yaml --rollup -o friday.html\n"
    "  ltv-pipeline report -c shop.yaml --orders-per-cell 0 -o -",
)
SERVE = (
    "show the analysis live on this machine",
    "Shows the same page on 127.0.0.1, moving as the stream moves: rolls up when something was written, never more\n"
    "than a fourth of the time. Beside a running stream or without one. Stops on SIGTERM and Ctrl-C.",
    "ltv-pipeline serve -c shop.yaml\n  ltv-pipeline serve -c shop.yaml --port 0 --every 60\n"
    "  ltv-pipeline serve -c shop.yaml --no-rollup",
)
"""For `--help`: in a line, in full, and examples."""

OUTPUT = "report.html"
PORT = 8042
EVERY_S = 5.0
EVERY_BIGQUERY_S = 300.0
"""There each look at the entries is billed."""


def add_report_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", default=OUTPUT, metavar="FILE", help=f"default: {OUTPUT}; - prints it")
    command.add_argument("--rollup", action="store_true", help="roll up first")
    command.add_argument(
        "--orders-per-cell",
        type=_count,
        metavar="N",
        help="the largest orders behind each cell (default: 5, or fewer of many cells); 0: no id of a customer",
    )


def add_serve_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=_port, default=PORT, metavar="N", help=f"default: {PORT}; 0: any that is free")
    command.add_argument(
        "--every",
        type=seconds,
        metavar="SECONDS",
        help=f"look for changes so often (default: {EVERY_S:g}; with BigQuery {EVERY_BIGQUERY_S:g})",
    )
    command.add_argument("--no-rollup", action="store_true", help="show what others roll up")
    command.add_argument(
        "--orders-per-cell",
        type=_count,
        metavar="N",
        help="0: no customer's id on the page; else all orders are, on demand",
    )


def run_report(given: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.report.command import report, said

    written = report(config, given.output, given.orders_per_cell, roll_up=given.rollup)
    print("\n".join(said(written)), file=sys.stderr if given.output == "-" else sys.stdout)


def run_serve(given: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.report.serve import Serving, serve

    every = given.every or (EVERY_S if config.duckdb_file else EVERY_BIGQUERY_S)
    serve(config, Serving(given.port, every, not given.no_rollup, given.orders_per_cell != 0))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number from 0 to 9999")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no port (0 to 65535)")
    return int(text)
