"""What is wanted × what is there → steps. Pure: nothing here asks a service or changes one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from schemas.errors import DeployRefused

Action = Literal["create", "update", "nothing"]


@dataclass(frozen=True)
class Field:
    """A property that an object must have.

    `enough` says of what is there whether it will do; without it only an equal value does. `stuck`: the way out where
    it will not do and may not be changed, since the service cannot, or since something would be lost. `merged` makes
    the new value of both, so that nothing is taken away. `quiet`: of an object that is made it goes without saying.
    """

    name: str
    wanted: Any
    enough: Callable[[Any], bool] | None = None
    stuck: str | None = None
    shown: Callable[[Any], str] = str
    merged: Callable[[Any], Any] | None = None
    quiet: bool = False

    def satisfied(self, found: Any) -> bool:
        return self.enough(found) if self.enough else bool(found == self.wanted)


@dataclass(frozen=True)
class Change:
    """One property that will be another; `value` is the new one, `old` and `new` are what is shown."""

    field: str
    value: Any
    old: str
    new: str


@dataclass(frozen=True)
class Step:
    """What has to be done about one object. `refused` holds what stands in the way, each with its way out."""

    kind: str
    name: str
    action: Action
    there: str
    changes: tuple[Change, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


class Part(Protocol):
    """One object in Google Cloud: what it must be, what it is, and how to make it so."""

    kind: str
    name: str

    def fields(self) -> Sequence[Field]:
        """What it must be."""

    def find(self) -> Mapping[str, Any] | None:
        """Field → what it is; None where the object does not exist. `note` may say more, for people."""

    def create(self) -> None:
        """Makes it, with all fields as wanted."""

    def update(self, changes: Mapping[str, Any]) -> None:
        """Changes these fields and no others."""


def step_of(kind: str, name: str, fields: Sequence[Field], found: Mapping[str, Any] | None) -> Step:
    """The step for one object."""
    if found is None:
        told = [field for field in fields if not field.quiet]
        made = tuple(Change(field.name, field.wanted, "", field.shown(field.wanted)) for field in told)
        return Step(kind, name, "create", "no", made)
    there = f"yes, {found['note']}" if found.get("note") else "yes"
    changes: list[Change] = []
    refused: list[tuple[str, str]] = []
    for field in fields:
        is_now = found.get(field.name)
        if field.satisfied(is_now):
            continue
        value = field.merged(is_now) if field.merged else field.wanted
        old, new = field.shown(is_now), field.shown(value)
        if field.stuck is None:
            changes.append(Change(field.name, value, old, new))
        else:
            refused.append((f"{kind} {name}: {field.name} is {old}, and must be {new}", field.stuck))
    return Step(kind, name, "update" if changes else "nothing", there, tuple(changes), tuple(refused))


def refuse(steps: Iterable[Step]) -> None:
    """Raises DeployRefused naming everything that stands in the way, each with its way out."""
    problems = [problem for step in steps for problem in step.refused]
    if problems:
        lines = "".join(f"\n  - {what}\n    way out: {way_out}" for what, way_out in problems)
        count = len(problems)
        raise DeployRefused(
            f"{count} thing{'s' if count != 1 else ''} in the way, so nothing was changed{lines}",
            hint="`deploy` takes nothing away; change it as described, then run it again",
        )


def to_do(steps: Iterable[Step]) -> list[Step]:
    return [step for step in steps if step.action != "nothing"]


def counted(steps: Sequence[Step]) -> str:
    """«3 to create, 1 to update, 12 as they should be»."""
    words = {"create": "to create", "update": "to update", "nothing": "as they should be"}
    counts = [(sum(step.action == action for step in steps), word) for action, word in words.items()]
    return ", ".join(f"{count} {word}" for count, word in counts if count)
