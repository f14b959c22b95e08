"""Objects in Cloud Storage by their URL, `gs://bucket/object`. The only module that imports that client, when used."""

from __future__ import annotations

from typing import Any

from schemas.errors import ConfigError

SCHEME = "gs://"
TIMEOUT_S = 60.0


def is_object_url(text: str) -> bool:
    return text.startswith(SCHEME)


def storage_client() -> Any:
    """A client with the machine's credentials, or of the emulator that STORAGE_EMULATOR_HOST names. Raises ConfigError
    without credentials."""
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud.storage import Client

    try:
        return Client()
    except (DefaultCredentialsError, OSError) as error:  # OSError: it finds no project either
        raise ConfigError(
            ["no Google Cloud credentials were found"],
            source="Cloud Storage",
            hint="run `gcloud auth application-default login`, or give the machine a service account",
        ) from error


def read_object(url: str, limit_bytes: int) -> bytes:
    """An object's first `limit_bytes` + 1 bytes, so that a caller sees what is longer. Raises ConfigError."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    bucket, _, name = url.removeprefix(SCHEME).partition("/")
    if not bucket or not name:
        raise ConfigError(["must be gs://bucket/object"], source=url)
    blob = storage_client().bucket(bucket).blob(name)
    try:
        data: bytes = blob.download_as_bytes(end=limit_bytes, timeout=TIMEOUT_S)
    except exceptions.NotFound as error:
        raise ConfigError(["there is no such object"], source=url, hint="`gcloud storage ls` lists a bucket") from error
    except exceptions.RequestRangeNotSatisfiable:  # an empty object
        return b""
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise ConfigError(
            ["may not be read"], source=url, hint="grant roles/storage.objectViewer on the bucket"
        ) from error
    except (exceptions.GoogleAPICallError, GoogleAuthError, OSError) as error:
        raise ConfigError([f"cannot be read: {error}"], source=url, hint="check the network and the URL") from error
    return data
