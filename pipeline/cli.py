"""The console script `ltv-pipeline`: its commands and options, and what an error looks like."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from schemas.config import ShopConfig
from schemas.config_file import load_config
from schemas.console import print_error, set_up_logging
from schemas.errors import ConfigError, LtvError, UsageError

LOG = logging.getLogger(__name__)

EXAMPLES = """examples:
  ltv-pipeline stream -c shop.yaml
  ltv-pipeline rollup -c shop.yaml --as-of 2026-10-31
  ltv-pipeline query -c shop.yaml 'SELECT * FROM ltv_cohorts ORDER BY cohort_month, month_number'
"""


def parser() -> argparse.ArgumentParser:
    """All commands and options; the README is held against it by a test."""
    top = argparse.ArgumentParser(
        prog="ltv-pipeline",
        description="Change events of a shop's database into its customer lifetime value by cohort.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = _command(
        commands,
        "stream",
        "apply the changes of a Pub/Sub subscription until stopped",
        "Applies change events as they come. A message is acknowledged after its rows are committed. Stops cleanly on"
        " SIGTERM and Ctrl-C. Options that are not listed here go to Beam.",
        "ltv-pipeline stream -c shop.yaml\n  ltv-pipeline stream -c shop.yaml --until-idle 30",
    )
    command.add_argument(
        "--until-idle",
        type=_seconds,
        metavar="SECONDS",
        help="end when no change came for that long (heartbeats do not count)",
    )

    command = _command(
        commands,
        "replay",
        "apply files of change events",
        "Applies files that `binlog-worker run --to DIR` wrote. Replaying them again changes nothing. Options that are"
        " not listed here go to Beam.",
        "ltv-pipeline replay -c shop.yaml events/",
    )
    command.add_argument("files", nargs="+", metavar="FILES", help="files, folders of *.jsonl, or patterns")

    command = _command(
        commands,
        "rollup",
        "compute the LTV tables from the entries",
        "Recomputes every rolled-up table and replaces all of them at once. Also beside a running stream.",
        "ltv-pipeline rollup -c shop.yaml\n  ltv-pipeline rollup -c shop.yaml --as-of 2026-10-31",
    )
    command.add_argument(
        "--as-of", metavar="DATE", help="the last local day that counts; the default is today in the shop's zone"
    )

    command = _command(
        commands,
        "query",
        "print the result of a GoogleSQL query",
        "Runs one SELECT in GoogleSQL, whichever the warehouse. Also beside a running stream.",
        "ltv-pipeline query -c shop.yaml 'SELECT * FROM ltv_monthly' --format csv",
    )
    command.add_argument("sql", metavar="SQL", help="one query, or - to read it from standard input")
    command.add_argument("--format", choices=("table", "csv", "json"), default="table", help="default: table")

    command = _command(
        commands,
        "dead-letters",
        "list what could not be applied, and try it again",
        "Lists every line that could not be applied, with its reason. --retry puts them through the pipeline again,"
        " after the cause was mended; what is applied leaves the list.",
        "ltv-pipeline dead-letters -c shop.yaml\n  ltv-pipeline dead-letters -c shop.yaml --retry",
    )
    command.add_argument("--table", metavar="DB.TABLE", help="only those of one source table")
    command.add_argument("--retry", action="store_true", help="put them through again")
    command.add_argument("--format", choices=("table", "csv", "json"), default="table", help="default: table")
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, short: str, text: str, examples: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=short,
        description=text,
        epilog=f"examples:\n  {examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument(
        "-c", "--config", default="shop.yaml", metavar="FILE", help="the shop's configuration (default: shop.yaml)"
    )
    return command


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 failed, 2 bad usage or configuration, 130 interrupted."""
    options, rest = parser().parse_known_args(arguments)
    live = sys.stderr.isatty() and options.command in ("stream", "replay")
    quiet = options.command not in ("stream", "replay")
    set_up_logging(live, logging.WARNING if quiet else logging.INFO)
    try:
        if rest and options.command not in ("stream", "replay"):
            raise UsageError(f"unknown arguments: {' '.join(rest)}", hint=f"see ltv-pipeline {options.command} --help")
        config = load_config(options.config)
        COMMANDS[options.command](options, config, rest, live)
    except (ConfigError, UsageError) as error:
        print_error(error)
        return 2
    except LtvError as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:
        LOG.exception("an error that was not foreseen")
        return 1
    return 0


def _stream(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.stream import stream

    stop = threading.Event()
    stream(config, rest, until_idle=options.until_idle, live=live, stop=stop)


def _replay(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.replay import replay

    replay(config, options.files, rest, live=live)


def _rollup(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.rollup import as_of_date, rollup
    from pipeline.warehouse import open_warehouse

    as_of = as_of_date(options.as_of, config, dt.datetime.now(dt.timezone.utc))
    started = time.monotonic()
    with contextlib.closing(open_warehouse(config)) as warehouse:
        counts = rollup(warehouse, config, as_of)
    for table, rows in counts.items():
        print(f"{table:28} {rows:>10,} rows")
    print(f"as of {as_of}, in {time.monotonic() - started:.2f} s")


def _query(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline import output
    from pipeline.warehouse import open_warehouse

    sql = sys.stdin.read() if options.sql == "-" else options.sql
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.closing(open_warehouse(config, read_only=True)) as warehouse, warehouse.query(sql) as reader:
        output.write(reader, options.format, sys.stdout, None if sys.stdout.isatty() else 200)


def _dead_letters(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    import pyarrow as pa

    from pipeline import output
    from pipeline.warehouse import open_warehouse

    with contextlib.closing(open_warehouse(config, read_only=not options.retry)) as warehouse:
        letters = warehouse.dead_letters(options.table)
        if options.retry:
            from pipeline.dead_letters import Retried, retry
            from pipeline.worker_letters import WAY_OUT

            done = retry(config, warehouse, letters) if letters else Retried()
            print(f"{done.applied:,} applied, {done.again:,} dead again")
            if done.overtaken:
                print(f"{done.overtaken:,} overtaken by a later version of their row")
            if done.final:
                print(f"{done.final:,} cannot be put through again: {WAY_OUT}")
            return
        shown = pa.table(
            {
                "table": pa.array([letter.table for letter in letters], pa.string()),
                "reason": pa.array([letter.reason for letter in letters], pa.string()),
                "error": pa.array([letter.error for letter in letters], pa.string()),
                "message": pa.array([letter.message_id for letter in letters], pa.string()),
                "line": pa.array([letter.line for letter in letters], pa.int64()),
                "bytes": pa.array(
                    [letter.data[:200].decode("utf-8", "backslashreplace") for letter in letters], pa.string()
                ),
            }
        )
        output.write(shown.to_reader(), options.format, sys.stdout, None if sys.stdout.isatty() else 200)


COMMANDS = {
    "stream": _stream,
    "replay": _replay,
    "rollup": _rollup,
    "query": _query,
    "dead-letters": _dead_letters,
}
