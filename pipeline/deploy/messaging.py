"""Topic and subscription as parts of a deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from pipeline.deploy import wanted
from pipeline.deploy.plan import Field
from pipeline.deploy.refusal import named
from schemas.topic import TopicAdmin, emulator, subscription_path, topic_path

SERVICE = "pubsub.googleapis.com"
ROLE = "roles/pubsub.editor"


class TopicPart:
    kind = "topic"

    def __init__(self, admin: TopicAdmin, project: str, topic: str) -> None:
        self.name, self._admin, self._path = topic, admin, topic_path(project, topic)
        self._named = named(SERVICE, ROLE, project)

    def fields(self) -> Sequence[Field]:
        return wanted.topic_fields(self.name)

    def find(self) -> Mapping[str, Any] | None:
        with self._named(f"looking up the topic {self.name}"):
            found = self._admin.topic(self._path)
        return None if found is None else described_topic(_plain(found))

    def create(self) -> None:
        with self._named(f"creating the topic {self.name}"):
            self._admin.create_topic(self._path)

    def update(self, changes: Mapping[str, Any]) -> None:
        raise NotImplementedError("nothing of a topic is ever changed")


class SubscriptionPart:
    kind = "subscription"

    def __init__(self, admin: TopicAdmin, project: str, subscription: str, topic: str) -> None:
        self.name, self._admin = subscription, admin
        self._path, self._topic = subscription_path(project, subscription), topic_path(project, topic)
        self._named = named(SERVICE, ROLE, project)

    def fields(self) -> Sequence[Field]:
        return wanted.subscription_fields(self.name, self._topic, emulated=emulator() is not None)

    def find(self) -> Mapping[str, Any] | None:
        with self._named(f"looking up the subscription {self.name}"):
            found = self._admin.subscription(self._path)
        return None if found is None else described_subscription(_plain(found))

    def create(self) -> None:
        settings = subscription_settings({field.name: field.wanted for field in self.fields()})
        with self._named(f"creating the subscription {self.name}"):
            self._admin.create_subscription(self._path, self._topic, {"expiration_policy": {}, **settings})

    def update(self, changes: Mapping[str, Any]) -> None:
        with self._named(f"updating the subscription {self.name}"):
            self._admin.update_subscription(self._path, subscription_settings(changes))


def _plain(found: Any) -> dict[str, Any]:
    plain: dict[str, Any] = MessageToDict(type(found).pb(found), preserving_proto_field_name=True)
    return plain


def described_topic(found: Mapping[str, Any]) -> dict[str, Any]:
    """A `Topic` as JSON → the fields of `topic_fields`."""
    return {
        "schema": found.get("schema_settings", {}).get("schema", ""),
        "message transforms": len(found.get("message_transforms", ())),
    }


def described_subscription(found: Mapping[str, Any]) -> dict[str, Any]:
    """A `Subscription` as JSON → the fields of `subscription_fields`.

    Without a policy of its own a subscription expires after 31 days; a policy without `ttl` means never.
    """
    ways = {"push_config": "push", "bigquery_config": "to BigQuery", "cloud_storage_config": "to Cloud Storage"}
    ways |= {"bigtable_config": "to Bigtable", "detached": "none: it is detached"}
    policy = found.get("expiration_policy", {"ttl": f"{31 * wanted.DAY_S}s"})
    return {
        "topic": found.get("topic", ""),
        "ack deadline": int(found.get("ack_deadline_seconds", 10)),
        "retention": _seconds(found.get("message_retention_duration", f"{7 * wanted.DAY_S}s")),
        "expires": _seconds(policy["ttl"]) if "ttl" in policy else None,
        "delivery": next((text for name, text in ways.items() if found.get(name)), "pull"),
        "filter": found.get("filter", ""),
        "ordering": found.get("enable_message_ordering", False),
        "dead-letter topic": found.get("dead_letter_policy", {}).get("dead_letter_topic", ""),
        "exactly-once delivery": found.get("enable_exactly_once_delivery", False),
        "message transforms": len(found.get("message_transforms", ())),
    }


def subscription_settings(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of `subscription_fields` that can be set → fields of `Subscription`."""
    settings: dict[str, Any] = {}
    if "ack deadline" in fields:
        settings["ack_deadline_seconds"] = fields["ack deadline"]
    if "retention" in fields:
        settings["message_retention_duration"] = {"seconds": fields["retention"]}
    if "expires" in fields:
        settings["expiration_policy"] = {}
    return settings


def _seconds(text: str) -> int:
    return int(float(text.removesuffix("s")))
