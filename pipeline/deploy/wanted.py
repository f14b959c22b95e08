"""What topic, subscription, alarm, datasets and scheduled queries must be. Pure.

Sources: `google.pubsub.v1.Subscription`; Pub/Sub, «Subscription properties»; Dataflow, «Read from Pub/Sub»; BigQuery,
«Scheduling queries»; App Engine, «cron.yaml, schedule format», which transfer configurations use.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from typing import Any

from pipeline.deploy.options import EVERY_HOURS
from pipeline.deploy.plan import Field
from schemas.topic import ACK_DEADLINE_S as EMULATOR_ACK_DEADLINE_S

DAY_S = 86_400
ACK_DEADLINE_S = 60
"""Dataflow and our own source extend leases for as long as they hold a message, so this is only how long a message of
a killed worker waits before it comes again; 600 s, the most there is, would hold up what has been applied for that
long. More does no harm, so more is left as it is."""

RETENTION_S = 31 * DAY_S
"""The longest that a subscription can keep what nobody has acknowledged."""
EMULATOR_RETENTION_S = 7 * DAY_S
"""The longest that Google's emulator takes; it expires nothing, and cannot be told to."""

ALARM_AFTER_S, ALARM_FOR_S = 600, 300
MINUTE = 7
"""Scheduled queries on the hour may run twice, says their documentation."""
_MINUTE_OF = re.compile(r"(?:from\s+)?\d{1,2}:(\d\d)(?:\s+to\s+\d{1,2}:\d\d)?\s*$")


def duration(seconds: Any) -> str:
    """«31 days», «15 min», «60 s», «none»."""
    if seconds is None:
        return "none"
    if seconds and seconds % DAY_S == 0:
        return f"{seconds // DAY_S} day{'s' if seconds > DAY_S else ''}"
    return f"{seconds // 60} min" if seconds > 60 and seconds % 60 == 0 else f"{seconds} s"


def or_none(value: Any) -> str:
    return str(value) if value else "none"


def topic_fields(topic: str) -> list[Field]:
    """Nothing may stand on a topic that refuses or rewrites our messages."""
    transforms = f"gcloud pubsub topics update {topic} --clear-message-transforms, or name another `topic` in shop.yaml"
    schema = f"gcloud pubsub topics update {topic} --clear-schema-settings, or name another `topic` in shop.yaml"
    return [
        Field("schema", "", stuck=schema, shown=or_none, quiet=True),
        Field("message transforms", 0, stuck=transforms, shown=or_none, quiet=True),
    ]


def subscription_fields(subscription: str, topic: str, *, emulated: bool) -> list[Field]:
    """`topic` is a path. What Dataflow does not support (a dead-letter topic, exactly-once delivery) and what would
    leave gaps in the numbers of a worker's messages (a filter) is refused, not taken away."""
    another = "name another `subscription` in shop.yaml, which is then made"
    anew = (
        f"let `stream` finish what it holds, then: gcloud pubsub subscriptions delete {subscription}; or {another}."
        " This cannot be changed"
    )
    update = f"gcloud pubsub subscriptions update {subscription}"
    exactly_once = f"{update} --no-enable-exactly-once-delivery"
    retention = EMULATOR_RETENTION_S if emulated else RETENTION_S
    deadline = EMULATOR_ACK_DEADLINE_S if emulated else ACK_DEADLINE_S
    fields = [
        Field("topic", topic, stuck=f"{another}: none can move to another topic", quiet=True),
        Field("ack deadline", deadline, lambda found: found >= deadline, shown=duration),
        Field("retention", retention, lambda found: found >= retention, shown=duration),
        Field("delivery", "pull", stuck=another, quiet=True),
        Field("filter", "", stuck=anew, shown=or_none, quiet=True),
        Field("ordering", False, stuck=anew, shown=_on_off, quiet=True),
        Field("dead-letter topic", "", stuck=f"{update} --clear-dead-letter-policy", shown=or_none, quiet=True),
        Field("exactly-once delivery", False, stuck=exactly_once, shown=_on_off, quiet=True),
        Field("message transforms", 0, stuck=f"{update} --clear-message-transforms", shown=or_none, quiet=True),
    ]
    if not emulated:
        fields.insert(3, Field("expires", None, shown=lambda after: f"after {duration(after)}" if after else "never"))
    return fields


def _on_off(value: Any) -> str:
    return "on" if value else "off"


def backlog_filter(subscription: str) -> str:
    """A Cloud Monitoring filter: the age of the oldest message that nobody has acknowledged."""
    return (
        'resource.type = "pubsub_subscription"'
        f' AND resource.labels.subscription_id = "{subscription}"'
        ' AND metric.type = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"'
    )


def alarm_fields(subscription: str, channels: Sequence[str]) -> list[Field]:
    """Of an alarm that is there its numbers are somebody's choice and stay, as do the channels that it has."""
    wanted = backlog_filter(subscription)
    return [
        Field(
            "condition",
            (wanted,),
            lambda found: any(" ".join(condition.split()) == wanted for condition in found),
            stuck="delete the alarm in Cloud Monitoring, or give it another name",
            shown=lambda found: (
                f"oldest message above {duration(ALARM_AFTER_S)} for {duration(ALARM_FOR_S)}"
                if found == (wanted,)
                else "; ".join(found) or "none"
            ),
        ),
        Field(
            "notifies",
            tuple(channels),
            lambda found: set(channels) <= set(found),
            shown=lambda found: ", ".join(channel.rpartition("/")[2] for channel in found) or "nobody",
            merged=lambda found: tuple(dict.fromkeys([*found, *channels])),
        ),
    ]


def dataset_fields(name: str, location: str | None) -> list[Field]:
    """`name` as `bq` writes it, project:dataset. What expires in it would be lost without a word."""
    update = "bq update {} 0 " + name
    return [
        Field(
            "location",
            location,
            lambda found: location is None or found.lower() == location.lower(),
            stuck="say --location as it is, or name another dataset in shop.yaml's `warehouse`: none can be moved",
            shown=lambda place: place or "BigQuery's default",
        ),
        Field(
            "expiration of tables",
            None,
            stuck=update.format("--default_table_expiration"),
            shown=duration,
            quiet=True,
        ),
        Field(
            "expiration of partitions",
            None,
            stuck=update.format("--default_partition_expiration"),
            shown=duration,
            quiet=True,
        ),
    ]


def table_fields(name: str, key: Sequence[str]) -> list[Field]:
    """Of one of the pipeline's own tables. Columns that an older version of this program did not know are added."""
    another = f"{name} is another program's, or was changed by hand: name another dataset in shop.yaml's `warehouse`"
    return [
        Field("what it is", "TABLE", stuck=another, quiet=True),
        Field("primary key", tuple(key), stuck=another, shown=listed),
        Field("columns of another type", (), stuck=another, shown=listed, quiet=True),
        Field("missing columns", (), shown=listed, quiet=True),
    ]


def staleness_field(name: str, staleness: dt.timedelta, fresh: bool) -> Field:
    """`fresh`: the pipeline reads back what it has written there."""
    back = f"ALTER TABLE {name} SET OPTIONS (max_staleness = INTERVAL 0 MINUTE)" if fresh else None
    return Field("max_staleness", staleness, stuck=back, shown=_minutes, quiet=fresh)


def view_fields(name: str, query: str) -> list[Field]:
    another = f"{name} is another program's: name another dataset in shop.yaml's `warehouse`, or rename it"
    return [
        Field("what it is", "VIEW", stuck=another, quiet=True),
        Field(
            "query",
            query,
            lambda found: found is not None and found.split() == query.split(),
            shown=lambda text: f"SQL {fingerprint(text)}" if text else "none",
            quiet=True,
        ),
    ]


def listed(names: Any) -> str:
    return ", ".join(names) or "none"


def _minutes(staleness: dt.timedelta | None) -> str:
    return "another interval" if staleness is None else duration(int(staleness.total_seconds()))


def schedule_text(hours: int) -> str:
    """When a rolled-up table is computed, in UTC."""
    if hours == max(EVERY_HOURS):
        return f"every day 00:{MINUTE:02}"
    return f"every {hours} hours from 00:{MINUTE:02} to 23:59"


def schedule_fields(query: str, hours: int | None, service_account: str | None) -> list[Field]:
    """A schedule that is there stays unless `hours` asks for another, or it is on the hour."""
    schedule = schedule_text(hours or EVERY_HOURS[0])
    fields = [
        Field("query", query, shown=lambda text: f"SQL {fingerprint(text)}"),
        Field(
            "schedule",
            schedule,
            lambda found: " ".join(found.lower().split()) == schedule or (hours is None and _off_the_hour(found)),
        ),
        Field("destination table", "", shown=or_none, quiet=True),
    ]
    if service_account:
        fields.append(Field("service account", service_account, lambda found: found in (None, service_account)))
    return fields


def fingerprint(text: str) -> str:
    """What of a long text is shown: equal for equal ones."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _off_the_hour(schedule: str) -> bool:
    minute = _MINUTE_OF.search(schedule.lower())
    return minute is not None and int(minute[1]) != 0
