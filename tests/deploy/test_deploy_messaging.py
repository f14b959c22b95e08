"""Topic and subscription on a real emulator: made right, brought to right, and never made less of."""

from __future__ import annotations

from typing import Any

import pytest

from demo.servers import PubSubEmulator
from pipeline.deploy import wanted
from pipeline.deploy.messaging import described_subscription, described_topic, subscription_settings
from pipeline.deploy.plan import step_of
from tests.deploy.conftest import Shop

DAY_S = 86_400


@pytest.fixture
def google_emulator(pubsub: PubSubEmulator) -> None:
    if pubsub.kind != "google":
        pytest.skip(f"{pubsub.kind} keeps only a subscription's topic and ack deadline; see the tests without a server")


@pytest.mark.usefixtures("google_emulator")
def test_a_subscription_is_made_to_last(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    made = shop.admin.subscription(shop.subscription_path)
    assert made.topic == shop.topic_path
    assert made.ack_deadline_seconds == 10  # as `stream` makes it for an emulator; 60 in production
    assert made.message_retention_duration.days == 7  # what the emulator takes; 31 in production, see below
    assert type(made).pb(made).HasField("expiration_policy")
    assert not type(made).pb(made).expiration_policy.HasField("ttl")  # never
    assert not made.dead_letter_policy
    assert not made.enable_message_ordering
    assert made.filter == ""


@pytest.mark.usefixtures("google_emulator")
def test_one_that_forgets_too_soon_is_brought_to_it(shop: Shop) -> None:
    shop.admin.create_topic(shop.topic_path)
    settings = {"ack_deadline_seconds": 30, "message_retention_duration": {"seconds": DAY_S}, "labels": {"of": "shop"}}
    shop.admin.create_subscription(shop.subscription_path, shop.topic_path, settings)
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "update: retention 1 day → 7 days" in " ".join(out.split())
    made = shop.admin.subscription(shop.subscription_path)
    assert (made.ack_deadline_seconds, made.message_retention_duration.days) == (30, 7)
    assert dict(made.labels) == {"of": "shop"}


def test_a_longer_deadline_stays(shop: Shop) -> None:
    shop.admin.create_topic(shop.topic_path)
    shop.admin.create_subscription(shop.subscription_path, shop.topic_path, {"ack_deadline_seconds": 600})
    assert shop.deploy("--yes")[0] == 0
    assert shop.admin.subscription(shop.subscription_path).ack_deadline_seconds == 600


@pytest.mark.usefixtures("google_emulator")
@pytest.mark.parametrize(
    ("settings", "what", "way_out"),
    [
        ({"filter": 'attributes.table = "x"'}, 'filter is attributes.table = "x", and must be none', "delete"),
        ({"enable_message_ordering": True}, "ordering is on, and must be off", "subscriptions delete"),
        ({"push_config": {"push_endpoint": "https://example.com/"}}, "delivery is push, and must be pull", "another"),
        ({"dead_letter_policy": "{topic}-dead"}, "dead-letter topic is projects/", "--clear-dead-letter-policy"),
        (
            {"enable_exactly_once_delivery": True},
            "exactly-once delivery is on, and must be off",
            "--no-enable-exactly-once-delivery",
        ),
    ],
)
def test_what_cannot_be_changed_is_in_the_way(shop: Shop, settings: dict[str, Any], what: str, way_out: str) -> None:
    shop.admin.create_topic(shop.topic_path)
    if "dead_letter_policy" in settings:
        dead = f"{shop.topic_path}-dead"
        shop.admin.create_topic(dead)
        settings = {"dead_letter_policy": {"dead_letter_topic": dead, "max_delivery_attempts": 5}}
    shop.admin.create_subscription(shop.subscription_path, shop.topic_path, settings)
    before = shop.admin.subscription(shop.subscription_path)
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert what in err
    assert way_out in err
    assert shop.admin.subscription(shop.subscription_path) == before
    assert shop.changed() == 0


def test_a_subscription_of_another_topic_is_in_the_way(shop: Shop) -> None:
    shop.admin.create_topic(f"{shop.topic_path}-other")
    shop.admin.create_subscription(shop.subscription_path, f"{shop.topic_path}-other", {})
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert f"topic is {shop.topic_path}-other, and must be {shop.topic_path}" in err
    assert "way out: name another `subscription` in shop.yaml" in err
    assert shop.admin.topic(shop.topic_path) is None


# What no emulator has, as the API describes it


def production(found: dict[str, Any]) -> Any:
    fields = wanted.subscription_fields("ltv", "projects/p/topics/changes", emulated=False)
    return step_of("subscription", "ltv", fields, described_subscription(found))


def test_in_production_it_keeps_31_days_and_never_expires() -> None:
    made = step_of("subscription", "ltv", wanted.subscription_fields("ltv", "t", emulated=False), None)
    assert subscription_settings({change.field: change.value for change in made.changes}) == {
        "ack_deadline_seconds": 60,
        "message_retention_duration": {"seconds": 31 * DAY_S},
        "expiration_policy": {},
    }
    default = {
        "topic": "projects/p/topics/changes",
        "ack_deadline_seconds": 10,
        "message_retention_duration": "604800s",
    }
    step = production({**default, "expiration_policy": {"ttl": "2678400s"}})
    assert [(change.field, change.old, change.new) for change in step.changes] == [
        ("ack deadline", "10 s", "60 s"),
        ("retention", "7 days", "31 days"),
        ("expires", "after 31 days", "never"),
    ]
    right = {**default, "ack_deadline_seconds": 60, "message_retention_duration": "2678400s", "expiration_policy": {}}
    assert production(right).action == "nothing"
    assert production({**right, "detached": True}).refused
    assert production({**right, "bigquery_config": {"table": "p.d.t"}}).refused
    assert production({**right, "message_transforms": [{"javascript_udf": {}}]}).refused
    assert production({**right, "dead_letter_policy": {"dead_letter_topic": "projects/p/topics/dead"}}).refused
    assert production({**right, "enable_exactly_once_delivery": True}).refused
    assert production({**right, "filter": 'attributes.table = "x"'}).refused
    assert production({**right, "enable_message_ordering": True}).refused
    assert production({**right, "push_config": {"push_endpoint": "https://example.com/"}}).refused
    assert production({**right, "topic": "projects/p/topics/other"}).refused


def test_a_topic_with_a_schema_is_in_the_way() -> None:
    found = {"name": "projects/p/topics/changes", "schema_settings": {"schema": "projects/p/schemas/s"}}
    step = step_of("topic", "changes", wanted.topic_fields("changes"), described_topic(found))
    assert "--clear-schema-settings" in step.refused[0][1]
    assert step_of("topic", "changes", wanted.topic_fields("changes"), described_topic({})).action == "nothing"
