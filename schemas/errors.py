"""The error tree. `Transient`: try again, with back-off and jitter. `Terminal`: stop, or a dead letter.

LtvError
├── Transient
│   ├── SourceUnavailable        the database cannot be reached, or went away
│   │   ├── HalfOpenConnection   no event and no heartbeat for the read time-out
│   │   └── ReplicaLags          a replica that is read from is far behind the tailed server
│   ├── TableAltered             a table was altered while it was read
│   ├── TopicUnavailable         Pub/Sub did not take or give messages
│   ├── CloudUnavailable         a service that `deploy` sets up did not answer
│   ├── JobUnavailable           Dataflow did not answer when a job was handed to it
│   └── WarehouseUnavailable     the warehouse, or the process that holds its file, went away
└── Terminal
    ├── ConfigError              shop.yaml; every problem at once
    ├── UsageError               the command line
    ├── SourceRefused            wrong password, missing grant, a setting that loses rows
    │   ├── DuplicateServerId    another reader uses our server_id
    │   ├── PurgedBinlog         the position is no longer on the server
    │   ├── BadPosition          the position never was on the server
    │   ├── SourceChanged        the server is not the one the checkpoint speaks of
    │   └── ReplicaStopped       a replica that is read from does not apply what the tailed server writes
    ├── UnsupportedEvent         an event type that is neither understood nor harmless
    ├── UnsupportedColumn        a column whose values cannot be decoded exactly
    ├── UnsupportedKey           a table that cannot be cut into ranges of its primary key
    ├── UnsupportedTable         no plain table, or none that can play its role
    ├── UnsupportedRowImage      a row event without all its columns
    ├── UndecodableValue         bytes that are not a value of their column
    ├── CorruptBinlog            checksum, length or order is wrong
    │   └── TruncatedBinlog      the log ends inside an event
    ├── StatementInBinlog        rows changed by a statement instead of row events
    ├── UnknownTransaction       an XA COMMIT of rows that are in no log
    ├── TooManyPrepared          more XA transactions are open than a checkpoint can name
    ├── IncidentInBinlog         the server itself lost events
    ├── CheckpointError          the checkpoint cannot be read, or is not ours
    ├── TopicRefused             a missing topic or subscription, or no permission
    ├── DeployRefused            something in the way that `deploy` must not change, or no permission
    ├── JobRefused               Dataflow did not take the job
    ├── WarehouseError           not a DuckDB file, locked, read-only; what BigQuery refuses
    │   └── SettingsChanged      derived with other settings: load the warehouse anew
    ├── ExtractRefused           a CSV extract that does not fit shop.yaml, or lines of it that do not
    ├── IncompleteLoad           rows that a batch could not load; all others are
    ├── QueryError               SQL that does not parse or run
    ├── Differs                  warehouse and database do not hold the same
    ├── NotVerified              it cannot be told whether they do
    ├── RollupOutdated           rolled-up tables that an older version made, or of which one is gone
    ├── PageMissing              a part of the analysis page is not in the installed package
    └── DeadLetter               one line of one message that can never be applied
"""

from __future__ import annotations

from collections.abc import Iterable


class LtvError(Exception):
    """What went wrong, where (table, position, key) and what to do (hint).

    `str(error)` is one line of what and where; the hint is printed apart. No secret is ever put into one.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        table: str | None = None,
        position: str | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.table = table
        self.position = position
        self.key = key

    def __str__(self) -> str:
        where = [
            f"{name} {value}"
            for name, value in (("table", self.table), ("key", self.key), ("position", self.position))
            if value is not None
        ]
        return f"{self.message} ({', '.join(where)})" if where else self.message


class Transient(LtvError):
    """May succeed when tried again."""


class SourceUnavailable(Transient):
    """The database cannot be reached, or closed the connection."""


class HalfOpenConnection(SourceUnavailable):
    """Neither an event nor a heartbeat came within the read time-out."""


class TableAltered(Transient):
    """A table is not what it was when its load began, which has to begin anew."""


class ReplicaLags(SourceUnavailable):
    """A replica that is read from is far behind the tailed server."""


class TopicUnavailable(Transient):
    """Pub/Sub did not answer, or asked to try again."""


class CloudUnavailable(Transient):
    """A service of Google Cloud did not answer, or asked to try again, while something was set up."""


class CheckpointUnavailable(Transient):
    """The checkpoint's store did not answer, or asked to try again."""


class JobUnavailable(Transient):
    """Dataflow did not answer, or asked to try again; it may have taken the job."""


class WarehouseUnavailable(Transient):
    """The warehouse, or the process that serves its file, went away in the middle."""


class Terminal(LtvError):
    """Will fail again in the same way."""


class ConfigError(Terminal):
    """Everything that is wrong with a configuration, one problem a line.

    Raises nothing; `problems` keeps the single lines.
    """

    def __init__(self, problems: Iterable[str], *, source: str = "shop.yaml", hint: str | None = None) -> None:
        self.problems = list(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        count = len(self.problems)
        super().__init__(f"{source}: {count} problem{'s' if count != 1 else ''}{lines}", hint=hint)


class UsageError(Terminal):
    """A command line that cannot be carried out."""


class SourceRefused(Terminal):
    """The database refuses us, or is set up so that changes would be lost."""


class DuplicateServerId(SourceRefused):
    """Another replica or worker is connected under our server_id."""


class PurgedBinlog(SourceRefused):
    """The server no longer has the binlog that the position names."""


class BadPosition(SourceRefused):
    """The position is not the start of an event of that file."""


class SourceChanged(SourceRefused):
    """Server identity or log numbering differs from the checkpoint's."""


class ReplicaStopped(SourceRefused):
    """A replica that is read from does not receive or apply the tailed server's changes."""


class UnsupportedEvent(Terminal):
    """A binlog event that is neither understood nor known to be harmless."""


class UnsupportedColumn(Terminal):
    """A column whose values cannot be decoded exactly."""


class UnsupportedKey(Terminal):
    """A table that cannot be cut into ranges of its primary key, or a value that is none of its key."""


class UnsupportedTable(Terminal):
    """Not a plain table, or one without the columns that its role needs."""


class UnsupportedRowImage(Terminal):
    """A row event that does not carry all columns, or not their names."""


class UndecodableValue(Terminal):
    """Bytes in a row image that are no value of their column."""


class CorruptBinlog(Terminal):
    """A checksum, a length or a position that does not fit."""


class TruncatedBinlog(CorruptBinlog):
    """The log ends inside an event, as when the server crashed while it wrote."""


class StatementInBinlog(Terminal):
    """A configured table was changed by a statement, not by row events."""


class UnknownTransaction(Terminal):
    """An XA transaction was committed whose rows are in no log that the server still has."""


class TooManyPrepared(Terminal):
    """More XA transactions are prepared, and neither committed nor rolled back, than can be remembered."""


class IncidentInBinlog(Terminal):
    """The server wrote that it lost events."""


class CheckpointError(Terminal):
    """The stored checkpoint cannot be used."""


class TopicRefused(Terminal):
    """Topic or subscription missing, or not permitted."""


class DeployRefused(Terminal):
    """What is there cannot be made what it must be, or may not be by us."""


class JobRefused(Terminal):
    """A job that Dataflow did not take, or whose description it could not be given."""


class WarehouseError(Terminal):
    """The warehouse cannot be opened or written."""


class SettingsChanged(WarehouseError):
    """The warehouse was derived under other settings."""


class ExtractRefused(Terminal):
    """A CSV extract that cannot be read as the configuration has it; or lines of one, when the others are applied."""


class IncompleteLoad(Terminal):
    """Rows that a batch could not load are dead letters."""


class QueryError(Terminal):
    """SQL that is wrong, or not allowed here."""


class Differs(Terminal):
    """Warehouse and database do not hold the same."""


class NotVerified(Terminal):
    """It cannot be told whether warehouse and database hold the same."""


class RollupOutdated(Terminal):
    """The rolled-up tables are not those that this version makes."""


class PageMissing(Terminal):
    """The installed package lacks a part of the analysis page."""


class DeadLetter(Terminal):
    """One line of a message that can never be applied; `reason` is one word for counters, the message says more."""

    def __init__(self, reason: str, message: str, *, table: str | None = None, key: str | None = None) -> None:
        super().__init__(message, table=table, key=key)
        self.reason = reason
