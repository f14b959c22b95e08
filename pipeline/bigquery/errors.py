"""BigQuery's errors as ours, each with what to do. Decided by class and by the `reason` that BigQuery gives («Error
messages» in its documentation); only where a mistake stands in a query is read from its words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests
from google.api_core import exceptions
from google.auth import exceptions as auth

from schemas.errors import LtvError, QueryError, WarehouseError, WarehouseUnavailable

Place = Callable[[int, int], tuple[int, int]]
"""Line and column in the SQL that BigQuery was sent → those in what its author wrote."""

_BUSY = frozenset(
    {
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "rateLimitExceeded",
        "tableUnavailable",
        "badGateway",
    }
)
_QUOTA = frozenset({"quotaExceeded"})
_QUERY = frozenset({"invalidQuery", "resourcesExceeded", "billingTierLimitExceeded", "bytesBilledLimitExceeded"})
_AT = re.compile(r"\bat \[(\d+):(\d+)\]")

_CREDENTIALS = (
    "run `gcloud auth application-default login`, or name a service account's key file in"
    " GOOGLE_APPLICATION_CREDENTIALS; on Google Cloud give the machine or job a service account"
)
_LOCATION = (
    "datasets and queries must be in one place: set `location` in shop.yaml to where the dataset is, such as EU, or"
    " name another dataset"
)
_ROLES = (
    "grant the service account roles/bigquery.dataEditor on both datasets and roles/bigquery.jobUser on the project;"
    " `ltv-pipeline deploy --dry-run` lists what each part needs"
)


@contextmanager
def bigquery_errors(what: str, *, query: bool = False, place: Place | None = None) -> Iterator[None]:
    """Raises ours in place of Google's. `what` was being done; `query`: it was a query that a user wrote."""
    try:
        yield
    except (exceptions.GoogleAPIError, auth.GoogleAuthError, requests.RequestException, ConnectionError) as error:
        raise named(error, what, query=query, place=place) from error


def named(error: Exception, what: str, *, query: bool = False, place: Place | None = None) -> LtvError:
    """The error of the tree that stands for Google's `error`."""
    if isinstance(error, auth.TransportError):
        return WarehouseUnavailable(f"{what}: Google's login service did not answer: {_words(error)}", hint="try again")
    if isinstance(error, auth.GoogleAuthError):
        return WarehouseError(f"{what}: no credentials for Google Cloud: {_words(error)}", hint=_CREDENTIALS)
    if not isinstance(error, exceptions.GoogleAPICallError):
        return WarehouseUnavailable(f"{what}: BigQuery did not answer: {_words(error)}", hint="try again")
    reason, message = reason_of(error), _words(error)
    if reason in _BUSY or isinstance(error, exceptions.TooManyRequests | exceptions.ServerError):
        return WarehouseUnavailable(f"{what}: BigQuery is busy ({reason or error.code}): {message}", hint="try again")
    if reason in _QUOTA:
        hint = "wait until the quota is free again, or ask for more (Google Cloud console, «Quotas»)"
        return WarehouseUnavailable(f"{what}: a quota of BigQuery is used up: {message}", hint=hint)
    if reason == "billingNotEnabled":
        return WarehouseError(f"{what}: {message}", hint="the project needs a billing account to take streamed rows")
    if isinstance(error, exceptions.Forbidden):
        return WarehouseError(f"{what}: BigQuery does not allow it: {message}", hint=_ROLES)
    if isinstance(error, exceptions.Unauthorized):
        return WarehouseError(f"{what}: BigQuery does not accept the credentials: {message}", hint=_CREDENTIALS)
    if isinstance(error, exceptions.NotFound):
        return _not_found(message, what, query=query)
    if query or reason in _QUERY:
        return QueryError(_with_place(message, place))
    return WarehouseError(f"{what}: {message}", hint=_LOCATION if _speaks_of_location(message) else None)


def reason_of(error: exceptions.GoogleAPICallError) -> str:
    """BigQuery's word for what is wrong, or ""."""
    first = next(iter(error.errors or ()), None)
    reason = first.get("reason") if isinstance(first, dict) else None
    return str(reason or "")


def _not_found(message: str, what: str, *, query: bool) -> LtvError:
    """A table that a query names is the query's mistake; a dataset or project is the configuration's."""
    if query and "Not found: Dataset" not in message and "Not found: Project" not in message:
        return QueryError(message)
    hint = (
        "check `warehouse` and `project` in shop.yaml; `ltv-pipeline stream`, `batch` and `deploy` make the datasets,"
        f" not the project. Or: {_LOCATION}"
    )
    return WarehouseError(f"{what}: {message}", hint=hint)


def _speaks_of_location(message: str) -> bool:
    return "location" in message.lower() or "region" in message.lower()


def _with_place(message: str, place: Place | None) -> str:
    found = _AT.search(message)
    if found is None or place is None:
        return message
    line, column = place(int(found[1]), int(found[2]))
    return f"{message[: found.start()]}at line {line}, column {column}{message[found.end() :]}"


def _words(error: Exception) -> str:
    """The first line of what it says, without the address that was called."""
    first = next(iter(getattr(error, "errors", None) or ()), None)
    said = first.get("message") if isinstance(first, dict) else None
    text = str(said or getattr(error, "message", None) or error).strip()
    text = re.sub(r"^(?:GET|POST|PUT|PATCH|DELETE) \S+: ", "", text)
    return (text.splitlines() or [type(error).__name__])[0][:1000]
