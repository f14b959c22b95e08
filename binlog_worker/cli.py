"""The command line: `binlog-worker run` and `binlog-worker check`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from binlog_worker.run import Options, run
from binlog_worker.stopping import Stopping
from schemas.config_file import load_config
from schemas.console import print_error, set_up_logging
from schemas.errors import ConfigError, LtvError, UsageError

log = logging.getLogger(__name__)

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

RUN_EXAMPLES = """examples:
  binlog-worker run -c shop.yaml
  binlog-worker run -c shop.yaml --until-caught-up --to changes/
  binlog-worker run -c shop.yaml --from mysql-bin.000003:1842
  binlog-worker run -c shop.yaml --epoch 2 --from now        after the server was replaced or reset

The password comes from MYSQL_PASSWORD, or from password_file in shop.yaml. PUBSUB_EMULATOR_HOST is honoured."""

CHECK_EXAMPLES = """examples:
  binlog-worker check -c shop.yaml
  MYSQL_PASSWORD=… binlog-worker check -c shop.yaml"""


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="binlog-worker",
        description="Tails the binlog of MySQL or MariaDB and publishes every change of the configured tables.",
        epilog="exit status: 0 done, 1 failed, 2 bad usage or configuration",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser(
        "run", help="publish changes until stopped", epilog=RUN_EXAMPLES, formatter_class=raw,
        description="Publishes every change of the configured tables to Pub/Sub, from the checkpoint on.",
    )  # fmt: skip
    _config_option(one)
    one.add_argument(
        "--until-caught-up", action="store_true", help="end at the position that is current when the run starts"
    )
    one.add_argument(
        "--from", dest="begin", metavar="PLACE",
        help="earliest, now, FILE:POSITION or a GTID set; used where there is no checkpoint (default: earliest)",
    )  # fmt: skip
    one.add_argument("--to", dest="folder", metavar="DIR", type=Path, help="write files of change events instead")
    one.add_argument(
        "--epoch", type=int, metavar="N", help="begin a new order of changes: the source was replaced or reset"
    )
    one.add_argument(
        "--metrics-port", type=int, metavar="N", help="answer Prometheus on this port of the loopback interface"
    )
    two = commands.add_parser(
        "check", help="look at server, grants and tables", epilog=CHECK_EXAMPLES, formatter_class=raw,
        description="Looks at everything that would lose or falsify changes, and says why it matters and what to do.",
    )  # fmt: skip
    _config_option(two)
    return top


def _config_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("-c", "--config", default="shop.yaml", metavar="FILE", help="default: shop.yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    live = sys.stderr.isatty()
    set_up_logging(live)
    try:
        config = load_config(given.config)
        if given.command == "check":
            from binlog_worker.preflight.report import check

            return DONE if check(config) else FAILED
        if given.metrics_port is not None:
            _serve_metrics(given.metrics_port)
        options = Options(given.begin, given.epoch, given.until_caught_up, given.folder, live)
        run(config, options, _on_signals(Stopping()))
    except LtvError as error:
        return _say(error)
    except Exception:
        log.exception("unexpected error")
        return FAILED
    return DONE


def _say(error: LtvError) -> int:
    print_error(error)
    bad = isinstance(error, UsageError | ConfigError)
    return BAD_USAGE if bad else FAILED


def _serve_metrics(port: int) -> None:
    from binlog_worker import metrics

    try:
        metrics.serve(port)
    except (OSError, OverflowError) as error:
        raise UsageError(f"--metrics-port {port}: {error}", hint="choose a free port") from error


def _on_signals(stopping: Stopping) -> Stopping:
    """SIGTERM or Ctrl-C: end in good order; the second one: at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if stopping.wanted():
            os._exit(INTERRUPTED)
        stopping.request()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping
