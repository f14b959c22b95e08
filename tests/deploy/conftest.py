"""A shop to deploy: the Pub/Sub emulator, and servers of ours that Google's other clients talk to."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from demo.servers import PubSubEmulator
from pipeline.cli import main
from pipeline.deploy.rollup_scripts import groups
from pipeline.facts import BEFORE, FACTS, MARKS
from pipeline.rollup import ROLLED_UP, rollup_queries
from schemas.topic import TopicAdmin, subscription_path, topic_path
from tests.deploy.bigquery_rest import BigQuery, bigquery_rest
from tests.deploy.google_cloud import GoogleCloud, google_cloud

PROJECT = "local-shop"
SCHEDULES = len(groups([*rollup_queries(), ("rolled_up", ROLLED_UP)]))
VIEWS = len(("ltv_entries", *FACTS, *BEFORE, MARKS))


@dataclass
class Shop:
    """A shop.yaml with names of its own, and all that its deployment talks to."""

    file: Path
    topic: str
    subscription: str
    bigquery: BigQuery
    google: GoogleCloud
    admin: TopicAdmin
    capture: pytest.CaptureFixture[str]

    def deploy(self, *options: str) -> tuple[int, str, str]:
        """Exit status, what was printed, and what went to stderr."""
        status = main(["deploy", "-c", str(self.file), *options])
        printed = self.capture.readouterr()
        return status, printed.out, printed.err

    def configure(self, **fields: object) -> None:
        settings = yaml.safe_load(self.file.read_text())
        self.file.write_text(yaml.safe_dump({**settings, **fields}))

    def changed(self) -> int:
        """How many requests have changed something, Pub/Sub apart."""
        return len(self.bigquery.statements) + len(self.bigquery.patches) + len(self.google.calls)

    @property
    def topic_path(self) -> str:
        return topic_path(PROJECT, self.topic)

    @property
    def subscription_path(self) -> str:
        return subscription_path(PROJECT, self.subscription)


@pytest.fixture
def shop(
    pubsub: PubSubEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shop]:
    name = uuid.uuid4().hex[:8]
    file = tmp_path / "shop.yaml"
    settings = {
        "project": PROJECT,
        "topic": f"changes-{name}",
        "subscription": f"ltv-{name}",
        "preset": "case_study",
        "time_zone": "Europe/Paris",
        "currency": "EUR",
        "warehouse": "bigquery:ltv",
    }
    file.write_text(yaml.safe_dump(settings))
    with bigquery_rest() as bigquery, google_cloud() as google:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.url)
        monkeypatch.setenv("BIGQUERY_TRANSFER_EMULATOR_HOST", google.address)
        monkeypatch.setenv("MONITORING_EMULATOR_HOST", google.address)
        admin = TopicAdmin()
        try:
            yield Shop(file, settings["topic"], settings["subscription"], bigquery, google, admin, capsys)
        finally:
            admin.close()
