"""What BigQuery answers instead of taking rows: how long to go on trying, and the error when that is over.

Sources: `AppendRowsResponse.error` and `StorageError` in the reference of google.cloud.bigquery.storage.v1; "Handle
schema updates" in the Storage Write API's best practices. Decided by codes, never by the text of a message.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import LtvError, WarehouseError, WarehouseUnavailable

RETRY_S = 300.0
QUOTA_S = 900.0
"""A project's throughput quota is refilled within ten minutes; until then every request is refused."""
SCHEMA_S = 900.0
"""A new column is known to the Storage Write API «after a short time, on the order of minutes»."""
NEW_TABLE_S = 120.0
"""So is a new table."""

_TRANSIENT = {
    "UNAVAILABLE": RETRY_S,
    "ABORTED": RETRY_S,  # also how an idle connection is closed
    "INTERNAL": RETRY_S,
    "DEADLINE_EXCEEDED": RETRY_S,
    "CANCELLED": RETRY_S,
    "UNKNOWN": RETRY_S,  # time-outs of the servers in between
    "FAILED_PRECONDITION": RETRY_S,  # Google's Go client tries again, too
    "RESOURCE_EXHAUSTED": QUOTA_S,
    "NOT_FOUND": NEW_TABLE_S,
}
_TRANSIENT_STORAGE = {
    "SCHEMA_MISMATCH_EXTRA_FIELDS": SCHEMA_S,
    "TABLE_NOT_FOUND": NEW_TABLE_S,
    "STREAM_NOT_FOUND": NEW_TABLE_S,
    "KMS_SERVICE_ERROR": RETRY_S,
}
_TERMINAL_STORAGE = ("CMEK_NOT_PROVIDED", "INVALID_CMEK_PROVIDED", "CMEK_ENCRYPTION_ERROR", "KMS_PERMISSION_DENIED")

_WRITE = "roles/bigquery.dataEditor on the dataset (bigquery.tables.updateData)"
_HINTS = {
    "PERMISSION_DENIED": f"grant the pipeline's service account {_WRITE}",
    "UNAUTHENTICATED": "the credentials were refused: `gcloud auth application-default login`, or another key",
    "NOT_FOUND": "was the table dropped? `ltv-pipeline deploy` makes what is missing",
    "INVALID_ARGUMENT": "does the table have other columns, types or another primary key than the pipeline gives it?",
    "RESOURCE_EXHAUSTED": "a quota of the project is used up: throughput or connections of AppendRows",
}
_STORAGE_HINTS = {
    "SCHEMA_MISMATCH_EXTRA_FIELDS": "the table lacks a column that rows bring: was it dropped in BigQuery?",
    **dict.fromkeys(_TERMINAL_STORAGE, "may BigQuery use the dataset's key? (cloudkms.cryptoKeyEncrypterDecrypter)"),
}


@dataclass(frozen=True)
class Refusal:
    """A status of gRPC by its name, and the name of the Storage Write API's own code, or ""."""

    status: str
    message: str
    storage_code: str = ""

    @property
    def patience_s(self) -> float:
        """How long trying again may help, in seconds from the first refusal on; 0: not at all."""
        if self.storage_code in _TERMINAL_STORAGE:
            return 0.0
        return _TRANSIENT_STORAGE.get(self.storage_code) or _TRANSIENT.get(self.status, 0.0)

    def error(self, table: str, tried_s: float) -> LtvError:
        """Transient where another time may be better, Terminal where somebody has to do something."""
        hint = _STORAGE_HINTS.get(self.storage_code) or _HINTS.get(self.status)
        code = self.storage_code or self.status
        found = " ".join(self.message.split())[:500] or "no message"
        message = f"BigQuery refuses rows: {code}: {found}"
        if not self.patience_s or self.patience_s == NEW_TABLE_S:
            return WarehouseError(message, hint=hint, table=table)
        return WarehouseUnavailable(f"{message} (tried for {tried_s:.0f} s)", hint=hint, table=table)
