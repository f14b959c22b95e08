"""Recorded events with wrong bytes in them, each read within its CPU time: an error of our tree, or it comes out right.

FUZZ_SEED chooses other ones, FUZZ_EVENTS how many; a failure names the seed and the event.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from schemas.errors import LtvError
from tests.corrupt.mutation import Mutator, Source, sources

SEED = int(os.environ.get("FUZZ_SEED", "20261123"))
EVENTS = int(os.environ.get("FUZZ_EVENTS", "100000"))
LONGEST_CPU_S = 5.0

Attempt = tuple[Source, bytes, Callable[[], object]]


def out_of_time(*_: object) -> None:
    raise AssertionError(f"more than {LONGEST_CPU_S} s of CPU time")


def fuzz(share: float, name: str, attempt: Callable[[Mutator], Attempt]) -> None:
    """`attempt` makes one mutated body, and a function that reads it and asserts that what comes is right.

    `share` is that of the test: all together have 1.
    """
    errors = 0
    for number in range(int(EVENTS * share)):
        chance = Mutator(f"{SEED} {name} {number}")
        source, body, look = attempt(chance)
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_CPU_S)
        try:
            look()
        except LtvError as error:
            assert str(error), error
            errors += 1
        except BaseException as error:
            raise AssertionError(
                f"FUZZ_SEED={SEED}, {name} {number}, event {source.place} of {source.recording}, kind {source.kind}:"
                f" {error!r}\n{body.hex()}"
            ) from error
    assert errors < EVENTS * share, "nothing was right: is anything read?"
    assert errors, "nothing was wrong"


def bodies(kind: int) -> list[bytes]:
    return [source.body for source in sources()[kind]]
