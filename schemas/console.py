"""What both commands show of themselves: log lines, errors with their hints. Everything but results goes to stderr."""

from __future__ import annotations

import json
import logging
import sys
import time

from schemas.errors import LtvError

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time (ISO, UTC), level, logger, message, whatever `extra` holds, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class _WithExtra(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "  ".join([super().format(record), *(f"{name}={value}" for name, value in _extra(record).items())])


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN and value is not None}


def set_up_logging(live: bool, level: int = logging.INFO) -> None:
    """To stderr: readable beside the live line of a terminal, JSON otherwise."""
    handler: logging.Handler
    if live:
        from rich.console import Console
        from rich.logging import RichHandler

        handler = RichHandler(console=Console(stderr=True), show_path=False)
        handler.setFormatter(_WithExtra())
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("google", "grpc", "urllib3", "apache_beam"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def print_error(error: LtvError) -> None:
    """«error: what and where», then «hint: what to do», to stderr."""
    print(f"error: {error}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    sys.stderr.flush()
