"""A plan and the table of roles, as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.deploy.permissions import Grant
from pipeline.deploy.plan import Step, counted

STYLES = {"create": "green", "update": "yellow", "nothing": "dim"}


def print_plan(steps: Sequence[Step], notes: Sequence[str], out: IO[str], width: int | None) -> None:
    table = Table("object", "name", "there", "to do", box=box.SIMPLE_HEAD)
    for step in steps:
        table.add_row(step.kind, Text(step.name), step.there, Text(what_is_done(step), STYLES[step.action]))
    console = Console(file=out, width=width, highlight=False)
    console.print(table)
    console.print(counted(steps))
    for note in notes:
        console.print(Text(note), soft_wrap=True)


def what_is_done(step: Step) -> str:
    """«create: retention 31 days, …», «retention 7 days → 31 days», «nothing»."""
    if step.action == "nothing":
        return "nothing"
    if step.action == "update":
        return "update: " + ", ".join(f"{change.field} {change.old} → {change.new}" for change in step.changes)
    shown = [f"{change.field} {change.new}" for change in step.changes]
    return f"create: {', '.join(shown)}" if shown else "create"


def print_grants(grants: Sequence[Grant], out: IO[str], width: int | None) -> None:
    table = Table("who", "role", "granted on", box=box.SIMPLE_HEAD, title="roles, and no more", title_justify="left")
    for who, group in groupby(grants, key=lambda grant: grant.who):
        for index, grant in enumerate(group):
            table.add_row("" if index else who, Text(grant.role), Text(grant.on))
    Console(file=out, width=width, highlight=False).print(table)
