"""What goes wrong in the test server, and when: at random by a seed, or as a test asks for it."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

APPEND_FAULTS = ("UNAVAILABLE", "ABORTED", "INTERNAL", "lost", "cut")
"""UNAVAILABLE ends the call; ABORTED and INTERNAL are answers, after which the call goes on; of `lost` the rows are
applied, and then the call ends without an answer; `cut` is a connection that breaks off: nothing applied, no answer."""

RowRefusal = Callable[[str, Mapping[str, Any]], str | None]
"""(table, {column in lower case: value of the field}) → why BigQuery refuses the row."""


@dataclass
class Faults:
    """`share` of the append requests fail at random, in the ways of `kinds` by turns; `rest_share` of the REST requests
    get 503.

    `denied` are permissions that the caller lacks: `write`, `jobs`, `read`, `create`. `missing_projects` do not exist.
    `refuse_row` refuses rows of one's own choice. `hidden_columns` is, for a table's name, the columns in lower case
    that the write API does not know yet, though the table has them; `hidden_tables` are tables that it does not find
    yet. `schema_errors_end_call`: those of a writer's schema end the call, or else are answers. `latency` in seconds is
    waited before each answer. `stale`: of tables with a max_staleness a query sees the rows of the last apply job.
    """

    seed: int = 0
    share: float = 0.0
    rest_share: float = 0.0
    kinds: tuple[str, ...] = APPEND_FAULTS
    latency: float = 0.0
    denied: frozenset[str] = frozenset()
    missing_projects: frozenset[str] = frozenset()
    hidden_columns: dict[str, frozenset[str]] = field(default_factory=dict)
    hidden_tables: frozenset[str] = frozenset()
    schema_errors_end_call: bool = True
    stale: bool = False
    request_limit: int = 10_000_000
    """The Storage Write API's reference says less than 20 MB by now, and said 10 MB; the stricter one holds here."""
    refuse_row: RowRefusal | None = None
    appends_left: int | None = None
    """After so many append requests the permission to write is gone: in the middle of a group of messages."""
    partition_years: tuple[int, int] | None = None
    """Rows whose partition is further back, or further ahead, are refused: in BigQuery five years and one. Not by
    default, since the tests' shops have fixed dates."""
    happened: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(self.seed)
        self._turns = itertools.count(self._random.randrange(100))

    def next_append(self) -> str | None:
        """What befalls the next append request."""
        with self._lock:
            if self._random.random() >= self.share:
                return None
            kind = self.kinds[next(self._turns) % len(self.kinds)]
            self.happened[kind] += 1
            return kind

    def takes_append(self) -> bool:
        """Whether the next append request is allowed."""
        with self._lock:
            if self.appends_left is None:
                return True
            self.appends_left -= 1
            return self.appends_left >= 0

    def next_rest(self) -> bool:
        """Whether the next REST request fails."""
        with self._lock:
            failing = self._random.random() < self.rest_share
            self.happened["rest"] += failing
            return failing
