"""The command `ltv-pipeline init`: looks at the database and writes shop.yaml, which loads as it is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.init.document import document
from pipeline.init.findings import Findings
from pipeline.init.look import Connection, limit_time, sample, setting, smallest, table_names, tables_of, zones
from pipeline.init.recognise import Candidate, examined, places, ranked
from pipeline.init.roles import Proposal, by_database, likely, propose
from pipeline.init.yaml_text import flow, listed, shown
from schemas.catalogue import CatalogueTable, read_cascades
from schemas.config import RoleTable, ShopConfig, read_password
from schemas.config_file import parse_config
from schemas.errors import ConfigError, SourceRefused, UsageError
from schemas.source import Server, SourceAddress, connect, describe_server


@dataclass(frozen=True)
class Request:
    """What the command line asks for. `login`: keys of shop.yaml for the connection, as given."""

    source: str
    output: str = "shop.yaml"
    force: bool = False
    login: Mapping[str, str] | None = None


def init(request: Request) -> str:
    """Writes the file, or prints it where the output is `-`; returns one sentence of what was found.

    Raises UsageError (the file is there already, nothing looks like orders), ConfigError, SourceRefused and
    SourceUnavailable.
    """
    target = None if request.output == "-" else Path(request.output)
    if target is not None and target.exists() and not request.force:
        raise UsageError(f"{target} is there already", hint="name another with -o FILE, or overwrite it with --force")
    login = {key: value for key, value in (request.login or {}).items() if value is not None}
    config, database = _connection(request.source, login)
    assert config.source is not None
    connection = connect(config.source, read_password(config), config.encryption)
    with contextlib.closing(connection):
        found = look(connection, config.source, database, login)
    text = document(found)
    parse_config(text)
    if target is None:
        sys.stdout.write(text)
    else:
        try:
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{target} cannot be written: {error.strerror}", hint="-o FILE names another") from error
    return _summary(found)


def _connection(source: str, login: Mapping[str, str]) -> tuple[ShopConfig, str | None]:
    """How to connect, by the same rules as in shop.yaml, and the database if one is named. Raises ConfigError."""
    database: str | None = None
    with contextlib.suppress(ValueError):
        parts = urlsplit(source)
        if parts.path not in ("", "/"):
            database = unquote(parts.path[1:])
            source = parts._replace(path="").geturl()
    keys = {"source": source, "preset": "case_study", "time_zone": "UTC", "currency": "XXX", **login}
    try:
        config = parse_config("\n".join(f"{key}: {flow(value)}" for key, value in keys.items()))
    except ConfigError as error:
        problems = [problem.split(": ", 1)[1] if problem.startswith("line ") else problem for problem in error.problems]
        raise ConfigError(problems, source="ltv-pipeline init", hint="see ltv-pipeline init --help") from error
    return config, database


def look(
    connection: Connection, address: SourceAddress, database: str | None, login: Mapping[str, str] | None = None
) -> Findings:
    """Recognises the shop in one database, or in any that the user may see. Raises UsageError and SourceRefused."""
    server = describe_server(connection)
    names = table_names(connection, database)
    if not names:
        where = "in any database" if database is None else f"in database {shown(database)!r}"
        raise SourceRefused(
            f"{address} shows no tables {where}",
            hint="check the name of the database, and GRANT SELECT ON it TO the user",
        )
    limit_time(connection, server)
    candidates = places(names)
    tables = tables_of(connection, {table for one in candidates for table in _tables_of_candidate(one)})
    best = ranked(examined(candidate, tables) for candidate in candidates)
    if best:
        return _recognised(connection, server, address, login or {}, best, tables)
    return _guess(connection, server, address, login or {}, names)


def _tables_of_candidate(candidate: Candidate) -> list[str]:
    configured = candidate.system.configuration(candidate.database, candidate.prefix)
    return [table["name"] for table in (*configured["tables"].values(), *configured.get("mirror", ()))]


def _recognised(
    connection: Connection,
    server: Server,
    address: SourceAddress,
    login: Mapping[str, str],
    best: Sequence[Candidate],
    tables: Mapping[str, CatalogueTable],
) -> Findings:
    chosen = best[0]
    role = {**chosen.system.roles["orders"], "name": chosen.table("orders")}
    orders = RoleTable.model_validate(role)
    table = tables[orders.name]
    used = [chosen.table(name) for name in chosen.system.roles if name not in chosen.missing]
    zone, currency = (setting(connection, chosen, key) for key in ("time_zone", "currency"))
    status, code = orders.source_column("status"), orders.source_column("currency")
    return Findings(
        address,
        server,
        chosen.database,
        login,
        zones(connection),
        candidate=chosen,
        others=best[1:6],
        zone=str(zone[0][0]) if zone else None,
        currency=str(currency[0][0]) if currency else None,
        currencies=setting(connection, chosen, "currencies"),
        statuses=sample(connection, table, status, orders) if status else None,
        codes=sample(connection, table, code, orders) if code else None,
        mirrored=all(name in tables for name in _tables_of_candidate(chosen)[len(chosen.system.roles) :]),
        cascades=read_cascades(connection, used),
    )


def _guess(
    connection: Connection,
    server: Server,
    address: SourceAddress,
    login: Mapping[str, str],
    names: Sequence[tuple[str, str]],
) -> Findings:
    tables = tables_of(connection, {f"{schema}.{table}" for schema, table in likely(names)})
    guesses = {database: propose(of_it) for database, of_it in by_database(tables).items()}
    database = max(guesses, key=lambda name: _sureness(guesses[name]), default="")
    if not database or not guesses[database]:
        seen = listed(f"{schema}.{table}" for schema, table in names)
        raise UsageError(
            f"no table of {address} looks like orders: {seen}",
            hint="name the database (mysql://user@host:port/database), or write shop.yaml by hand: see the README",
        )
    proposals = guesses[database]
    orders = proposals["orders"]
    columns = orders.columns
    keyless = [table.name for table in by_database(tables)[database] if not table.primary_key]
    return Findings(
        address,
        server,
        database,
        login,
        zones(connection),
        proposals=proposals,
        statuses=sample(connection, orders.table, columns["status"]) if "status" in columns else None,
        codes=sample(connection, orders.table, columns["currency"]) if "currency" in columns else None,
        smallest_charge=_smallest_amount(connection, proposals.get("charges")),
        smallest_refund=_smallest_amount(connection, proposals.get("refunds")),
        keyless=keyless,
        cascades=read_cascades(connection, [proposal.table.name for proposal in proposals.values()]),
    )


def _sureness(proposals: Mapping[str, Proposal]) -> tuple[int, int]:
    return len(proposals), sum(len(proposal.columns) for proposal in proposals.values())


def _smallest_amount(connection: Connection, proposal: Proposal | None) -> object:
    return smallest(connection, proposal.table, proposal.columns["amount"]) if proposal else None


def _summary(found: Findings) -> str:
    if found.candidate:
        what = found.candidate
        others = f"; {len(found.others)} more like it, named in the file" if found.others else ""
        return f"{what.system.title}: database {shown(what.database)}, prefix {shown(what.prefix) or 'none'}{others}"
    return f"no known shop system: {len(found.proposals)} roles guessed in database {shown(found.database)}; check each"
