"""The upserts of this process: rows of several tables at once, confirmed before it goes on.

Requests are sent without waiting for the answer to the one before, and sent again, with back-off and jitter and over a
new connection, where the refusal may pass. That is harmless: a row wins by its sequence number, not by when it comes.
Rows that BigQuery names as bad are set aside, and the others of their request sent again.
"""

from __future__ import annotations

import atexit
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.bigquery.append_client import AppendClient
from pipeline.bigquery.append_requests import REQUEST_BYTES, Append, RejectedRow
from pipeline.bigquery.connections import Connections
from pipeline.bigquery.writing import OnAppend, Way, Writing

if TYPE_CHECKING:
    from pipeline.bigquery.names import DatasetName

__all__ = ["Append", "Appends", "RejectedRow"]

ANSWER_S = 120.0


class Appends:
    """One connection to each table. `write` may be called from several threads: their requests share the connections.

    `patience_s`, `answer_s`: see `Way`. Ends its connections with the process, if nobody did before.
    """

    def __init__(
        self,
        client: AppendClient,
        dataset: DatasetName,
        on_append: OnAppend | None = None,
        *,
        patience_s: float = math.inf,
        answer_s: float = ANSWER_S,
        request_bytes: int = REQUEST_BYTES,
    ) -> None:
        self._client = client
        self._connections = Connections(client, dataset)
        self._way = Way(self._connections, on_append, patience_s, answer_s, request_bytes)
        atexit.register(self.close)

    @property
    def requests(self) -> int:
        """Sent, those that were sent again included."""
        return self._way.requests

    @property
    def retries(self) -> int:
        """Requests that were refused or not answered, and had to be sent again."""
        return self._way.retries

    @property
    def connections_opened(self) -> int:
        return self._connections.opened

    def write(self, appends: Sequence[Append]) -> dict[str, list[RejectedRow]]:
        """Returns when every row is confirmed, or set aside: table → those, by their places in what was handed over.

        Of each table at most one append. Raises WarehouseUnavailable when trying again has not helped, and Terminal
        errors by name; then any part of the rows may have been written.
        """
        writing = Writing(self._way, appends)
        try:
            return writing.run()
        finally:
            writing.leave()

    def close(self) -> None:
        """Ends the connections; whoever is in `write` gets WarehouseUnavailable. May be called twice."""
        self._way.closed.set()
        atexit.unregister(self.close)
        self._connections.close()
        self._client.close()
