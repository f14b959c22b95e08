"""How the tables of `schemas/sql` lie in BigQuery: by which month they are cut into partitions, and what lies together.

BigQuery replaces no table by one that is cut otherwise: whoever changes a line here drops the table first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RolledUpStorage:
    """`partition`: a DATE column, a partition a month; `cluster`: up to four columns, the first weighs most."""

    partition: str | None = None
    cluster: tuple[str, ...] = ()


PLAIN = RolledUpStorage()

ROLLUP_STORAGE: dict[str, RolledUpStorage] = {
    "ltv_monthly": RolledUpStorage("purchase_month", ("currency",)),
    "ltv_cohorts": RolledUpStorage("cohort_month", ("currency", "month_number")),
    "order_first_purchase": RolledUpStorage("cohort_month", ("customer_id", "order_id")),
}
"""Table → its storage; one that is not here is neither cut nor sorted."""
