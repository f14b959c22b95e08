"""The text of a shop.yaml from what was found, with comments that say why and what to check."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from pipeline.init.findings import Findings, currency, currency_numbers, time_zone
from pipeline.init.recognise import Candidate
from pipeline.init.roles import Proposal, counted_like
from pipeline.init.yaml_text import comment, flow, listed, scalar, shown
from schemas.catalogue import Cascade
from schemas.identifiers import quoted

CASCADES_LOGGED = (9, 6)
"""From this version of MySQL on cascades are row events."""


def document(found: Findings) -> str:
    """A whole shop.yaml. It loads as it is; what stands in capitals in a comment wants a look."""
    lines = [*_head(found), "", *_places(found), "", *_zone_and_currency(found), ""]
    lines += _preset(found, found.candidate) if found.candidate else _guessed(found)
    lines += _cascades(found)
    return "\n".join(lines) + "\n"


def _head(found: Findings) -> Iterator[str]:
    version = shown(found.server.version_text, 60)
    yield from comment(f"Written by `ltv-pipeline init` for {shown(found.address)}, {_product(found)} {version}.")
    if found.candidate:
        what = found.candidate
        yield from comment(
            f"This is {what.system.title}: database {shown(what.database)}, prefix {shown(what.prefix) or 'none'}."
        )
    else:
        yield from comment(
            f"No shop system that is known here: the roles of the tables of {shown(found.database)} are GUESSED from"
            " names and types. Check each."
        )
    for other in found.others:
        place = f"database {shown(other.database)}, prefix {shown(other.prefix) or 'none'}"
        yield from comment(f"Also here: {other.system.title} in {place}.")
    user = shown(found.address.user).replace("'", "''")
    monitor = "BINLOG MONITOR" if _is_mariadb(found) else "REPLICATION CLIENT"
    yield "#"
    yield from comment("Next: give the worker's user its grants, look through this file, and run")
    yield from comment(
        f"  GRANT REPLICATION SLAVE, {monitor} ON *.* TO '{user}'@'%';",
        f"  GRANT SELECT, CREATE TEMPORARY TABLES ON {quoted(shown(found.database))}.* TO '{user}'@'%';",
        "  binlog-worker check -c shop.yaml",
        "  ltv-pipeline batch -c shop.yaml",
        "  binlog-worker run -c shop.yaml, and beside it ltv-pipeline stream -c shop.yaml",
        "  ltv-pipeline rollup -c shop.yaml, as often as the numbers shall be fresh",
    )


def _places(found: Findings) -> Iterator[str]:
    host = f"[{found.address.host}]" if ":" in found.address.host else found.address.host
    source = f"mysql://{quote(found.address.user, safe='')}@{host}:{found.address.port}"
    yield f"source: {scalar(source)}"
    if "password_file" not in found.login:
        yield from comment("The password is not kept here: set MYSQL_PASSWORD, or password_file.")
    yield from (f"{key}: {scalar(value)}" for key, value in found.login.items())
    taken = found.server.variables.get("server_id", "0")
    yield from comment("The worker's own, as a replica; no other replica of the server may have it.")
    yield f"server_id: {5502 if taken == '5501' else 5501}"
    yield "project: local-shop    # of Pub/Sub; any name with the emulator"
    yield "topic: changes"
    yield "subscription: ltv"
    yield "checkpoint: checkpoint.json"
    yield "warehouse: duckdb:ltv.duckdb"


def _zone_and_currency(found: Findings) -> Iterator[str]:
    zone, why = time_zone(found)
    yield from comment(why)
    yield f"time_zone: {scalar(zone)}"
    code, why = currency(found)
    if code:
        yield from comment(why)
        yield f"currency: {code}"
    if found.candidate and "currencies" in found.candidate.system.required:
        numbers = currency_numbers(found)
        yield from comment("The shop numbers its currencies." + _seen(found.codes, " In the newest orders: "))
        if "XXX" in numbers.values():
            yield from comment("CHANGE: its own list could not be read; XXX is ISO 4217's «no currency».")
        yield f"currencies: {flow(numbers)}"
    elif found.codes:
        yield from comment(f"In the newest orders: {_seen(found.codes)}")


def _preset(found: Findings, candidate: Candidate) -> Iterator[str]:
    yield from comment(
        "The preset says which table plays which role and which orders count: see schemas/shops/"
        f"{candidate.system.name}.yaml. A key of this file wins over the preset's; of `tables` each role by itself."
    )
    there = [f"{role} {candidate.table(role)}" for role in candidate.system.roles if role not in candidate.missing]
    yield from comment(f"Here: {listed(there)}.")
    chosen = {"name": candidate.system.name, "database": candidate.database, "prefix": candidate.prefix}
    yield f"preset: {flow(chosen)}"
    if found.statuses:
        column = candidate.system.roles["orders"]["columns"]["status"]
        yield from comment(f"{column} of the newest orders: {_seen(found.statuses)}")
        yield from comment(f"Counted as purchases: {flow(candidate.system.defaults['counted'])}")
    if candidate.missing:
        yield "tables:"
        for role, why in candidate.missing.items():
            yield from comment(f"{shown(why)}: the role is left out", indent="  ")
            yield f"  {role}: null"
    if not found.mirrored:
        yield from comment("A table that the preset copies besides is not here.")
        yield "mirror: []"


def _guessed(found: Findings) -> Iterator[str]:
    orders = found.proposals["orders"]
    if "status" in orders.columns:
        yield from _counted(found, orders.columns["status"])
    else:
        yield from comment("No column of orders looks like a status: every order counts. `counted` would say which do.")
    yield "tables:"
    for role, proposal in found.proposals.items():
        yield from _role(found, role, proposal)
    for role, what in _ABSENT.items():
        if role not in found.proposals:
            yield from comment(f"No table looks like {role}{what}", indent="  ")
    if "country" in orders.columns:
        yield "segments: [country]"
    if found.keyless:
        yield from comment(f"Without a primary key, so they cannot be followed: {listed(found.keyless)}")


_ABSENT = {
    "order_items": ": there will be nothing about products.",
    "charges": " (payments): there will be no reconciliation.",
    "refunds": " of their own; a negative charge is one too.",
}


def _counted(found: Findings, column: str) -> Iterator[str]:
    values = [value for value, _ in found.statuses or ()]
    if found.statuses is None:
        yield from comment(
            f"CHECK: {shown(column)} could not be read; every order counts until `counted` says which do."
        )
        return
    yield from comment(f"{shown(column)} of the newest orders: {_seen(found.statuses) or 'there are none'}")
    texts = [value for value in values if isinstance(value, str) and value.strip() and len(value) <= 100]
    if not texts:
        yield from comment("CHECK: every order counts until `counted` says which do, such as")
        yield from comment("counted: {column: status, in: [2, 3]}")
        return
    out = counted_like(texts)
    yield from comment("CHECK: which of them are no purchases? NULL never is one.")
    yield f"counted: {flow({'column': 'status', 'not_in': out or ['cancelled']})}"


def _role(found: Findings, role: str, proposal: Proposal) -> Iterator[str]:
    table = proposal.table
    if proposal.others:
        yield from comment(f"or is it {listed(proposal.others, 4)}?", indent="  ")
    yield f"  {role}:"
    yield f"    name: {scalar(table.name)}"
    yield "    columns:"
    for name, column in proposal.columns.items():
        why = f"    # {shown(proposal.why[name], 90)}" if name in proposal.why else ""
        yield f"      {name}: {scalar(column)}{why}"
    types = {column.name: column for column in table.columns}
    for name in ("ordered_at", "charged_at"):
        if name in proposal.columns and types[proposal.columns[name]].type == "datetime":
            yield from comment(
                f"{name} is wall-clock time in the shop's zone; if it is UTC, write"
                f" {flow({'column': proposal.columns[name], 'time_zone': 'UTC'})}",
                indent="      ",
            )
    amount = types.get(proposal.columns.get("amount", ""))
    if amount is not None and amount.type.endswith("int"):
        yield from comment("CHECK: whole numbers. If they are cents, the LTV is in cents.", indent="      ")
    elif amount is not None and amount.type in ("float", "double"):
        yield from comment(f"CHECK: a {amount.type} does not hold cents exactly.", indent="      ")
    if role == "charges" and found.smallest_charge is not None:
        refunds = "some are negative: they are refunds" if found.smallest_charge < 0 else "none is negative: no refunds"
        yield from comment(f"Of the newest charges {refunds}.", indent="    ")
    if role == "refunds" and found.smallest_refund is not None and found.smallest_refund >= 0:
        yield "    sign: -1    # the newest are all positive"
    if role == "customers":
        yield from comment("Of customers only the columns named here are ever read.", indent="    ")
        yield f"    segments: {flow(proposal.segments)}"
    else:
        yield from comment("All columns are copied; include: […] or exclude: […] choose.", indent="    ")


def _cascades(found: Findings) -> Iterator[str]:
    logged = not _is_mariadb(found) and found.server.version >= CASCADES_LOGGED
    if not found.cascades or logged:
        return
    yield ""
    yield from comment("What these foreign keys change is not in this server's binlog:")
    yield from comment(*(f"  {_cascade(cascade)}" for cascade in found.cascades[:20]))
    if found.candidate:
        yield from comment(
            "They are the shop system's own, so they are accepted here: what they change or delete stays in the"
            " warehouse as it was, until ltv-pipeline batch reads the tables again. Run it regularly."
        )
        yield "allow_cascades: true"
    else:
        yield from comment(
            "The worker refuses that. Make them ON … RESTRICT, or accept stale rows and batch regularly:"
        )
        yield "# allow_cascades: true"


def _cascade(cascade: Cascade) -> str:
    return shown(f"{cascade.child}: {cascade.constraint} {cascade.rule} of {cascade.parent}")


def _seen(values: object, before: str = "") -> str:
    if not isinstance(values, list | tuple) or not values:
        return ""
    return before + listed(f"{'NULL' if value is None else shown(value, 60)} ({count:,})" for value, count in values)


def _is_mariadb(found: Findings) -> bool:
    return found.server.flavor == "mariadb"


def _product(found: Findings) -> str:
    return "MariaDB" if _is_mariadb(found) else "MySQL"
