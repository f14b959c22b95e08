"""The options of `deploy`: what they are called, and what they must be."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from schemas.errors import UsageError

EVERY_HOURS = (1, 2, 3, 4, 6, 8, 12, 24)

WORDS = (
    "create or update what the shop needs in Google Cloud",
    "Creates or updates topic, subscription, backlog alarm and, with BigQuery, datasets, own tables and views, and a\n"
    "scheduled query for each rolled-up table. Prints the plan first and asks; without a terminal it needs --yes.\n"
    "Takes nothing away: what is in the way is named, with the way out. Run again it changes nothing.",
    "ltv-pipeline deploy -c shop.yaml --dry-run\n  ltv-pipeline deploy -c shop.yaml --location EU"
    " --service-account rollup@my-project.iam.gserviceaccount.com --notify 1234567890",
)

_CHANNEL = re.compile(r"(?:projects/[a-z0-9:.-]+/notificationChannels/)?[0-9]+")
_ACCOUNT = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+\.gserviceaccount\.com")
_LOCATION = re.compile(r"[A-Za-z]+(?:-[a-z]+[0-9]+)?")


@dataclass(frozen=True)
class Request:
    """The command line. `notify`: paths of notification channels; `every`: hours. None leaves what is there."""

    dry_run: bool = False
    yes: bool = False
    location: str | None = None
    service_account: str | None = None
    notify: tuple[str, ...] = ()
    every: int | None = None


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="print the plan and who needs which role, and stop")
    command.add_argument("--yes", action="store_true", help="make the changes without asking")
    command.add_argument(
        "--location", metavar="PLACE", help="of the datasets, such as EU; before shop.yaml's, where both say one"
    )
    command.add_argument(
        "--service-account", metavar="EMAIL", help="what the scheduled queries run as; default: whoever makes them"
    )
    command.add_argument(
        "--notify",
        action="append",
        metavar="CHANNEL",
        help="a notification channel of Cloud Monitoring that the alarm tells, too; may be given more than once",
    )
    command.add_argument(
        "--every",
        type=int,
        choices=EVERY_HOURS,
        metavar="HOURS",
        help="between two runs of a scheduled query: 1, 2, 3, 4, 6, 8, 12 or 24 (default: as it is; 1)",
    )


def from_arguments(options: argparse.Namespace, project: str) -> Request:
    """Raises UsageError."""
    if options.location is not None and not _LOCATION.fullmatch(options.location):
        raise UsageError(f"--location {options.location!r} is no place", hint="such as EU, US or europe-west3")
    if options.service_account is not None and not _ACCOUNT.fullmatch(options.service_account):
        raise UsageError(
            f"--service-account {options.service_account!r} is no service account",
            hint="such as rollup@my-project.iam.gserviceaccount.com",
        )
    channels = tuple(options.notify or ())
    for channel in channels:
        if not _CHANNEL.fullmatch(channel):
            raise UsageError(
                f"--notify {channel!r} is no notification channel",
                hint=f"its number, as in: gcloud beta monitoring channels list --project {project}",
            )
    paths = (
        channel if "/" in channel else f"projects/{project}/notificationChannels/{channel}" for channel in channels
    )
    return Request(
        options.dry_run,
        options.yes,
        options.location,
        options.service_account,
        tuple(dict.fromkeys(paths)),
        options.every,
    )


def confirm() -> Callable[[str], bool] | None:
    """Asks whoever sits at the terminal; None where nobody does."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    return lambda question: input(question).strip().lower() in ("y", "yes")
