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
from typing import get_args

from pipeline.arguments import address, seconds, whole_number
from pipeline.dbt import options as dbt_options
from pipeline.deploy import options as deploy_options
from pipeline.report import options as report_options
from pipeline.verify import options as verify_options
from schemas.config import ShopConfig
from schemas.config_file import load_config
from schemas.console import print_error, set_up_logging
from schemas.errors import ConfigError, LtvError, UsageError
from schemas.tls import Mode

LOG = logging.getLogger(__name__)
LONG = ("stream", "replay", "batch")
"""Commands that show progress, and hand options that they do not know to Beam."""

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
        "init",
        "look at a database, recognise the shop system, write a commented shop.yaml",
        "Needs SELECT on the shop's tables and changes nothing there. Recognises the shop systems that have a preset,"
        " whatever the prefix of their tables; of other shops it guesses which table plays which role, and says why."
        " The password is MYSQL_PASSWORD, or in --password-file.",
        "ltv-pipeline init mysql://reader@127.0.0.1:3306\n  ltv-pipeline init mysql://reader@127.0.0.1/shop -o -",
        configured=False,
    )
    command.add_argument("source", metavar="mysql://USER@HOST[:PORT][/DATABASE]", help="without DATABASE: all of them")
    command.add_argument("-o", "--output", default="shop.yaml", metavar="FILE", help="default: shop.yaml; - prints it")
    command.add_argument("--force", action="store_true", help="overwrite the file")
    command.add_argument("--password-file", metavar="FILE", help="holds the password; shop.yaml will name it")
    command.add_argument("--tls", choices=get_args(Mode), help="as in shop.yaml (default: preferred)")
    command.add_argument("--ca", metavar="FILE", help="as in shop.yaml")
    command.add_argument("--tls-cert", metavar="FILE", help="as in shop.yaml")
    command.add_argument("--tls-key", metavar="FILE", help="as in shop.yaml")

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
        type=seconds,
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
        "batch",
        "load the tables from the database, or from CSV extracts",
        "Reads the configured tables in ranges of their primary keys, also beside a running stream, then rolls up."
        " Stops behind a range on SIGTERM and Ctrl-C; run again after that, or after a failure, it goes on there."
        " --extract reads CSV extracts of the tables instead, with any number of versions of a row: the newest"
        " updated_at wins, then the later file, then the later line. Options that are not listed here go to Beam.",
        "ltv-pipeline batch -c shop.yaml\n"
        "  ltv-pipeline batch -c shop.yaml --table shop.orders --rows-per-second 20000\n"
        "  ltv-pipeline batch -c shop.yaml --table shop.orders --where \"order_date >= '2026-01-01'\"\n"
        "  ltv-pipeline batch -c shop.yaml --replica mysql://reader@replica:3306\n"
        "  ltv-pipeline batch -c shop.yaml --extract orders_*.csv charges.csv.gz",
    )
    command.add_argument(
        "--table", action="append", metavar="DB.TABLE", help="only this source table, may be given more than once"
    )
    command.add_argument("--where", metavar="SQL", help="only rows that fulfil it; none counts as vanished then")
    command.add_argument("--rows-per-second", type=whole_number, metavar="N", help="read no faster")
    command.add_argument(
        "--chunk-rows", type=whole_number, metavar="N", help="rows of a range (default: by their length)"
    )
    command.add_argument(
        "--parallel", type=whole_number, default=2, metavar="N", help="connections that read (default: 2)"
    )
    command.add_argument("--replica", type=address, metavar="URL", help="read from this replica of the source")
    command.add_argument("--no-rollup", action="store_true", help="leave the rolled-up tables as they are")
    command.add_argument("--extract", nargs="+", metavar="FILES", help="CSV files, also gzipped; folders; patterns")
    command.add_argument("--encoding", default="utf-8", help="of the extracts (default: utf-8)")
    command.add_argument("--delimiter", metavar="MARK", help="of the extracts; found in the header if it is , ; or tab")
    command.add_argument("--decimal-comma", action="store_true", help="the extracts' numbers are written as 12,50")

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
        "rederive",
        "derive the ltv entries anew after shop.yaml changed",
        "Writes the ltv entries again from the raw tables after `counted`, `guests`, the zone, a currency, a `where`, a"
        " `sign` or the columns of orders, charges or refunds changed, and takes over these settings. Everything is put"
        " in place at once. Stop the stream first, and start it again afterwards. Then the rollup.",
        "ltv-pipeline rederive -c shop.yaml --dry-run\n  ltv-pipeline rederive -c shop.yaml",
    )
    command.add_argument("--dry-run", action="store_true", help="print what would change, month by month, and stop")
    command.add_argument(
        "--reload",
        action="append",
        metavar="DB.TABLE",
        help="empty what came from this source table, for `batch --table` to read again; may be given more than once",
    )
    command.add_argument("--no-rollup", action="store_true", help="leave the rolled-up tables as they are")

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

    report_options.add_report_arguments(_command(commands, "report", *report_options.REPORT))
    report_options.add_serve_arguments(_command(commands, "serve", *report_options.SERVE))
    verify_options.add_arguments(_command(commands, "verify", *verify_options.WORDS))
    deploy_options.add_arguments(_command(commands, "deploy", *deploy_options.WORDS))
    dbt_options.add_arguments(_command(commands, "dbt", *dbt_options.WORDS))
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    short: str,
    text: str,
    examples: str,
    *,
    configured: bool = True,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=short,
        description=text,
        epilog=f"examples:\n  {examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if configured:
        command.add_argument(
            "-c", "--config", default="shop.yaml", metavar="FILE", help="the shop's configuration (default: shop.yaml)"
        )
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 failed, 2 bad usage or configuration, 130 interrupted."""
    options, rest = parser().parse_known_args(arguments)
    live = sys.stderr.isatty() and options.command in LONG
    quiet = options.command not in LONG
    set_up_logging(live, logging.WARNING if quiet else logging.INFO)
    try:
        if rest and options.command not in LONG:
            raise UsageError(f"unknown arguments: {' '.join(rest)}", hint=f"see ltv-pipeline {options.command} --help")
        if options.command == "init":
            _init(options)
            return 0
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


def _init(options: argparse.Namespace) -> None:
    from pipeline.init.command import Request, init

    keys = ("password_file", "tls", "ca", "tls_cert", "tls_key")
    found = init(Request(options.source, options.output, options.force, {key: getattr(options, key) for key in keys}))
    print(found, file=sys.stderr)
    if options.output != "-":
        print(f"{options.output} written; look through it, then: binlog-worker check -c {options.output}")


def _stream(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.stream import stream

    stop = threading.Event()
    launched = stream(config, rest, until_idle=options.until_idle, live=live, stop=stop)
    if launched is not None:
        print(launched)


def _replay(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.replay import replay

    replay(config, options.files, rest, live=live)


def _batch(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    if not options.extract:
        _batch_from_database(options, config, rest, live)
        return
    from pipeline.extract.command import load_extracts, reading_of, refuse_dead, report

    if len(options.table or ()) > 1:
        raise UsageError("--extract takes one --table: the one that the files are of")
    reading = reading_of(options.encoding, options.delimiter, options.decimal_comma)
    summaries = load_extracts(config, options.extract, reading, (options.table or [None])[0], rest, live=live)
    print("\n".join(report(summaries)))
    if not options.no_rollup:
        _roll_up(config, None)
    refuse_dead(summaries)


def _batch_from_database(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.batch.log_watch import LogWatch

    config.need("source", "warehouse")
    watch = LogWatch(config, options.replica)
    from pipeline.batch.command import BatchOptions, batch, refuse_dead  # Beam, which takes a second

    given = BatchOptions(
        options.table or (),
        options.where,
        options.rows_per_second,
        options.chunk_rows,
        options.parallel,
        options.replica,
        not options.no_rollup,
        rest,
        live,
        watch=watch,
    )
    done = batch(config, given)
    for table, count in {**done.rows, **done.rolled_up}.items():
        print(f"{table:28} {count:>12,} rows")
    for line in done.said:
        print(line, file=sys.stderr)
    if done.stopped:
        raise KeyboardInterrupt
    LOG.info("done", extra={"rows": sum(done.rows.values()), "seconds": round(done.seconds, 2)})
    refuse_dead(done)


def _rollup(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    _roll_up(config, options.as_of)


def _roll_up(config: ShopConfig, day: str | None) -> None:
    from pipeline.rollup import as_of_date, rollup
    from pipeline.warehouse import open_warehouse

    as_of = as_of_date(day, config, dt.datetime.now(dt.timezone.utc))
    started = time.monotonic()
    with contextlib.closing(open_warehouse(config)) as warehouse:
        counts = rollup(warehouse, config, as_of)
        scanned = warehouse.scanned()
    for table, rows in counts.items():
        print(f"{table:28} {rows:>10,} rows")
    print(f"as of {as_of}, in {time.monotonic() - started:.2f} s{f', {scanned}' if scanned else ''}")


def _rederive(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.rederive.command import rederive, report

    done = rederive(config, reload=options.reload or (), dry_run=options.dry_run)
    print("\n".join(report(done, dry_run=options.dry_run)))
    if not options.dry_run and not options.no_rollup and not done.load_again:
        _roll_up(config, None)


def _query(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline import output
    from pipeline.warehouse import open_warehouse

    sql = sys.stdin.read() if options.sql == "-" else options.sql
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.closing(open_warehouse(config, read_only=True)) as warehouse:
        with warehouse.query(sql) as reader:
            output.write(reader, options.format, sys.stdout, None if sys.stdout.isatty() else 200)
        scanned = warehouse.scanned()
    if scanned:
        print(scanned, file=sys.stderr)


def _dead_letters(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline import output
    from pipeline.stored_letters import listed
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
        output.write(listed(letters).to_reader(), options.format, sys.stdout, None if sys.stdout.isatty() else 200)


def _verify(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.verify.command import verify

    verify(config, verify_options.from_arguments(options), sys.stdout, live=sys.stderr.isatty())


def _deploy(options: argparse.Namespace, config: ShopConfig, rest: list[str], live: bool) -> None:
    from pipeline.deploy.command import deploy

    deploy(config, deploy_options.from_arguments(options, str(config.project)), sys.stdout, deploy_options.confirm())


COMMANDS = {
    "stream": _stream,
    "replay": _replay,
    "batch": _batch,
    "rollup": _rollup,
    "rederive": _rederive,
    "query": _query,
    "dead-letters": _dead_letters,
    "report": report_options.run_report,
    "serve": report_options.run_serve,
    "verify": _verify,
    "deploy": _deploy,
    "dbt": dbt_options.run,
}
