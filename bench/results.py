"""What a benchmark found: one value, its baseline in the same run, and what must be reached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich import box
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
        number = (lambda value: f"{value:g}×") if self.of == "ratio" else (lambda value: shown(value, unit))
        aim = "" if self.aim is None else f", aim {number(self.aim)}"
        return f"{'≤' if self.most else '≥'} {number(self.bound)}{aim}"


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
    return f"{UNITS.get(unit, '{:,.2f}').format(value)} {unit}"


def table(title: str, results: Sequence[Result]) -> Table:
    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1))
    made.add_column("what", max_width=46)
    made.add_column("result", justify="right", no_wrap=True)
    made.add_column("baseline, same run", justify="right", max_width=30)
    made.add_column("ratio", justify="right", no_wrap=True)
    made.add_column("must reach", justify="right")
    made.add_column("")
    for result in results:
        baseline = "" if result.baseline is None else shown(result.baseline, result.unit)
        described = f"{result.what}\n[dim]{result.note}[/]" if result.note else result.what
        made.add_row(
            described,
            shown(result.value, result.unit),
            f"{baseline}\n[dim]{result.baseline_what}[/]" if baseline else "",
            "" if result.ratio is None else f"{result.ratio:.3g}×",
            "" if result.target is None else result.target.text(result.unit),
            {"reached": "[green]reached[/]", "": ""}.get(result.verdict, f"[yellow]{result.verdict}[/]"),
        )
    return made
