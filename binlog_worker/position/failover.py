"""What a server has of the transactions that were delivered from another, and how to go on there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from binlog_worker.position.gtids import MariadbGtids, MariadbState, MysqlGtids

_LONGEST = 400


class Standing(NamedTuple):
    """Transactions as text, empty for none. `lacks`: delivered, and not in the server; `gone`: in it, not delivered,
    and in none of its logs; `common`: a GTID set of those delivered that it has."""

    lacks: str
    gone: str
    common: str


class MysqlHistory(NamedTuple):
    """gtid_executed, and gtid_purged: what of it is in no log of the server."""

    executed: MysqlGtids
    purged: MysqlGtids

    def standing(self, delivered: MysqlGtids) -> Standing:
        lacks = delivered.without(self.executed)
        return Standing(str(lacks), str(self.purged.without(delivered)), str(delivered.without(lacks)))


class MariadbHistory(NamedTuple):
    """gtid_binlog_state, the same as it was before the oldest log, and gtid_slave_pos: what was applied as a replica,
    which is in the log only under log_slave_updates=ON."""

    logged: MariadbState
    before_oldest: MariadbState
    applied: MariadbGtids

    def standing(self, delivered: MariadbGtids) -> Standing:
        lacks: list[str] = []
        gone = [f"all of domain {domain}" for domain in self.before_oldest if domain not in delivered.last]
        common = MariadbGtids()
        for domain, (server, number) in sorted(delivered.last.items()):
            name = f"{domain}-{server}-{number}"
            logged = self.logged.get(domain, {}).get(server, 0)
            applied = self.applied.last.get(domain)
            if logged < number and (applied is None or applied[1] < number):
                last = (server, logged) if logged else applied
                if last is not None:
                    common.last[domain] = last
                lacks.append(f"{name} (it has up to {domain}-{last[0]}-{last[1]})" if last is not None else name)
                continue
            common.last[domain] = (server, number)
            if logged < number and applied is not None and applied != (server, number):
                gone.append(f"{name} to {domain}-{applied[0]}-{applied[1]}, applied without log_slave_updates")
            in_oldest = self.before_oldest.get(domain, {}).get(server, 0) < number <= logged
            if not in_oldest and self.before_oldest.goes_on(domain, server, number):
                gone.append(f"what follows {name} up to number {self.before_oldest.highest(domain)}")
        return Standing(", ".join(lacks), ", ".join(gone), str(common))

    def unlogged(self, delivered: MariadbGtids) -> MariadbGtids:
        """Those of `delivered` that were applied, but are not in the log."""
        found = MariadbGtids()
        for domain, (server, number) in delivered.last.items():
            if self.logged.get(domain, {}).get(server, 0) < number:
                found.last[domain] = (server, number)
        return found


def missing(standing: Standing) -> list[str]:
    """What keeps the transactions behind a set from being all that was not delivered, a clause each."""
    found = []
    if standing.lacks:
        found.append(f"it lacks transactions that were delivered: {_short(standing.lacks)}")
    if standing.gone:
        found.append(f"of transactions that were not delivered it has no log any more: {_short(standing.gone)}")
    return found


def way_on(standing: Standing, epoch: int, tables: Sequence[str]) -> str:
    """The hint: how to go on from this server, under a new epoch."""
    begin = "earliest" if standing.gone or not standing.common else f"'{standing.common}'"
    command = f"go on with `--epoch {epoch} --from {begin}`"
    if not standing.lacks and not standing.gone:
        return f"{command}: it has all that was delivered, so nothing is lost and nothing comes twice"
    why = "the warehouse holds changes that this database lacks" if standing.lacks else ""
    why += " and " if standing.lacks and standing.gone else ""
    why += "changes in between do not arrive any more" if standing.gone else ""
    return f"{command}, and load these tables again, for {why}: {', '.join(tables)}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text):,} characters)"
