"""The job for Dataflow, built offline: its graph, its options, what it refuses, what its description must not hold."""

from __future__ import annotations

import base64
import bz2
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, SetupOptions, StandardOptions, WorkerOptions
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.dataflow.internal.apiclient import DataflowJobAlreadyExistsError, Environment
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError

from pipeline import dataflow
from pipeline.cli import main
from pipeline.dataflow import Launched, job_errors, job_name, job_options, launch
from pipeline.graph import build
from pipeline.message_source import ReadMessages
from schemas.config import ShopConfig
from schemas.errors import ConfigError, JobRefused, JobUnavailable, SettingsChanged, UsageError
from tests.builders import shop

IMAGE = "europe-west1-docker.pkg.dev/local-shop/ltv/ltv-pipeline:1"
ARGUMENTS = (
    "--runner=DataflowRunner",
    "--region=europe-west1",
    "--temp_location=gs://shop-dataflow/temp",
    f"--sdk_container_image={IMAGE}",
    "--dry_run=True",
)
SECRETS = ("secret-in-url", "/run/secret-file", "/run/secret-key.pem")
TRANSFORMS = {
    "ReadMessages/ReadSubscription/Read",
    "ReadMessages/ReadSubscription/ParDo(_AddMetricsPassThrough)",
    "ReadMessages/ReadSubscription/Map(_from_proto_str)",
    "ReadMessages/ListMessages",
    "DecodeChangeEvents",
    "KeyByPurchaseMonth",
    "UpsertIntoWarehouse",
}
"""A running job is updated by these names: one that is changed needs a mapping in the README."""


@pytest.fixture(autouse=True)
def no_emulators(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in dataflow._EMULATORS:
        monkeypatch.delenv(name, raising=False)


def config(**fields: Any) -> ShopConfig:
    return shop(**{"project": "local-shop", "warehouse": "bigquery:local-shop.ltv", **fields})


@pytest.fixture(scope="module")
def graph() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name in dataflow._EMULATORS:
            patch.delenv(name, raising=False)
        secret = config(
            source="mysql://repl:secret-in-url@db.example:3306", password_file=SECRETS[1], tls="verify-ca",
            ca="/run/secret-ca.pem", tls_cert="/run/secret-cert.pem", tls_key=SECRETS[2],
        )  # fmt: skip
        return launch(secret, ARGUMENTS).graph


def primitives(graph: Any) -> dict[str, Any]:
    """Name → transform, of those that do something by themselves."""
    found = graph.components.transforms.values()
    return {each.unique_name: each for each in found if each.spec.urn and not each.subtransforms}


def test_it_reads_the_subscription_as_it_must(graph: Any) -> None:
    reads = [each for each in primitives(graph).values() if each.spec.urn == "beam:transform:pubsub_read:v1"]
    assert len(reads) == 1
    read = api.PubSubReadPayload.FromString(reads[0].spec.payload)
    assert read.subscription == "projects/local-shop/subscriptions/ltv"
    assert read.timestamp_attribute == "committed_at"
    assert read.with_attributes
    assert not read.id_attribute
    assert not read.topic


def test_every_name_is_one_that_running_jobs_know(graph: Any) -> None:
    assert set(primitives(graph)) == TRANSFORMS


def test_nothing_is_shuffled_and_nothing_keeps_state(graph: Any) -> None:
    others = {name: each for name, each in primitives(graph).items() if "pubsub_read" not in each.spec.urn}
    assert {each.spec.urn for each in others.values()} == {"beam:transform:pardo:v1"}
    for each in others.values():
        payload = api.ParDoPayload.FromString(each.spec.payload)
        assert not payload.state_specs
        assert not payload.timer_family_specs
        assert not payload.side_inputs
        assert not payload.restriction_coder_id
        assert len(each.inputs) == 1
    everything = {each.spec.urn for each in graph.components.transforms.values()}
    assert not [urn for urn in everything if "group_by_key" in urn or "reshuffle" in urn or "combine" in urn]
    assert list(graph.requirements) == []


def test_the_workers_run_our_image(graph: Any) -> None:
    assert [each for one in graph.components.environments.values() for each in one.dependencies] == []
    images = {
        api.DockerPayload.FromString(each.payload).container_image for each in graph.components.environments.values()
    }
    assert images == {IMAGE}


def pickles(graph: Any) -> Iterator[bytes]:
    """What is pickled in the job's description, unpacked: Beam writes bz2 as base64."""
    for packed in re.findall(rb"Qlpo[A-Za-z0-9+/]+={0,2}", graph.SerializeToString()):
        yield bz2.decompress(base64.b64decode(packed))


def test_no_secret_is_in_the_job(graph: Any) -> None:
    found = b"".join(pickles(graph)) + graph.SerializeToString()
    assert b"shop.orders" in found, "the configuration does travel to the workers"
    assert found.count(b"bigquery:local-shop.ltv") >= 2
    assert [secret for secret in (*SECRETS, "secret", "db.example") if secret.encode() in found] == []


def test_the_environment_that_dataflow_is_sent() -> None:
    pipeline = beam.Pipeline(options=job_options(config(), ARGUMENTS))
    build(pipeline, ReadMessages(config(), 0.0), config())
    job = pipeline.run().job
    sent = Environment([], job.options, "8", "gs://shop-dataflow/temp/pipeline.pb", job.proto_pipeline).proto
    assert (job.proto.name, job.proto.type_.name) == ("ltv-ltv", "JOB_TYPE_STREAMING")
    assert list(sent.service_options) == ["streaming_mode_at_least_once"]
    assert sent.version["job_type"] == "FNAPI_STREAMING"
    assert {"enable_streaming_engine", "enable_windmill_service", "use_runner_v2"} <= set(sent.experiments)
    pool = sent.worker_pools[0]
    assert pool.worker_harness_container_image == IMAGE
    assert [each.container_image for each in pool.sdk_harness_container_images] == [IMAGE]


def test_what_is_given_stays() -> None:
    given = job_options(
        config(subscription="other"),
        [
            *ARGUMENTS,
            "--project=other-project",
            "--job_name=mine",
            "--update",
            "--worker_machine_type=n2-standard-4",
            "--dataflow_service_options=streaming_mode_exactly_once,enable_google_cloud_profiler",
            "--staging_location=gs://shop-dataflow/staging",
        ],
    )
    cloud = given.view_as(GoogleCloudOptions)
    assert (cloud.project, cloud.job_name, cloud.update) == ("other-project", "mine", True)
    assert cloud.dataflow_service_options == ["streaming_mode_exactly_once", "enable_google_cloud_profiler"]
    assert cloud.staging_location == "gs://shop-dataflow/staging"
    assert given.view_as(WorkerOptions).machine_type == "n2-standard-4"


def test_what_is_left_open() -> None:
    options = job_options(config(), [*ARGUMENTS, "--dataflow_service_options=enable_google_cloud_profiler"])
    cloud, setup = options.view_as(GoogleCloudOptions), options.view_as(SetupOptions)
    assert cloud.dataflow_service_options == ["enable_google_cloud_profiler", "streaming_mode_at_least_once"]
    assert (cloud.project, cloud.job_name) == ("local-shop", "ltv-ltv")
    assert options.view_as(StandardOptions).streaming is True
    assert setup.save_main_session is False
    assert setup.sdk_location == "container"


@pytest.mark.parametrize("subscription", ["ltv", "LTV", "ltv_2", "shop.ltv%7e+x", "x" * 255])
def test_a_job_is_named_after_its_subscription(subscription: str) -> None:
    name = job_name(config(subscription=subscription))
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?", name), "Dataflow's own rule"


def test_two_subscriptions_have_two_jobs() -> None:
    names = [job_name(config(subscription=subscription)) for subscription in ("a-b", "a_b", "A-b", "a.b")]
    assert len(set(names)) == 4


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085")
    with pytest.raises(ConfigError) as wrong:
        launch(config(warehouse="duckdb:ltv.duckdb"), ["--runner=DataflowRunner", "--temp_location=/tmp/x"])
    text = "\n".join(wrong.value.problems)
    for word in ("DuckDB file", "PUBSUB_EMULATOR_HOST", "--region", "'/tmp/x' is no gs://", "--sdk_container_image"):
        assert word in text
    assert len(wrong.value.problems) == 5


@pytest.mark.parametrize("place", ["gs://b/t", "bucket/x", "gs://", "s3://bucket/x", "gs://Bucket/x"])
def test_a_place_that_is_no_bucket(place: str) -> None:
    """Beam would try to make a bucket of its own instead, and time out after two minutes."""
    with pytest.raises(ConfigError, match="no gs://bucket/folder"):
        job_options(config(), [*ARGUMENTS[:2], f"--temp_location={place}", ARGUMENTS[3]])


def test_other_refusals() -> None:
    with pytest.raises(UsageError, match="--until-idle"):
        launch(config(), ARGUMENTS, until_idle=1.0)
    with pytest.raises(ConfigError, match="project: missing"):
        launch(config(project=None, warehouse="bigquery:local-shop.ltv"), ARGUMENTS)
    with pytest.raises(UsageError, match="no_such_option"):
        launch(config(), [*ARGUMENTS, "--no_such_option=1"])


@pytest.mark.parametrize(
    ("raised", "wanted", "hint"),
    [
        (DefaultCredentialsError("none"), ConfigError, "gcloud auth"),
        (DataflowJobAlreadyExistsError("there is an active job named ltv"), JobRefused, "--update"),
        (exceptions.Forbidden("dataflow.jobs.create"), JobRefused, "deploy --dry-run"),
        (exceptions.NotFound("no such region"), JobRefused, "check project"),
        (exceptions.ServiceUnavailable("later"), JobUnavailable, "check the network"),
        (OSError("Could not upload to GCS path gs://b"), JobRefused, "bucket"),
    ],
)
def test_errors_of_googles_clients_have_names(raised: Exception, wanted: type[Exception], hint: str) -> None:
    with pytest.raises(wanted) as error, job_errors():
        raise raised
    assert hint in str(getattr(error.value, "hint", ""))


def test_the_command_says_what_it_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(
        "{project: local-shop, warehouse: 'bigquery:ltv', time_zone: Europe/Paris, currency: EUR, preset: case_study}"
    )
    assert main(["stream", "-c", str(file), *ARGUMENTS]) == 0
    assert "the job ltv-ltv is built (7 transforms), and not started" in capsys.readouterr().out
    assert main(["stream", "-c", str(file), *ARGUMENTS, "--until-idle", "3"]) == 2


class FakeDataflow:
    """Beam's client of the service, without the service. `id` None: a template's launcher starts the job."""

    id: str | None = "2026-01-13_01_02"
    raises: BaseException | None = None

    def __init__(self, options: Any, root_staging_location: str) -> None:
        self.options = options

    def create_job(self, job: Any) -> Any:
        if self.raises is not None:
            raise self.raises
        return None if self.id is None else SimpleNamespace(id=self.id)


class FakeWarehouse:
    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.closed = error, False

    def check_settings(self, config: ShopConfig) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a launch asks outside, faked; `asked` is what it asked of Pub/Sub."""
    made = SimpleNamespace(warehouse=FakeWarehouse(), dataflow=type("Dataflow", (FakeDataflow,), {}), asked=[])
    monkeypatch.setattr(dataflow, "open_warehouse", lambda config, **_: made.warehouse)
    monkeypatch.setattr(dataflow.topic, "require", lambda *names: made.asked.append(names))
    monkeypatch.setattr("apache_beam.io.gcp.gcsio.GcsIO.__init__", lambda self: None)
    monkeypatch.setattr("apache_beam.io.gcp.gcsio.GcsIO.is_soft_delete_enabled", lambda self, path: False)
    monkeypatch.setattr("apache_beam.runners.dataflow.internal.apiclient.DataflowApplicationClient", made.dataflow)
    return made


def test_a_launch_looks_first_and_returns_the_job(service: Any) -> None:
    launched = launch(config(), ARGUMENTS[:-1])
    assert (launched.id, launched.name, launched.region) == ("2026-01-13_01_02", "ltv-ltv", "europe-west1")
    assert service.asked == [("local-shop", "changes", "ltv")]
    assert service.warehouse.closed
    assert set(primitives(launched.graph)) == TRANSFORMS


def test_changed_settings_are_found_at_the_launch(service: Any) -> None:
    service.warehouse = FakeWarehouse(SettingsChanged("counted changed"))
    with pytest.raises(SettingsChanged):
        launch(config(), ARGUMENTS[:-1])
    assert service.warehouse.closed


def test_a_template_hands_its_graph_to_the_launcher(service: Any) -> None:
    service.dataflow.id = None
    launched = launch(config(), [*ARGUMENTS[:-1], "--template_location=gs://shop-dataflow/staging/job_object"])
    assert launched.id == ""
    assert "not started" in str(launched)


def test_a_second_job_of_the_same_subscription_is_refused(service: Any) -> None:
    service.dataflow.raises = DataflowJobAlreadyExistsError("there is an active job named ltv-ltv")
    with pytest.raises(JobRefused, match="ltv-ltv"):
        launch(config(), ARGUMENTS[:-1])


def test_ctrl_c_says_that_the_job_may_go_on(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    service.dataflow.raises = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        launch(config(), ARGUMENTS[:-1])
    assert "if Dataflow has it, it goes on" in caplog.text
    assert "--region=europe-west1 --project=local-shop" in caplog.text


def test_a_job_that_runs_is_shown_with_its_way_out() -> None:
    text = str(Launched("ltv-ltv", "local-shop", "europe-west1", "2026-01-13_01_02", None))
    assert "https://console.cloud.google.com/dataflow/jobs/europe-west1/2026-01-13_01_02?project=local-shop" in text
    assert "gcloud dataflow jobs drain 2026-01-13_01_02 --region=europe-west1 --project=local-shop" in text
