"""Errors of Google's client libraries → errors that say which role to grant, which API to enable, what to try.

Decided by status and by `ErrorInfo.reason` (Google API design guide, AIP-193), never by an error's text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from schemas.errors import CloudUnavailable, ConfigError, DeployRefused, LtvError, WarehouseError

if TYPE_CHECKING:
    from google.api_core.retry import Retry

DISABLED = frozenset({"SERVICE_DISABLED", "accessNotConfigured"})
CALL_S = 30.0
"""Of one call, and of all tries of one that may be tried again; the clients themselves go on for ten minutes."""

NO_PROJECT = frozenset({"CONSUMER_INVALID", "USER_PROJECT_DENIED", "RESOURCE_PROJECT_INVALID"})


def patient() -> Retry:
    """For calls that may be made twice."""
    from google.api_core.retry import Retry, if_transient_error

    return Retry(predicate=if_transient_error, timeout=CALL_S)


def named(service: str, role: str, project: str) -> Callable[[str], AbstractContextManager[None]]:
    """For one service: `with named(…)("creating the topic changes"):` raises errors of our tree."""

    @contextlib.contextmanager
    def naming(what: str) -> Iterator[None]:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except WarehouseError as error:  # BigQuery's client names what a running pipeline needs
            if isinstance(error.__cause__, GoogleAPIError | GoogleAuthError):
                better = refusal(error.__cause__, what, service, role, project)
                raise DeployRefused(error.message, hint=better.hint) from error
            raise
        except (GoogleAPIError, GoogleAuthError) as error:
            raise refusal(error, what, service, role, project) from error

    return naming


def refusal(error: Exception, what: str, service: str, role: str, project: str) -> LtvError:
    """The error of our tree for one of the client library's."""
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, TransportError

    if isinstance(error, DefaultCredentialsError):
        return ConfigError(
            ["no Google Cloud credentials were found"],
            source="deploy",
            hint="run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
        )
    if isinstance(error, TransportError | exceptions.RetryError):
        return CloudUnavailable(f"{what}: {error}", hint="check the network, then run it again")
    if not isinstance(error, exceptions.GoogleAPICallError):
        return DeployRefused(f"{what}: {error}", hint="run `gcloud auth application-default login`, then run it again")
    text = f"{what}: {error.message}"
    reasons = reasons_of(error)
    if reasons & DISABLED:
        enable = f"gcloud services enable {service} --project {project}"
        return DeployRefused(text, hint=f"{enable}; it takes a minute or two, then run it again")
    if reasons & NO_PROJECT:
        return DeployRefused(text, hint=f"there is no project {project!r}, or not for you: see `project` in shop.yaml")
    if isinstance(error, exceptions.Unauthenticated):
        return DeployRefused(text, hint="run `gcloud auth application-default login`, then run it again")
    if isinstance(error, exceptions.Forbidden):
        permission = (error.metadata or {}).get("permission")
        missing = f" ({permission} is missing)" if permission else ""
        return DeployRefused(text, hint=f"grant {role} on the project {project} to who runs this{missing}")
    if isinstance(error, exceptions.NotFound):
        return DeployRefused(text, hint=f"check that the project {project!r} exists, and the names in shop.yaml")
    if isinstance(error, exceptions.Conflict):
        return CloudUnavailable(text, hint="somebody changes the same: run it again")
    if isinstance(error, exceptions.ServerError | exceptions.TooManyRequests):
        return CloudUnavailable(text, hint="run it again: it goes on where it stopped")
    return DeployRefused(text, hint="see the message; what was done before stays, and a further run goes on there")


def reasons_of(error: Exception) -> set[str]:
    """The reasons that a service gives, gRPC's ErrorInfo as well as REST's `errors`."""
    found = {getattr(error, "reason", None)}
    found |= {item.get("reason") for item in getattr(error, "errors", ()) if isinstance(item, dict)}
    return {reason for reason in found if reason}
