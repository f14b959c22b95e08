"""`ltv-pipeline stream --runner DataflowRunner`: builds the job, hands it to Dataflow and returns; the job goes on.

What the options leave open is set here. Source: Dataflow documentation, «Set pipeline options», «Set the pipeline
streaming mode», «Build custom container images»; `google.dataflow.v1beta3.Job` for what a name may be.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)

from pipeline.graph import build
from pipeline.message_source import DATAFLOW, ReadMessages
from pipeline.runner import pipeline_options
from pipeline.warehouse import open_warehouse
from schemas import topic
from schemas.config import ShopConfig
from schemas.errors import ConfigError, JobRefused, JobUnavailable, UsageError

LOG = logging.getLogger(__name__)
AT_LEAST_ONCE = "streaming_mode_at_least_once"
_STREAMING_MODE = "streaming_mode_"
_BUCKET_PATH = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?")
_EMULATORS = ("PUBSUB_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "BIGQUERY_WRITE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST")
CONSOLE = "https://console.cloud.google.com/dataflow/jobs"


@dataclass(frozen=True)
class Launched:
    """A job as Dataflow took it. Its `id` is "" where it was not started: a dry run, or the graph of a template, which
    the template's launcher starts. `graph` is the job's description, a proto of Beam's."""

    name: str
    project: str
    region: str
    id: str
    graph: Any

    def __str__(self) -> str:
        if not self.id:
            count = sum(not transform.subtransforms for transform in self.graph.components.transforms.values())
            return f"the job {self.name} is built ({count} transforms), and not started"
        job = f"{self.id} --region={self.region} --project={self.project}"
        return (
            f"the job {self.name} runs on Dataflow, also when this machine is switched off\n"
            f"  id       {self.id}\n"
            f"  see      {CONSOLE}/{self.region}/{self.id}?project={self.project}\n"
            f"  end it   gcloud dataflow jobs drain {job}"
        )


def launch(config: ShopConfig, arguments: Sequence[str], *, until_idle: float | None = None) -> Launched:
    """Starts the job. With `--dry_run=True` it is only built, and nothing is asked of anybody.

    Raises ConfigError or UsageError naming all that is wrong, SettingsChanged and TopicRefused as `stream` does,
    JobRefused, JobUnavailable.
    """
    options = job_options(config, arguments)
    if until_idle is not None:
        raise UsageError(
            "--until-idle is for `stream` on this machine", hint="a job on Dataflow runs until it is drained"
        )
    dry = bool(options.view_as(TestOptions).dry_run)
    if not dry:
        with contextlib.closing(open_warehouse(config, waiting=LOG.warning)) as warehouse:
            warehouse.check_settings(config)
        topic.require(str(config.project), config.topic, config.subscription)
    cloud = options.view_as(GoogleCloudOptions)
    with job_errors():
        pipeline = beam.Pipeline(options=options)
        build(pipeline, ReadMessages(config, 0.0), config)
        try:
            result = pipeline.run()
        except KeyboardInterrupt:
            LOG.warning(
                "stopped while %s was handed over; if Dataflow has it, it goes on:"
                " gcloud dataflow jobs list --status=active --region=%s --project=%s",
                *(cloud.job_name, cloud.region, cloud.project),
            )
            raise
    started = not dry and result.has_job
    graph = pipeline.runner.proto_pipeline
    return Launched(cloud.job_name, cloud.project, cloud.region, result.job_id() if started else "", graph)


def job_options(config: ShopConfig, arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options with what they leave open. Raises ConfigError naming everything that Dataflow could not use."""
    config.need("project", "warehouse")
    options = pipeline_options(arguments, (DATAFLOW,))
    cloud, workers, setup = (options.view_as(kind) for kind in (GoogleCloudOptions, WorkerOptions, SetupOptions))
    problems = [*_local_problems(config), *_missing(cloud, workers, setup)]
    if problems:
        raise ConfigError(problems, source="Dataflow", hint="see the README, «Dataflow»")
    options.view_as(StandardOptions).streaming = True
    cloud.project = cloud.project or config.project
    cloud.job_name = cloud.job_name or job_name(config)
    cloud.enable_streaming_engine = True
    services = cloud.dataflow_service_options or []
    experiments = options.view_as(DebugOptions).experiments or []
    if not any(option.startswith(_STREAMING_MODE) for option in (*services, *experiments)):
        services = [*services, AT_LEAST_ONCE]
    cloud.dataflow_service_options = services
    setup.save_main_session = False
    if workers.sdk_container_image:  # the image has everything: nothing of this machine is asked for or staged
        options.view_as(DebugOptions).add_experiment("disable_logging_submission_environment")
        if setup.sdk_location == "default":
            setup.sdk_location = "container"
    return options


def job_name(config: ShopConfig) -> str:
    """A name of its own for each subscription, so that Dataflow refuses a second job that reads the same one."""
    name = re.sub(r"[^a-z0-9]+", "-", config.subscription.lower()).strip("-")
    if name != config.subscription:
        name += f"-{hashlib.sha256(config.subscription.encode()).hexdigest()[:6]}"
    return f"ltv-{name}"


def _local_problems(config: ShopConfig) -> Iterator[str]:
    """What is on this machine, where Dataflow's workers are not."""
    kind, _, _ = str(config.warehouse).partition(":")
    if kind == "duckdb":
        yield "warehouse: a DuckDB file is on this machine; Dataflow's workers need bigquery:PROJECT.DATASET"
    for name in _EMULATORS:
        if os.environ.get(name):
            yield f"{name} is set: Dataflow's workers cannot reach an emulator; unset it"


def _missing(cloud: GoogleCloudOptions, workers: WorkerOptions, setup: SetupOptions) -> Iterator[str]:
    if not cloud.region:
        yield "--region: missing, such as europe-west1; best where the dataset is"
    for option in ("temp_location", "staging_location"):
        place = getattr(cloud, option)
        if place and not _BUCKET_PATH.fullmatch(place):
            yield f"--{option}: {place[:100]!r} is no gs://bucket/folder"
    if not cloud.temp_location:
        yield "--temp_location: missing, such as gs://bucket/dataflow"
    if not workers.sdk_container_image and not setup.setup_file:
        yield "--sdk_container_image: missing; the workers need this package: the image of the Dockerfile's `pipeline`"


@contextlib.contextmanager
def job_errors() -> Iterator[None]:
    """The errors of Google's clients as ours; decided by their class."""
    from apache_beam.runners.dataflow.internal.apiclient import DataflowJobAlreadyExistsError
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, TransportError

    try:
        yield
    except DefaultCredentialsError as error:
        raise ConfigError(
            ["no Google Cloud credentials were found"],
            source="Dataflow",
            hint="run `gcloud auth application-default login`",
        ) from error
    except DataflowJobAlreadyExistsError as error:
        raise JobRefused(
            f"Dataflow: {error}", hint="--update replaces the running job; or drain it first, and wait for its end"
        ) from error
    except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError, TransportError) as error:
        raise JobUnavailable(
            f"Dataflow: {error}", hint="check the network, and with `gcloud` whether the job runs"
        ) from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise JobRefused(
            f"Dataflow: {error}", hint="grant the roles that `ltv-pipeline deploy --dry-run` lists"
        ) from error
    except (exceptions.GoogleAPICallError, OSError) as error:
        raise JobRefused(
            f"Dataflow: {error}", hint="check project, region, bucket and image, and that the Dataflow API is enabled"
        ) from error
    except ValueError as error:
        raise UsageError(f"Beam does not take these options: {error}") from error
