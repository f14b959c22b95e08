"""The backlog alarm: what Cloud Monitoring is asked for, and what of an alarm stays as its owner made it."""

from __future__ import annotations

from google.cloud.monitoring_v3.types import AlertPolicy

from tests.deploy.conftest import PROJECT, Shop

CHANNELS = f"projects/{PROJECT}/notificationChannels"


def test_it_watches_the_oldest_message_of_the_subscription(shop: Shop) -> None:
    status, out, _ = shop.deploy("--yes", "--notify", "12", "--notify", f"{CHANNELS}/34", "--notify", "12")
    assert status == 0
    assert "notifies 12, 34" in " ".join(out.split())
    (request,) = shop.google.asked("CreateAlertPolicy")
    assert request.name == f"projects/{PROJECT}"
    policy = request.alert_policy
    assert policy.display_name == f"ltv-stream backlog of {shop.subscription}"
    assert list(policy.notification_channels) == [f"{CHANNELS}/12", f"{CHANNELS}/34"]
    (condition,) = policy.conditions
    threshold = condition.condition_threshold
    assert threshold.filter == (
        f'resource.type = "pubsub_subscription" AND resource.labels.subscription_id = "{shop.subscription}"'
        ' AND metric.type = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"'
    )
    assert (threshold.comparison.name, threshold.threshold_value, threshold.duration.seconds) == (
        "COMPARISON_GT",
        600,
        300,
    )
    (aggregation,) = threshold.aggregations
    assert (aggregation.alignment_period.seconds, aggregation.per_series_aligner.name) == (60, "ALIGN_MAX")


def test_a_channel_comes_to_those_that_are_there(shop: Shop) -> None:
    assert shop.deploy("--yes", "--notify", "12")[0] == 0
    (policy,) = shop.google.alarms.values()
    policy.conditions[0].condition_threshold.threshold_value = 3600
    policy.enabled = False
    status, out, _ = shop.deploy("--yes", "--notify", "34")
    assert status == 0
    assert "yes, switched off" in out
    (request,) = shop.google.asked("UpdateAlertPolicy")
    assert list(request.update_mask.paths) == ["notification_channels"]
    assert list(policy.notification_channels) == [f"{CHANNELS}/12", f"{CHANNELS}/34"]
    assert policy.conditions[0].condition_threshold.threshold_value == 3600
    assert policy.enabled is False


def test_one_that_tells_nobody_says_so(shop: Shop) -> None:
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "the alarm will tell nobody: --notify CHANNEL" in out
    assert "yes, tells nobody" in shop.deploy()[1]


def test_another_alarm_of_that_name_is_in_the_way(shop: Shop) -> None:
    assert shop.deploy("--yes")[0] == 0
    (policy,) = shop.google.alarms.values()
    policy.conditions[0].condition_threshold.filter = 'metric.type = "something/else"'
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert 'condition is metric.type = "something/else", and must be oldest message above 10 min for 5 min' in err

    shop.google.alarms["projects/local-shop/alertPolicies/2"] = AlertPolicy(policy)
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert "2 alarms are named 'ltv-stream backlog of " in err
    assert "delete all but one" in err
