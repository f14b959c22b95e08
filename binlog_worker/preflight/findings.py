"""What a preflight rule says."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Level(enum.Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """What was found, why it matters, what to do; the latter two are empty where all is well."""

    level: Level
    what: str
    why: str = ""
    todo: str = ""

    def __str__(self) -> str:
        return " — ".join(part for part in (self.what, self.why, self.todo) if part)


def ok(what: str) -> Finding:
    return Finding(Level.OK, what)


def warn(what: str, why: str, todo: str) -> Finding:
    return Finding(Level.WARN, what, why, todo)


def fail(what: str, why: str, todo: str) -> Finding:
    return Finding(Level.FAIL, what, why, todo)
