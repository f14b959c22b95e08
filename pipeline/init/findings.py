"""What a look at a database has found, and what follows of it for single keys of shop.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.init.recognise import Candidate
from pipeline.init.roles import Proposal
from pipeline.init.yaml_text import shown
from schemas.catalogue import Cascade
from schemas.source import Server, SourceAddress

NO_CURRENCY = "XXX"
"""ISO 4217: no currency."""


@dataclass(frozen=True)
class Findings:
    """Either `candidate` is what was recognised, or `proposals` are guesses. `zone` and `currency` are what the shop's
    own settings say; `statuses`, `codes`: values of the newest orders and how often each comes, None where refused."""

    address: SourceAddress
    server: Server
    database: str
    login: Mapping[str, str]  # further keys of shop.yaml for the connection: tls, ca, password_file …
    server_zones: tuple[str, str]
    candidate: Candidate | None = None
    others: Sequence[Candidate] = ()
    proposals: Mapping[str, Proposal] = field(default_factory=dict)
    zone: str | None = None
    currency: str | None = None
    currencies: Sequence[tuple[Any, ...]] = ()
    statuses: Sequence[tuple[Any, int]] | None = None
    codes: Sequence[tuple[Any, int]] | None = None
    smallest_refund: Any = None
    smallest_charge: Any = None
    mirrored: bool = True
    keyless: Sequence[str] = ()
    cascades: Sequence[Cascade] = ()


def is_zone(name: str | None) -> bool:
    """Whether it is a time zone of the IANA database that shop.yaml takes."""
    try:
        ZoneInfo(name or "")
    except (OSError, ValueError, KeyError):
        return False
    return bool(name) and len(name or "") <= 64


def is_currency(code: object) -> bool:
    return isinstance(code, str) and re.fullmatch("[A-Z]{3}", code) is not None


def time_zone(found: Findings) -> tuple[str, str]:
    """The zone for shop.yaml, and where it is from."""
    if found.zone is not None and is_zone(found.zone):
        return found.zone, "as the shop's own settings say; a month begins and ends here"
    told = f"its settings say {shown(found.zone, 60)}, which is no zone name; " if found.zone else ""
    own, machine = found.server_zones
    said = f"time_zone = {shown(own, 60)}, its machine {shown(machine, 60)}"
    for name in (own, machine):
        if "/" in name and is_zone(name):
            return name, f"CHECK: {told}the server says {said}; where does a month of the shop begin and end?"
    return "UTC", f"CHECK: {told}the server says {said}; set the zone in which a month of the shop begins and ends"


def currency(found: Findings) -> tuple[str | None, str]:
    """The default currency for shop.yaml, and where it is from. None: every order names its own."""
    if is_currency(found.currency):
        return str(found.currency), "the shop's default, as its own settings say; for orders that name none"
    orders = found.proposals.get("orders")
    if found.candidate is None and orders is not None and "currency" not in orders.columns:
        return NO_CURRENCY, "CHANGE: no column of orders says it; XXX is ISO 4217's «no currency»"
    if found.candidate is not None and "currency" not in found.candidate.system.roles["orders"]["columns"]:
        return NO_CURRENCY, "CHANGE: the shop does not say it; XXX is ISO 4217's «no currency»"
    return None, ""


def currency_numbers(found: Findings) -> dict[int | str, str]:
    """`currencies` for shop.yaml: what stands in the column → the code."""
    codes: dict[int | str, str] = {}
    for number, code in found.currencies:
        if isinstance(number, int | str) and is_currency(code):
            codes[number] = code
    return (
        codes or {number: NO_CURRENCY for number, _ in found.codes or () if isinstance(number, int)} or {1: NO_CURRENCY}
    )
