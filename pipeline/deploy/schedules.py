"""Scheduled queries: transfer configurations of BigQuery's Data Transfer Service, one for each rolled-up table.

The only module that imports its client. A configuration is known by its display name, in the datasets' location.
BIGQUERY_TRANSFER_EMULATOR_HOST (host:port, gRPC without TLS) names a server for tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import InvalidArgument

from pipeline.bigquery.names import DatasetName
from pipeline.deploy import wanted
from pipeline.deploy.plan import Field
from pipeline.deploy.refusal import CALL_S, named, patient
from pipeline.deploy.rollup_scripts import rollup_scripts
from schemas.errors import DeployRefused

if TYPE_CHECKING:
    from google.cloud.bigquery_datatransfer_v1 import DataTransferServiceClient, TransferConfig

SERVICE = "bigquerydatatransfer.googleapis.com"
ROLE = "a role with bigquery.transfers.update, such as roles/bigquery.admin,"
SOURCE = "scheduled_query"
PREFIX = "ltv-stream "
NO_CREDENTIAL = "say what it shall run as: --service-account EMAIL; as you it may want a code from a browser first"
"""Of a person the service wants an authorization code, unless it has had one before; of a service account none."""
DEFAULT_LOCATION = "US"
"""Where BigQuery puts a dataset that is made without a place."""


def transfer_emulator() -> str | None:
    return os.environ.get("BIGQUERY_TRANSFER_EMULATOR_HOST") or None


class Schedules:
    """The scheduled queries of one project and location."""

    def __init__(self, project: str, location: Callable[[], str]) -> None:
        """`location` is asked late: that of datasets which are still to be made is known afterwards."""
        self._project, self._location = project, location
        self.named = named(SERVICE, ROLE, project)
        self._client: DataTransferServiceClient | None = None
        self._known: dict[str, list[TransferConfig]] | None = None

    @property
    def parent(self) -> str:
        return f"projects/{self._project}/locations/{self._location()}"

    def find(self, display_name: str) -> TransferConfig | None:
        """Raises DeployRefused where two have that name."""
        with self.named("looking up scheduled queries"):
            if self._known is None:
                self._known = {}
                request = {"parent": self.parent, "data_source_ids": [SOURCE]}
                for config in self.client.list_transfer_configs(request, retry=patient(), timeout=CALL_S):
                    self._known.setdefault(config.display_name, []).append(config)
            found = self._known.get(display_name, [])
            if len(found) > 1:
                raise DeployRefused(
                    f"{len(found)} scheduled queries are named {display_name!r}:"
                    f" {', '.join(config.name for config in found)}",
                    hint="delete all but one: bq rm --transfer_config NAME; then run it again",
                )
            # only a configuration that is asked for by itself says whose credentials it runs with
            if not found:
                return None
            return self.client.get_transfer_config(name=found[0].name, retry=patient(), timeout=CALL_S)

    def left_over(self, dataset: str, wanted: Sequence[str]) -> list[TransferConfig]:
        """Those of this dataset that an older version has made, under names that are no longer wanted."""
        mine = f"{PREFIX}{dataset}."
        named = (self._known or {}).items()
        return [config for name, found in named if name.startswith(mine) and name not in wanted for config in found]

    @property
    def client(self) -> DataTransferServiceClient:
        from google.cloud.bigquery_datatransfer_v1 import DataTransferServiceClient
        from google.cloud.bigquery_datatransfer_v1.services.data_transfer_service.transports import (
            DataTransferServiceGrpcTransport,
        )

        if self._client is None:
            host = transfer_emulator()
            if host is None:
                self._client = DataTransferServiceClient()
            else:
                import grpc

                channel = grpc.insecure_channel(host)
                self._client = DataTransferServiceClient(transport=DataTransferServiceGrpcTransport(channel=channel))
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.transport.close()  # type: ignore[no-untyped-call]


class SchedulePart:
    """The scheduled query of one rolled-up table. `hours` and `service_account`: None leaves what is there."""

    kind = "scheduled query"

    def __init__(
        self, schedules: Schedules, table: str, query: str, hours: int | None, service_account: str | None
    ) -> None:
        """`table` as dataset.table."""
        self.name = PREFIX + table
        self._schedules, self._query = schedules, query
        self._hours, self._service_account = hours, service_account
        self._found = ""

    def fields(self) -> Sequence[Field]:
        return wanted.schedule_fields(self._query, self._hours, self._service_account)

    def find(self) -> Mapping[str, Any] | None:
        found = self._schedules.find(self.name)
        if found is None:
            return None
        self._found = found.name
        return described(found)

    def create(self) -> None:
        schedule = next(field.wanted for field in self.fields() if field.name == "schedule")
        config = {
            "display_name": self.name,
            "data_source_id": SOURCE,
            "params": {"query": self._query},
            "schedule": schedule,
            "email_preferences": {"enable_failure_email": True},
        }
        request = {"parent": self._schedules.parent, "transfer_config": config}
        if self._service_account:
            request["service_account_name"] = self._service_account
        try:
            with self._schedules.named(f"creating the scheduled query {self.name}"):
                self._schedules.client.create_transfer_config(request, retry=None, timeout=CALL_S)
        except DeployRefused as error:
            if self._service_account is None and isinstance(error.__cause__, InvalidArgument):
                error.hint = NO_CREDENTIAL
            raise

    def update(self, changes: Mapping[str, Any]) -> None:
        config: dict[str, Any] = {"name": self._found}
        paths: list[str] = []
        if "query" in changes or "destination table" in changes:
            config["params"] = {"query": self._query}
            paths.append("params")
        if "schedule" in changes:
            config["schedule"] = changes["schedule"]
            paths.append("schedule")
        request: dict[str, Any] = {"transfer_config": config, "update_mask": {"paths": paths}}
        if "service account" in changes:
            request["service_account_name"] = changes["service account"]
            paths.append("service_account_name")
        with self._schedules.named(f"updating the scheduled query {self.name}"):
            self._schedules.client.update_transfer_config(request, retry=patient(), timeout=CALL_S)


def described(config: TransferConfig) -> dict[str, Any]:
    """A `TransferConfig` → the fields of `schedule_fields`. Of whom it is may be unknown: None."""
    params = dict(config.params or {})
    paused = config.disabled or config.schedule_options.disable_auto_scheduling
    return {
        "query": params.get("query", ""),
        "schedule": config.schedule or config.schedule_options_v2.time_based_schedule.schedule,
        "destination table": params.get("destination_table_name_template", ""),
        "service account": config.owner_info.email or None,
        "note": "paused" if paused else "",
    }


def schedule_parts(
    schedules: Schedules, dataset: DatasetName, time_zone: str, hours: int | None, service_account: str | None
) -> list[SchedulePart]:
    return [
        SchedulePart(schedules, f"{dataset.dataset}.{tables}", script, hours, service_account)
        for tables, script in rollup_scripts(dataset, time_zone)
    ]
