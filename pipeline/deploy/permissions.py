"""Who needs which role, granted on which resource, and no more. Pure; the README has the same table.

Sources: the IAM roles of Pub/Sub, BigQuery, Dataflow, Cloud Storage and Monitoring; BigQuery, «Scheduling queries»,
«Authorized datasets»; Dataflow, «Security and permissions».
"""

from __future__ import annotations

from dataclasses import dataclass

APIS = ("pubsub", "monitoring")
BIGQUERY_APIS = ("bigquery", "bigquerystorage", "bigquerydatatransfer")
DATAFLOW_APIS = ("dataflow", "compute", "storage")


@dataclass(frozen=True)
class Grant:
    """A role, or where no role is small enough permissions for a custom one, on the smallest resource it works on."""

    who: str
    role: str
    on: str


@dataclass(frozen=True)
class Names:
    """What a deployment's resources are called. `dataset` and `raw` are None where the warehouse is a DuckDB file."""

    project: str
    topic: str
    subscription: str
    dataset: str | None = None
    raw: str | None = None
    bucket: str | None = None


WORKER, PIPELINE, DATAFLOW = "binlog worker", "pipeline", "pipeline on Dataflow, too"
LAUNCHER, SCHEDULED, DEPLOYER, CONSUMERS = "launcher of Dataflow", "scheduled queries", "who deploys", "consumers"


def grants(names: Names) -> list[Grant]:
    """The whole table. `names.bucket` is that of the worker's checkpoint, where it is not a file."""
    project = f"project {names.project}"
    topic, subscription = f"topic {names.topic}", f"subscription {names.subscription}"
    made = [
        Grant(WORKER, "roles/pubsub.publisher", topic),
        Grant(WORKER, "roles/pubsub.viewer", f"{topic}, {subscription}"),
    ]
    if names.bucket:
        made.append(Grant(WORKER, "roles/storage.objectUser", f"bucket {names.bucket}"))
    made += [
        Grant(PIPELINE, "roles/pubsub.subscriber", subscription),
        Grant(PIPELINE, "roles/pubsub.viewer", f"{topic}, {subscription}"),
    ]
    if names.dataset is None:
        made.append(Grant(DEPLOYER, "roles/pubsub.editor", project))
        made.append(Grant(DEPLOYER, "roles/monitoring.alertPolicyEditor", project))
        return made
    dataset, raw = f"dataset {names.dataset}", f"dataset {names.raw}"
    return [
        *made,
        Grant(PIPELINE, "roles/bigquery.dataEditor", f"{dataset}, {raw}"),
        Grant(PIPELINE, "roles/bigquery.jobUser", project),
        Grant(DATAFLOW, "roles/dataflow.worker", project),
        Grant(DATAFLOW, "roles/storage.objectUser", "bucket of temp_location"),
        Grant(DATAFLOW, "roles/artifactregistry.reader", "repository of its image"),
        # reading by a timestamp attribute it makes a subscription of its own, to track the oldest one that is waiting
        Grant(DATAFLOW, "pubsub.subscriptions.create, .get, .delete (custom role)", project),
        Grant(DATAFLOW, "roles/pubsub.subscriber", topic),
        Grant(LAUNCHER, "roles/dataflow.developer", project),
        Grant(LAUNCHER, "roles/iam.serviceAccountUser", "service account of the pipeline"),
        Grant(LAUNCHER, "roles/storage.objectUser", "bucket of temp_location and the template"),
        Grant(SCHEDULED, "roles/bigquery.dataEditor", dataset),
        Grant(SCHEDULED, "roles/bigquery.dataViewer", raw),
        Grant(SCHEDULED, "roles/bigquery.jobUser", project),
        Grant(DEPLOYER, "roles/pubsub.editor", project),
        Grant(DEPLOYER, "roles/monitoring.alertPolicyEditor", project),
        Grant(DEPLOYER, "roles/bigquery.user", project),
        Grant(DEPLOYER, "bigquery.transfers.update (custom role), to change scheduled queries", project),
        Grant(DEPLOYER, "roles/bigquery.dataOwner, where somebody else made them", f"{dataset}, {raw}"),
        Grant(DEPLOYER, "roles/iam.serviceAccountUser", "service account of the scheduled queries"),
        Grant(CONSUMERS, "roles/bigquery.dataViewer", dataset),
        Grant(CONSUMERS, "roles/bigquery.jobUser", "the project that pays for their queries"),
    ]


def enable(names: Names) -> str:
    """The command that switches on what is used."""
    apis = APIS if names.dataset is None else (*APIS, *BIGQUERY_APIS, *DATAFLOW_APIS)
    return f"gcloud services enable {' '.join(f'{api}.googleapis.com' for api in apis)} --project {names.project}"
