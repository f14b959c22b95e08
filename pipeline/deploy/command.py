"""`ltv-pipeline deploy`: looks, prints the plan, asks, and carries it out, object by object.

Everything is looked at before anything is changed; what fails in the middle leaves what was done, and the same command
goes on there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from pipeline.deploy.options import Request
from pipeline.deploy.permissions import Names, enable, grants
from pipeline.deploy.plan import Part, Step, counted, refuse, step_of, to_do
from pipeline.deploy.report import print_grants, print_plan
from schemas.config import ShopConfig
from schemas.errors import ConfigError, LtvError, Terminal, UsageError

if TYPE_CHECKING:
    from pipeline.deploy.schedules import Schedules

VERBS = {"create": "created", "update": "updated"}


@dataclass
class Deployment:
    """All parts, in the order in which they are made; what is to be said of those that are left out; and what there
    is to say once everything was looked at."""

    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    advice: list[Callable[[], list[str | None]]] = field(default_factory=list)


def deploy(config: ShopConfig, request: Request, out: IO[str], confirm: Callable[[str], bool] | None) -> None:
    """`confirm` asks whoever sits there; None where nobody does.

    Raises DeployRefused naming everything that stands in the way, before anything is changed; UsageError where changes
    were not agreed to.
    """
    config.need("project", "warehouse")
    width = None if out.isatty() else 132
    with deployment(config, request) as wanted:
        steps = look(wanted.parts)
        refuse(steps)
        found = [text for advised in wanted.advice for text in advised() if text]
        print_plan(steps, [*wanted.notes, *found, *advice(steps, request)], out, width)
        if request.dry_run:
            names = names_of(config)
            print_grants(grants(names), out, width)
            print(f"APIs:\n  {enable(names)}", file=out)
            return
        count = len(to_do(steps))
        if count and not request.yes:
            if confirm is None:
                hint = "--yes makes the changes without asking, --dry-run only prints them"
                raise UsageError(f"{count} to do, and nobody to ask", hint=hint)
            if not confirm(f"make these changes ({counted(to_do(steps))})? [y/N] "):
                raise UsageError("not agreed to; nothing was changed")
        carry_out(list(zip(wanted.parts, steps, strict=True)), out)


def advice(steps: Sequence[Step], request: Request) -> list[str]:
    """What somebody should know before the first `deploy`, and need not hear again."""
    made = {step.kind for step in steps if step.action == "create"}
    said = []
    if "alarm" in made and not request.notify:
        said.append("the alarm will tell nobody: --notify CHANNEL names a notification channel, now or later")
    if "scheduled query" in made and not request.service_account:
        said.append("the scheduled queries will run as you, if that is allowed; better give --service-account EMAIL")
    return said


def look(parts: Sequence[Part]) -> list[Step]:
    """The step for each part; a part that cannot be looked at stands in the way, and the others are looked at still."""
    steps: list[Step] = []
    said: set[str | None] = set()
    for part in parts:
        try:
            found = part.find()
        except ConfigError:
            raise
        except Terminal as error:
            told = error.hint in said
            said.add(error.hint)
            refused = () if told else ((str(error), error.hint or "see the message"),)
            steps.append(Step(part.kind, part.name, "nothing", "?", refused=refused))
        else:
            steps.append(step_of(part.kind, part.name, part.fields(), found))
    return steps


def carry_out(work: Sequence[tuple[Part, Step]], out: IO[str]) -> None:
    """Does it, in order, and says so. An error says how far it came."""
    todo = [(part, step) for part, step in work if step.action != "nothing"]
    for done, (part, step) in enumerate(todo):
        try:
            if step.action == "create":
                part.create()
            else:
                part.update({change.field: change.value for change in step.changes})
        except LtvError:
            print(f"{done} of {len(todo)} done, which stay; the same command goes on there", file=sys.stderr)
            raise
        print(f"{VERBS[step.action]} {part.kind} {part.name}", file=out)
    print("everything is as it should be" if not todo else f"{len(todo)} done", file=out)


def names_of(config: ShopConfig) -> Names:
    from pipeline.bigquery.names import PREFIX, parse_dataset

    scheme, _, path = config.checkpoint.rpartition("://")
    bucket = path.partition("/")[0] if scheme == "gs" else None
    names = (str(config.project), config.topic, config.subscription)
    if not str(config.warehouse).startswith(PREFIX):
        return Names(*names, bucket=bucket)
    dataset = parse_dataset(str(config.warehouse), config.project)
    return Names(*names, dataset.dataset, dataset.raw, bucket)


@contextmanager
def deployment(config: ShopConfig, request: Request) -> Iterator[Deployment]:
    """The parts of this shop, on open clients."""
    from pipeline.bigquery.names import PREFIX

    with ExitStack() as clients:
        made = Deployment()
        add_messaging(made, config, request, clients)
        if str(config.warehouse).startswith(PREFIX):
            add_bigquery(made, config, request, clients)
        else:
            made.notes.append("the warehouse is a DuckDB file, which `stream` makes: there is nothing else to do")
        yield made


def add_messaging(made: Deployment, config: ShopConfig, request: Request, clients: ExitStack) -> None:
    from pipeline.deploy.alarm import AlarmPart, monitoring_emulator
    from pipeline.deploy.messaging import SubscriptionPart, TopicPart
    from schemas.topic import TopicAdmin, emulator

    project = str(config.project)
    admin = TopicAdmin()
    clients.callback(admin.close)
    made.parts.append(TopicPart(admin, project, config.topic))
    made.parts.append(SubscriptionPart(admin, project, config.subscription, config.topic))
    if emulator() and not monitoring_emulator():
        made.notes.append("no backlog alarm: the Pub/Sub emulator has no Cloud Monitoring beside it")
        return
    alarm = AlarmPart(project, config.subscription, request.notify)
    clients.callback(alarm.close)
    made.parts.append(alarm)


def add_bigquery(made: Deployment, config: ShopConfig, request: Request, clients: ExitStack) -> None:
    from pipeline.bigquery.names import parse_dataset
    from pipeline.deploy.datasets import Datasets, bigquery_emulator, dataset_parts
    from pipeline.deploy.schedules import DEFAULT_LOCATION, Schedules, schedule_parts, transfer_emulator
    from pipeline.deploy.tables import OwnTables, table_parts
    from pipeline.deploy.views import Views, view_parts

    dataset = parse_dataset(str(config.warehouse), config.project)
    datasets = Datasets(dataset, request.location or config.location)
    clients.callback(datasets.client.close)
    made.parts += dataset_parts(datasets)
    own = OwnTables(datasets, config)
    views = Views(own, config)
    made.parts += [*table_parts(own), *view_parts(views)]
    made.advice.append(lambda: [views.advice()])
    if bigquery_emulator() and not transfer_emulator():
        made.notes.append("no scheduled queries: the BigQuery emulator has none")
        return
    schedules = Schedules(dataset.project, lambda: datasets.location or DEFAULT_LOCATION)
    clients.callback(schedules.close)
    parts = schedule_parts(schedules, dataset, config.time_zone, request.every, request.service_account)
    made.parts += parts
    made.advice.append(lambda: left_over(schedules, dataset.dataset, [part.name for part in parts]))


def left_over(schedules: Schedules, dataset: str, wanted: Sequence[str]) -> list[str | None]:
    return [
        f"the scheduled query {config.display_name} is no longer needed: bq rm --transfer_config {config.name}"
        for config in schedules.left_over(dataset, wanted)
    ]
