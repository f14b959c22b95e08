"""`ltv-pipeline deploy` as a whole: plan, consent, a second run, failures in the middle, and what stands in the way."""

from __future__ import annotations

import io
from pathlib import Path

import grpc
import pytest

from pipeline.deploy.command import deploy
from pipeline.deploy.options import Request
from pipeline.deploy.permissions import grants
from schemas.config_file import load_config
from schemas.errors import UsageError
from schemas.tables import OWN_TABLES
from tests.deploy.conftest import PROJECT, SCHEDULES, VIEWS, Shop

OBJECTS = 2 + 1 + 3 + len(OWN_TABLES) + VIEWS + SCHEDULES  # 2: topic and subscription, 1: alarm, 3: datasets


def test_a_dry_run_prints_plan_and_roles_and_changes_nothing(shop: Shop) -> None:
    status, out, err = shop.deploy("--dry-run")
    assert (status, err) == (0, "")
    assert f"{OBJECTS} to create" in out
    assert "retention 7 days" in out  # the emulator's longest
    assert "roles/pubsub.publisher" in out
    assert "gcloud services enable pubsub.googleapis.com" in out
    assert shop.changed() == 0
    assert shop.admin.topic(shop.topic_path) is None


def test_run_again_it_changes_nothing(shop: Shop) -> None:
    status, out, _ = shop.deploy("--yes", "--location", "EU", "--notify", "12", "--service-account", ACCOUNT)
    assert status == 0
    assert f"{OBJECTS} done" in out
    changed = shop.changed()
    for options in ((), ("--yes",), ("--yes", "--location", "eu", "--notify", "12", "--service-account", ACCOUNT)):
        status, out, err = shop.deploy(*options)
        assert (status, err) == (0, "")
        assert f"{OBJECTS} as they should be" in out
        assert "everything is as it should be" in out
        assert shop.changed() == changed


ACCOUNT = f"rollup@{PROJECT}.iam.gserviceaccount.com"


def test_without_a_terminal_it_needs_yes(shop: Shop) -> None:
    status, out, err = shop.deploy()
    assert status == 2
    assert f"{OBJECTS} to create" in out  # the plan is shown all the same
    assert f"error: {OBJECTS} to do, and nobody to ask\nhint: --yes " in err
    assert shop.changed() == 0


@pytest.mark.parametrize("agreed", [False, True])
def test_at_a_terminal_it_asks(shop: Shop, agreed: bool) -> None:
    asked: list[str] = []

    def confirm(question: str) -> bool:
        asked.append(question)
        return agreed

    config = load_config(shop.file)
    if agreed:
        deploy(config, Request(), io.StringIO(), confirm)
        deploy(config, Request(), io.StringIO(), confirm)  # nothing is left to be asked about
    else:
        with pytest.raises(UsageError, match="nothing was changed"):
            deploy(config, Request(), io.StringIO(), confirm)
    assert asked == [f"make these changes ({OBJECTS} to create)? [y/N] "]
    assert (shop.changed() > 0) == agreed


def test_what_fails_in_the_middle_goes_on_there(shop: Shop) -> None:
    shop.google.fail("CreateTransferConfig", grpc.StatusCode.INTERNAL, "out of order")
    status, out, err = shop.deploy("--yes")
    assert status == 1
    assert "created view ltv.ltv_entries" in out
    assert "created scheduled query" not in out
    assert f"{OBJECTS - SCHEDULES} of {OBJECTS} done, which stay; the same command goes on there" in err
    assert "out of order\nhint: run it again" in err

    shop.google.faults.clear()
    statements = len(shop.bigquery.statements)
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert f"{SCHEDULES} to create, {OBJECTS - SCHEDULES} as they should be" in out
    assert len(shop.bigquery.statements) == statements


def test_everything_in_the_way_is_said_at_once_and_nothing_is_done(shop: Shop) -> None:
    shop.bigquery.make_dataset("ltv", "US", defaultTableExpirationMs="5184000000")
    shop.admin.create_topic(f"{shop.topic_path}-other")
    shop.admin.create_subscription(shop.subscription_path, f"{shop.topic_path}-other", {})
    shop.google.fail(
        "ListTransferConfigs", grpc.StatusCode.PERMISSION_DENIED, "BigQuery Data Transfer API is disabled", DISABLED
    )
    status, out, err = shop.deploy("--yes", "--location", "EU")
    assert (status, out) == (1, "")
    assert "4 things in the way, so nothing was changed" in err
    assert f"subscription {shop.subscription}: topic is {shop.topic_path}-other, and must be {shop.topic_path}" in err
    assert "dataset ltv: location is US, and must be EU" in err
    assert "dataset ltv: expiration of tables is 60 days, and must be none" in err
    assert "way out: bq update --default_table_expiration 0 local-shop:ltv" in err
    assert "way out: gcloud services enable bigquerydatatransfer.googleapis.com --project local-shop" in err
    assert shop.changed() == 0


DISABLED = "SERVICE_DISABLED"


@pytest.mark.parametrize(
    ("method", "code", "message", "reason", "metadata", "way_out"),
    [
        (
            "ListAlertPolicies",
            grpc.StatusCode.PERMISSION_DENIED,
            "Permission denied",
            "IAM_PERMISSION_DENIED",
            {"permission": "monitoring.alertPolicies.list"},
            "grant roles/monitoring.alertPolicyEditor on the project local-shop to who runs this"
            " (monitoring.alertPolicies.list is missing)",
        ),
        (
            "ListTransferConfigs",
            grpc.StatusCode.PERMISSION_DENIED,
            "Access denied",
            "",
            {},
            "grant a role with bigquery.transfers.update, such as roles/bigquery.admin, on the project local-shop",
        ),
        (
            "ListAlertPolicies",
            grpc.StatusCode.PERMISSION_DENIED,
            "Cloud Monitoring API has not been used",
            DISABLED,
            {"service": "monitoring.googleapis.com"},
            "gcloud services enable monitoring.googleapis.com --project local-shop",
        ),
        (
            "ListAlertPolicies",
            grpc.StatusCode.PERMISSION_DENIED,
            "Project local-shop not found",
            "CONSUMER_INVALID",
            {},
            "there is no project 'local-shop', or not for you",
        ),
        (
            "ListTransferConfigs",
            grpc.StatusCode.NOT_FOUND,
            "Requested entity was not found",
            "",
            {},
            "check that the project 'local-shop' exists",
        ),
        (
            "ListTransferConfigs",
            grpc.StatusCode.UNAUTHENTICATED,
            "Request had invalid authentication credentials",
            "",
            {},
            "run `gcloud auth application-default login`",
        ),
    ],
)
def test_a_refusal_says_what_to_do(
    shop: Shop, method: str, code: grpc.StatusCode, message: str, reason: str, metadata: dict[str, str], way_out: str
) -> None:
    shop.google.fail(method, code, message, reason, **metadata)
    status, _, err = shop.deploy("--yes")
    assert status == 1
    assert message in err
    assert f"way out: {way_out}" in err
    assert err.count("way out") == 1  # not once for each scheduled query
    assert shop.changed() == 0


@pytest.mark.parametrize(
    ("what", "status", "reason", "message", "hint"),
    [
        (
            "GET /datasets/ltv",
            403,
            "accessDenied",
            "Access Denied: Permission bigquery.datasets.get denied",
            "grant roles/bigquery.user on the project local-shop to who runs this",
        ),
        (
            "GET /datasets/ltv",
            403,
            "accessNotConfigured",
            "BigQuery API has not been used",
            "gcloud services enable bigquery.googleapis.com --project local-shop",
        ),
        (
            "POST /jobs CREATE SCHEMA",
            403,
            "accessDenied",
            "Access Denied: User does not have bigquery.datasets.create permission",
            "grant roles/bigquery.user on the project local-shop to who runs this",
        ),
        (
            "POST /jobs CREATE TABLE",
            403,
            "accessDenied",
            "Access Denied: Permission bigquery.tables.create denied",
            "grant roles/bigquery.dataOwner on the dataset, or roles/bigquery.admin on the project local-shop",
        ),
    ],
)
def test_so_does_a_refusal_of_bigquery(
    shop: Shop, what: str, status: int, reason: str, message: str, hint: str
) -> None:
    shop.bigquery.fail(what, status, reason, message)
    exit_status, _, err = shop.deploy("--yes")
    assert exit_status == 1
    assert message in err
    assert hint in err


def test_without_credentials(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    status, _, err = shop.deploy("--dry-run")
    assert status == 2
    assert "no Google Cloud credentials were found\nhint: run `gcloud auth application-default login`" in err


def test_with_a_duckdb_file_there_are_topic_subscription_and_alarm(shop: Shop) -> None:
    shop.configure(warehouse="duckdb:ltv.duckdb")
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "3 to create" in out
    assert "the warehouse is a DuckDB file, which `stream` makes: there is nothing else to do" in out
    assert shop.bigquery.statements == []
    status, out, _ = shop.deploy("--dry-run")
    assert "3 as they should be" in out
    assert "bigquery" not in out


def test_emulators_have_no_alarm_and_no_scheduled_queries(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONITORING_EMULATOR_HOST")
    monkeypatch.delenv("BIGQUERY_TRANSFER_EMULATOR_HOST")
    status, out, _ = shop.deploy("--yes")
    assert status == 0
    assert "no backlog alarm: " in out
    assert "no scheduled queries: " in out
    assert shop.google.calls == []
    assert f"{OBJECTS - SCHEDULES - 1} done" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--service-account", "somebody@example.com"),
            "--service-account 'somebody@example.com' is no service account",
        ),
        (("--notify", "mail"), "--notify 'mail' is no notification channel"),
        (("--location", "E U"), "--location 'E U' is no place"),
    ],
)
def test_wrong_words(shop: Shop, options: tuple[str, ...], message: str) -> None:
    status, _, err = shop.deploy("--dry-run", *options)
    assert status == 2
    assert f"error: {message}\nhint: " in err


def test_every_role_stands_in_the_readme(shop: Shop) -> None:
    from pipeline.deploy.command import names_of

    shop.configure(checkpoint="gs://bucket/checkpoint.json")
    table = grants(names_of(load_config(shop.file)))
    assert any(grant.on == "bucket bucket" for grant in table)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    words = {word.rstrip(",") for grant in table for word in grant.role.split() if word.startswith(("roles/", "bigq"))}
    assert len(words) > 12
    assert [word for word in sorted(words) if f"`{word.removeprefix('roles/')}`" not in readme] == []
    assert [who for who in {grant.who for grant in table} if who not in readme] == []
