"""Which shop system a database holds: its preset's tables and columns, under whatever prefix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.catalogue import CatalogueTable
from schemas.config import RoleTable
from schemas.presets import ShopSystem, presets, read_preset

MOST_PLACES = 200


@dataclass(frozen=True)
class Candidate:
    """A place where a system's `orders` would be. `missing`: role → why this database cannot fill it."""

    system: ShopSystem
    database: str
    prefix: str
    missing: Mapping[str, str] = field(default_factory=dict)

    def table(self, role: str) -> str:
        return self.system.table(self.system.roles[role]["name"], self.database, self.prefix)

    @property
    def score(self) -> float:
        """The part of the preset's roles that are there; 0 without orders."""
        roles = self.system.roles
        return 0.0 if "orders" in self.missing else 1 - len(self.missing) / len(roles)


def places(names: Iterable[tuple[str, str]]) -> list[Candidate]:
    """Where names of tables (database, table) end like those that hold orders, each with its prefix; before columns
    are known. At least half of a system's tables are there."""
    there = set(names)
    found = []
    for system in map(read_preset, presets()):
        bare = {role: str(table["name"]) for role, table in system.roles.items()}
        for database, table in sorted(there):
            if table.endswith(bare["orders"]):
                prefix = table.removesuffix(bare["orders"])
                present = [role for role, name in bare.items() if (database, prefix + name) in there]
                if 2 * len(present) >= len(bare):
                    found.append(Candidate(system, database, prefix))
    return found[:MOST_PLACES]


def examined(candidate: Candidate, tables: Mapping[str, CatalogueTable]) -> Candidate:
    """The candidate with what its tables lack, which `tables` (database.table) shows."""
    missing = {}
    for role, definition in candidate.system.roles.items():
        wanted = RoleTable.model_validate({**definition, "name": candidate.table(role)})
        table = tables.get(wanted.name)
        if table is None:
            missing[role] = f"there is no {wanted.name}"
            continue
        lacking = sorted(wanted.named_columns() - set(table.column_names))
        if lacking:
            missing[role] = f"{wanted.name} has no column {', '.join(lacking)}"
        elif role != "order_items" and table.primary_key != (wanted.source_column("id"),):
            missing[role] = f"the primary key of {wanted.name} is not {wanted.source_column('id')}"
    return Candidate(candidate.system, candidate.database, candidate.prefix, missing)


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that have orders and at least half of the roles, the most complete first."""
    good = [candidate for candidate in candidates if candidate.score >= 0.5]
    return sorted(good, key=lambda one: (-one.score, -len(one.system.roles), one.database, one.prefix))
