"""The backlog alarm: a Cloud Monitoring alert policy on the oldest message that nobody has acknowledged.

The only module that imports the Monitoring client. MONITORING_EMULATOR_HOST (host:port, gRPC without TLS) names a
server for tests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.deploy import wanted
from pipeline.deploy.plan import Field
from pipeline.deploy.refusal import CALL_S, named, patient
from schemas.errors import DeployRefused

if TYPE_CHECKING:
    from google.cloud.monitoring_v3 import AlertPolicy, AlertPolicyServiceClient

SERVICE = "monitoring.googleapis.com"
ROLE = "roles/monitoring.alertPolicyEditor"

ADVICE = """The pipeline does not take the changes of the shop, or not fast enough: the numbers in the warehouse grow
old. Does the job run, and does its log name an error? Nothing is lost for 31 days."""


def monitoring_emulator() -> str | None:
    return os.environ.get("MONITORING_EMULATOR_HOST") or None


class AlarmPart:
    kind = "alarm"

    def __init__(self, project: str, subscription: str, channels: Sequence[str]) -> None:
        self.name = f"ltv-stream backlog of {subscription}"
        self._project, self._subscription, self._channels = project, subscription, channels
        self._named = named(SERVICE, ROLE, project)
        self._client: AlertPolicyServiceClient | None = None
        self._found: AlertPolicy | None = None

    def fields(self) -> Sequence[Field]:
        return wanted.alarm_fields(self._subscription, self._channels)

    def find(self) -> Mapping[str, Any] | None:
        with self._named("looking up the backlog alarm"):
            request = {"name": f"projects/{self._project}", "filter": f'display_name = "{self.name}"'}
            listed = self._open().list_alert_policies(request, retry=patient(), timeout=CALL_S)
            found = [policy for policy in listed if policy.display_name == self.name]
        if len(found) > 1:
            raise DeployRefused(
                f"{len(found)} alarms are named {self.name!r}: {', '.join(policy.name for policy in found)}",
                hint="delete all but one, then run it again",
            )
        if not found:
            return None
        self._found = found[0]
        return described(found[0])

    def create(self) -> None:
        from google.cloud.monitoring_v3 import AlertPolicy

        with self._named("creating the backlog alarm"):
            policy = AlertPolicy(alarm_settings(self.name, self._subscription, self._channels))
            name = f"projects/{self._project}"
            self._open().create_alert_policy(name=name, alert_policy=policy, retry=None, timeout=CALL_S)

    def update(self, changes: Mapping[str, Any]) -> None:
        from google.cloud.monitoring_v3 import AlertPolicy
        from google.protobuf.field_mask_pb2 import FieldMask

        assert self._found is not None
        with self._named("updating the backlog alarm"):
            policy = AlertPolicy(name=self._found.name, notification_channels=changes["notifies"])
            mask = FieldMask(paths=["notification_channels"])
            self._open().update_alert_policy(update_mask=mask, alert_policy=policy, retry=patient(), timeout=CALL_S)

    def _open(self) -> AlertPolicyServiceClient:
        from google.cloud.monitoring_v3 import AlertPolicyServiceClient
        from google.cloud.monitoring_v3.services.alert_policy_service.transports import AlertPolicyServiceGrpcTransport

        if self._client is None:
            host = monitoring_emulator()
            if host is None:
                self._client = AlertPolicyServiceClient()
            else:
                import grpc

                channel = grpc.insecure_channel(host)
                self._client = AlertPolicyServiceClient(transport=AlertPolicyServiceGrpcTransport(channel=channel))
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.transport.close()  # type: ignore[no-untyped-call]


def described(policy: AlertPolicy) -> dict[str, Any]:
    """An `AlertPolicy` → the fields of `alarm_fields`."""
    return {
        "condition": tuple(
            condition.condition_threshold.filter for condition in policy.conditions if condition.condition_threshold
        ),
        "notifies": tuple(policy.notification_channels),
        "note": "switched off"
        if "enabled" in policy and not policy.enabled
        else ""
        if policy.notification_channels
        else "tells nobody",
    }


def alarm_settings(name: str, subscription: str, channels: Sequence[str]) -> dict[str, Any]:
    """An `AlertPolicy` as JSON has it, in snake case."""
    age = {
        "filter": wanted.backlog_filter(subscription),
        "aggregations": [{"alignment_period": {"seconds": 60}, "per_series_aligner": "ALIGN_MAX"}],
        "comparison": "COMPARISON_GT",
        "threshold_value": wanted.ALARM_AFTER_S,
        "duration": {"seconds": wanted.ALARM_FOR_S},
    }
    return {
        "display_name": name,
        "combiner": "OR",
        "conditions": [{"display_name": "oldest unacknowledged message", "condition_threshold": age}],
        "documentation": {"content": ADVICE, "mime_type": "text/markdown"},
        "notification_channels": list(channels),
    }
