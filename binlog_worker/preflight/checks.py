"""The preflight of `check` and `run`: rules over `Facts`. Pure; all findings are reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from binlog_worker.position.identity import check_identity
from binlog_worker.preflight.facts import Facts
from binlog_worker.preflight.findings import Finding, Level, fail, ok, warn
from binlog_worker.preflight.table_checks import check_tables
from schemas.checkpoint import Checkpoint, PreparedXa
from schemas.config import ShopConfig
from schemas.errors import LtvError
from schemas.sequence import binlog_number
from schemas.server_logs import ServerLogs

SHORTEST_RETENTION_S = 86_400
LARGEST_CLOCK_DIFFERENCE_S = 2.0

_LOST = "changes would be lost or wrong without an error"
_SETTINGS = {
    "log_bin": ("ON", "without a binlog there is nothing to read", "start the server with --log-bin"),
    "binlog_format": ("ROW", "statements do not say which rows they changed", "SET GLOBAL binlog_format = 'ROW'"),
    "binlog_row_image": ("FULL", "rows would come without all their columns", "SET GLOBAL binlog_row_image = 'FULL'"),
    "binlog_row_metadata": (
        "FULL",
        "without it the log holds neither column names nor signs, labels and character sets",
        "SET GLOBAL binlog_row_metadata = 'FULL' (MariaDB 10.5, MySQL 8.0 and later)",
    ),
    "binlog_row_value_options": (
        "",
        "PARTIAL_JSON logs differences instead of documents",
        "SET GLOBAL binlog_row_value_options = ''",
    ),
}
"""Setting → the value that is needed, why, what to do. One that a server does not have is right by default, but for
the metadata."""


def preflight(facts: Facts, config: ShopConfig) -> list[Finding]:
    """All findings but those on the checkpoint; any FAIL forbids to run."""
    return [
        *check_settings(facts),
        *check_grants(facts),
        *check_server_id(facts, config),
        *check_tables(facts, config),
        *check_retention(facts),
        *check_clock(facts),
    ]


def failures(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level is Level.FAIL]


def check_settings(facts: Facts) -> Iterator[Finding]:
    variables = facts.server.variables
    if facts.logs is None and variables.get("log_bin", "ON").upper() == "ON":
        yield fail(f"the logs cannot be listed: {facts.logs_refusal}", _LOST, "see the grants below")
    for name, (needed, why, todo) in _SETTINGS.items():
        found = variables.get(name)
        if found is None and name == "binlog_row_metadata":
            yield fail(
                f"{name} is unknown to {facts.server.version_text}", why, "use MariaDB 10.5 or MySQL 8.0 and later"
            )
        elif found is None:
            continue
        elif found.upper() == needed:
            yield ok(f"{name} = {found or 'empty'}")
        else:
            yield fail(f"{name} is {found}, not {needed or 'empty'}", why, todo + "; it holds for new sessions only")


def _privileges(grants: Iterable[str]) -> set[str]:
    """Global privileges in the output of SHOW GRANTS, upper case."""
    found: set[str] = set()
    for line in grants:
        head, on, rest = line.partition(" ON ")
        if on and rest.startswith("*.*") and head.upper().startswith("GRANT "):
            found |= {privilege.strip().upper() for privilege in head[6:].split(",")}
    return found


def check_grants(facts: Facts) -> Iterator[Finding]:
    held = _privileges(facts.grants)
    everything = "ALL PRIVILEGES" in held or "ALL" in held
    for names, why in (
        (("REPLICATION SLAVE", "REPLICATION REPLICA"), "the server sends its binlog to nobody else"),
        (("REPLICATION CLIENT", "BINLOG MONITOR"), "the worker must see which logs there are and where they end"),
    ):
        if everything or held & set(names):
            yield ok(f"grant {names[0]}")
        else:
            yield fail(f"the user lacks {names[0]}", why, f"GRANT {names[0]} ON *.* TO the worker's user")


def check_server_id(facts: Facts, config: ShopConfig) -> Iterator[Finding]:
    ours = config.server_id
    why = "the server throws out the older of two readers with one id"
    if str(ours) == facts.server.variables.get("server_id"):
        yield fail(f"server_id {ours} is the server's own", why, "choose another server_id in shop.yaml")
        return
    same = [reader for reader in facts.readers or () if reader.server_id == ours]
    for reader in same:
        if reader.port:
            yield fail(
                f"server_id {ours} is used by the replica {reader.host or '(no name)'}:{reader.port}",
                why,
                "choose another server_id in shop.yaml",
            )
        else:
            yield warn(
                f"server_id {ours} is connected already",
                f"{why}; it may be this shop's worker, or its connection that the server has not given up yet",
                "make sure that no other worker has this server_id",
            )
    if not same:
        yield ok(
            f"server_id {ours} is free" if facts.readers is not None else f"server_id {ours} (replicas are not visible)"
        )


def check_retention(facts: Facts) -> Iterator[Finding]:
    variables = facts.server.variables
    seconds = float(variables.get("binlog_expire_logs_seconds", 0) or 0)
    seconds = seconds or float(variables.get("expire_logs_days", 0) or 0) * 86_400
    if 0 < seconds < SHORTEST_RETENTION_S:
        yield warn(
            f"logs are kept for {seconds / 3600:.1f} hours",
            "after a longer outage the tables must be loaded again",
            "SET GLOBAL binlog_expire_logs_seconds = 604800",
        )
    else:
        yield ok(f"logs are kept for {seconds / 86_400:.0f} days" if seconds else "logs are kept until they are purged")


def check_clock(facts: Facts) -> Iterator[Finding]:
    if abs(facts.clock_s) > LARGEST_CLOCK_DIFFERENCE_S:
        yield warn(
            f"the server's clock is {facts.clock_s:+.1f} s from this machine's",
            "lag and freshness compare the two",
            "synchronise both clocks (NTP)",
        )
    else:
        yield ok(f"clocks differ by {abs(facts.clock_s):.2f} s")


def check_start(facts: Facts, checkpoint: Checkpoint | None, tables: list[str]) -> Iterator[Finding]:
    """Where a run would begin, and what is older than that."""
    if facts.logs is None:
        return
    if checkpoint is None:
        oldest = facts.logs.oldest
        if binlog_number(oldest)[1] > 1:
            yield warn(
                f"no checkpoint; the oldest log is {oldest}",
                "what was written before it is not in the logs: rows that never change again would be missing",
                "run `ltv-pipeline batch`, which loads the tables and writes a checkpoint, then `binlog-worker run`",
            )
        else:
            yield ok(f"no checkpoint; `run` starts with the first log, {oldest}")
        return
    try:
        check_identity(checkpoint, facts.logs, tables)
    except LtvError as error:
        yield fail(str(error), _LOST, error.hint or "")
    else:
        yield ok(f"checkpoint at {checkpoint.place}; the server writes at {facts.logs.current}")
        yield from _check_prepared(checkpoint.prepared, facts.logs)


def _check_prepared(prepared: Sequence[PreparedXa], logs: ServerLogs) -> Iterator[Finding]:
    if not prepared:
        return
    have = logs.sizes()
    gone = [one for one in prepared if one.file not in have]
    if gone:
        tables = sorted({table for one in gone for table in one.tables or ("tables that are not known",)})
        yield warn(
            f"{len(gone)} of {len(prepared)} XA transactions are prepared in logs that the server no longer has",
            f"if one is committed, its tables must be loaded again: {', '.join(tables)}",
            f"XA ROLLBACK {gone[0].xid}, and so on, where nobody will commit them",
        )
    else:
        yield ok(f"{len(prepared)} XA transactions are prepared, the oldest in {prepared[0].file}")
