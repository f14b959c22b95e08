"""What a benchmark found: one value, its baseline in the same run, and what must be reached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich import box
from rich.console import Group
from rich.table import Table

UNITS = {"rows/s": "{:,.0f}", "MB": "{:,.0f}", "ms": "{:,.1f}", "s": "{:,.2f}", "MB/min": "{:,.2f}", "rows": "{:,.0f}"}


@dataclass(frozen=True)
class Target:
    """A bound on the value, or on its ratio to the baseline; `aim` is what it should become."""

    bound: float
    of: Literal["value", "ratio"] = "value"
    most: bool = False  # the bound is the highest allowed, not the lowest
    aim: float | None = None

    def text(self, unit: str) -> str:
        bound = f"{'≤' if self.most else '≥'} {self._number(self.bound, unit)}"
        return bound if self.aim is None else f"{bound}, aim {self._number(self.aim, unit)}"

    def _number(self, number: float, unit: str) -> str:
        return f"{number:g}×" if self.of == "ratio" else UNITS[unit].format(number)


@dataclass(frozen=True)
class Result:
    bench: str
    what: str
    value: float
    unit: str
    baseline: float | None = None
    baseline_what: str = ""
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None

    @property
    def verdict(self) -> str:
        """reached, below (a rate) or above (a time, a size), or nothing where there is no target."""
        measured = self.value if self.target is None or self.target.of == "value" else self.ratio
        if self.target is None or measured is None:
            return ""
        if self.target.most:
            return "reached" if measured <= self.target.bound else "above"
        return "reached" if measured >= self.target.bound else "below"

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps({**asdict(self), "ratio": self.ratio, "verdict": self.verdict}, ensure_ascii=False)


def shown(value: float, unit: str) -> str:
    return f"{UNITS[unit].format(value)} {unit}"


def report(results: Sequence[Result]) -> Group:
    """A table of the results, and below it what each baseline is and what there is to note."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    made.add_column("what", ratio=1)
    for name in ("result", "baseline", "ratio", "must reach"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("", no_wrap=True)
    for result in results:
        made.add_row(
            result.what,
            shown(result.value, result.unit),
            "" if result.baseline is None else UNITS[result.unit].format(result.baseline),
            "" if result.ratio is None else f"{result.ratio:.3g}×",
            "" if result.target is None else result.target.text(result.unit),
            {"reached": "[green]reached[/]", "": ""}.get(result.verdict, f"[yellow]{result.verdict}[/]"),
        )
    baselines = dict.fromkeys(result.baseline_what for result in results if result.baseline_what)
    below = [f"[dim]baseline: {what}[/]" for what in baselines]
    below += [f"[dim]{result.what}: {result.note}[/]" for result in results if result.note]
    return Group(made, *below)
