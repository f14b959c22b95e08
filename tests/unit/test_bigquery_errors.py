"""Google's errors as ours: which class, and what to do."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.auth import exceptions as auth

from pipeline.bigquery.client import BigQueryClient
from pipeline.bigquery.errors import bigquery_errors, named
from pipeline.bigquery.names import DatasetName
from schemas.errors import LtvError, QueryError, WarehouseError, WarehouseUnavailable
from tests.unit.bigquery_http import DATASET, BigQueryHttp, Failure


def error(kind: type[exceptions.GoogleAPICallError], message: str, reason: str) -> Exception:
    return kind(message, errors=[{"reason": reason, "message": message}])  # type: ignore[no-untyped-call]


NAMED: list[tuple[Exception, bool, type[LtvError], str]] = [
    (auth.DefaultCredentialsError("none found"), False, WarehouseError, "gcloud auth application-default login"),  # type: ignore[no-untyped-call]
    (auth.RefreshError("revoked"), False, WarehouseError, "GOOGLE_APPLICATION_CREDENTIALS"),  # type: ignore[no-untyped-call]
    (auth.TransportError("unreachable"), False, WarehouseUnavailable, "try again"),  # type: ignore[no-untyped-call]
    (error(exceptions.Unauthorized, "bad token", "authError"), False, WarehouseError, "gcloud auth"),
    (
        error(exceptions.Forbidden, "Permission bigquery.tables.create denied on dataset p:d", "accessDenied"),
        False,
        WarehouseError,
        "roles/bigquery.dataEditor",
    ),
    (error(exceptions.Forbidden, "denied", "accessDenied"), True, WarehouseError, "roles/bigquery.jobUser"),
    (error(exceptions.Forbidden, "too many updates", "rateLimitExceeded"), False, WarehouseUnavailable, "try again"),
    (error(exceptions.Forbidden, "used up", "quotaExceeded"), False, WarehouseUnavailable, "Quotas"),
    (error(exceptions.Forbidden, "no billing", "billingNotEnabled"), False, WarehouseError, "billing account"),
    (error(exceptions.NotFound, "Not found: Dataset p:d", "notFound"), True, WarehouseError, "`project` in shop.yaml"),
    (
        error(exceptions.NotFound, "Not found: Dataset p:d was not found in location US", "notFound"),
        False,
        WarehouseError,
        "set `location`",
    ),
    (error(exceptions.NotFound, "Not found: Project p", "notFound"), True, WarehouseError, "not the project"),
    (error(exceptions.NotFound, "Not found: Table p:d.t", "notFound"), True, QueryError, ""),
    (error(exceptions.BadRequest, "Unrecognized name: x at [2:5]", "invalidQuery"), True, QueryError, ""),
    (error(exceptions.BadRequest, "resources", "resourcesExceeded"), False, QueryError, ""),
    (error(exceptions.BadRequest, "Dataset is in location EU", "invalid"), False, WarehouseError, "location"),
    (error(exceptions.ServiceUnavailable, "later", "backendError"), True, WarehouseUnavailable, "try again"),
    (error(exceptions.InternalServerError, "oh", "internalError"), False, WarehouseUnavailable, "try again"),
    (exceptions.RetryError("gave up", None), False, WarehouseUnavailable, "try again"),  # type: ignore[no-untyped-call]
    (requests.ConnectionError("refused"), False, WarehouseUnavailable, "try again"),
]


@pytest.mark.parametrize(("given", "query", "kind", "hint"), NAMED, ids=lambda part: str(part)[:40])
def test_every_error_has_its_class_and_its_way_out(
    given: Exception, query: bool, kind: type[LtvError], hint: str
) -> None:
    found = named(given, "warehouse p.d", query=query)
    assert type(found) is kind
    assert hint in str(found.hint)


def test_a_mistake_is_told_where_it_was_written() -> None:
    given = error(exceptions.BadRequest, "Unrecognized name: x at [2:50]", "invalidQuery")
    with (
        pytest.raises(QueryError, match="Unrecognized name: x at line 2, column 7"),
        bigquery_errors("query", query=True, place=lambda line, column: (line, column - 43)),
    ):
        raise given


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(KeyError), bigquery_errors("query"):
        raise KeyError("ours")


def test_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(WarehouseError, match="no credentials for Google Cloud"):
        BigQueryClient(DatasetName("my-project", "ltv"))


def test_a_missing_role_names_the_permission() -> None:
    message = "Access Denied: Dataset my-project:ltv: Permission bigquery.datasets.get denied on dataset"
    http = BigQueryHttp(failures=[Failure("datasets/ltv", 403, "accessDenied", message)])
    with pytest.raises(WarehouseError, match=r"bigquery\.datasets\.get") as raised:
        http.client().ensure_datasets()
    assert "deploy --dry-run" in str(raised.value.hint)


def test_a_busy_bigquery_is_asked_again() -> None:
    http = BigQueryHttp(failures=[Failure("datasets/ltv", 503, "backendError", "later", times=2)])
    http.add_dataset(DATASET.dataset)
    http.add_dataset(DATASET.raw)
    assert http.client().missing_datasets() == []
    assert len(http.requests) == 4
