"""`make bench`: each benchmark named, or all; a table each, and with --json one line of JSON per result."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from bench import batch, bigquery, graph, latency, memory, replay, rollup, stream, tls, verify, worker
from bench import report as page
from bench.results import Result, report
from bench.scene import Scene
from schemas.console import print_error
from schemas.errors import LtvError

BENCHMARKS: dict[str, Callable[[Scene], Iterator[Result]]] = {
    "stream": stream.run,
    "replay": replay.run,
    "batch": batch.run,
    "bigquery": bigquery.run,
    "graph": graph.run,
    "rollup": rollup.run,
    "report": page.run,
    "verify": verify.run,
    "latency": latency.run,
    "worker": worker.run,
    "memory": memory.run,
    "tls": tls.run,
}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    listed = "\n".join(f"  {sys.modules[run.__module__].__doc__}" for run in BENCHMARKS.values())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"{__doc__}\n\n{listed}",
        epilog="A slow machine is no failure: a missed target is printed as «below» or «above», and the status is 0.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--rows", type=_positive(int), help="instead of each benchmark's own number of rows")
    parser.add_argument("--seconds", type=_positive(float), help="of each phase of `latency`")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON per result")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return options


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parsed(text: str) -> float:
        number = kind(text)
        if not 0 < number < 1e8:
            raise ValueError
        return number

    parsed.__name__ = "positive number"  # argparse names it in its message
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured, however fast; 1 something failed; 130 interrupted."""
    options = _options(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results: list[Result] = []
    try:
        for name in dict.fromkeys(options.names or BENCHMARKS):
            console.rule(name, align="left")
            found = _measure(BENCHMARKS[name], console, options)
            console.print(report(found))
            results += found
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running")
        return 130
    except LtvError as error:
        print_error(error)
        return 1
    if options.json:
        for result in results:
            print(result.line())
    return 0


def _measure(run: Callable[[Scene], Iterator[Result]], console: Console, options: argparse.Namespace) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="ltv-bench-") as folder, contextlib.ExitStack() as running:
        return list(run(Scene(Path(folder), console, running, options.rows, options.seconds)))


if __name__ == "__main__":
    sys.exit(main())
