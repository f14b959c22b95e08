"""What each rolled-up table means, and what is true of every row: dbt's descriptions and data tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.dbt.columns import COLUMNS


@dataclass(frozen=True)
class Table:
    """`columns`: their names in order. `key`: together they are of one row, NULL equal to NULL. `filled`: never NULL.
    `always`, and `usually` (a warning alone): a condition that every row fulfils. `own`: what its columns mean here."""

    description: str
    columns: str
    key: str = ""
    filled: str = ""
    always: str = ""
    usually: str = ""
    own: Mapping[str, str] = field(default_factory=dict)

    def meaning(self, column: str) -> str:
        return self.own.get(column) or COLUMNS[column]


CELL = "cohort_month month_number currency is_guest"
SEGMENT = "segment value is_other"
MONEY = "customers active_customers orders revenue refunds ltv ltv_gross"
BY_CUSTOMER = "ltv_per_customer ltv_gross_per_customer retention is_open"
FIGURES = (
    "revenue_per_customer net_per_customer ltv_per_customer ltv_gross_per_customer"
    " revenue_of_first net_of_first ltv_of_first ltv_gross_of_first retention orders_per_customer basket"
)
SOME_ACTIVE = "active_customers <= customers"
ALL = "NULL: of all customers."
EVERY_MONTH = "NULL: all months together."

TABLES = {
    "adds_up": Table(
        "The same money counted three times: in the triangle, in the ltv entries, in the stored orders and charges.",
        "currency purchase_month triangle entries orders is_equal",
        "currency purchase_month",
        "is_equal",
        always="is_equal",
        own={
            "purchase_month": f"{EVERY_MONTH} Those are net of refunds, those of a month gross.",
            "triangle": "Sum of the cells of ltv_cohorts.",
            "entries": "Sum of ltv_entries.",
            "orders": "Sum of the stored orders and charges.",
            "is_equal": "Whether all three are the same.",
        },
    ),
    "changed_cells": Table(
        "What each reason added to a cell of ltv_cohorts since the rollup before.",
        f"{CELL} was_open reason changes orders revenue refunds since since_as_of",
        f"{CELL} was_open reason",
        "cohort_month month_number currency reason changes",
        own={
            "changes": "How many orders moved the cell.",
            "orders": "How many orders it has more.",
            "revenue": "Revenue that was added.",
            "refunds": "Refunds that were added.",
        },
    ),
    "cohort_changes": Table(
        "An order, and a cell of ltv_cohorts whose money it moved since the rollup before.",
        f"{CELL} order_id customer_id reason orders revenue refunds was_open since_as_of since",
        f"{CELL} order_id customer_id reason",
        "cohort_month month_number currency order_id reason",
        own={
            "orders": "Orders that were added to the cell: 1, 0 or -1.",
            "revenue": "Revenue that was added to the cell.",
            "refunds": "Refunds that were added to the cell.",
        },
    ),
    "counted_refunds": Table(
        "A refund that ltv_cohorts counts, and the cell that it is in.",
        "entry_id order_id customer_id refunded_at refund_date cohort_month month_number currency amount",
        "entry_id",
        "entry_id order_id cohort_month month_number currency amount",
        own={
            "entry_id": "Its ltv entry, such as charge:17.",
            "refunded_at": "When it was given back.",
            "refund_date": "The same as a local day.",
            "amount": "Below 0.",
        },
    ),
    "freshness": Table(
        "One row, of the moment of the rollup: up to where the source has been applied, and what has not.",
        "as_of rolled_up_at applied_up_to applied_at source_lag_seconds gaps gap_since last_change_at last_written_at"
        " dead_letters oldest_dead_letter_at reloads_needed tables_to_reload",
        "as_of",
        "as_of rolled_up_at dead_letters reloads_needed",
        usually="gaps = 0 AND dead_letters = 0 AND reloads_needed = 0",
        own={
            "applied_up_to": "Sequence number below which everything has been applied.",
            "applied_at": "The same by the source's clock.",
            "source_lag_seconds": "Seconds from applied_at to the rollup; NULL where no worker has sent anything.",
            "gaps": "Messages that came while an earlier one is missing.",
            "gap_since": "Since when.",
            "last_change_at": "Commit of the last change of an order or charge.",
            "last_written_at": "When it was written here.",
            "dead_letters": "Rows that could not be applied; see ltv-pipeline dead-letters.",
            "oldest_dead_letter_at": "When the oldest of them came.",
            "reloads_needed": "Tables that ltv-pipeline batch has to load again.",
            "tables_to_reload": "Which.",
        },
    ),
    "gross_to_net": Table(
        "From all orders to the net, five steps for each month in which they were ordered or refunded.",
        "currency purchase_month step name amount orders",
        "currency purchase_month step",
        "currency step name amount orders",
        own={
            "purchase_month": EVERY_MONTH,
            "step": "1 to 5; 1 + 2 = 3 and 3 + 4 = 5.",
            "name": "ordered, not counted, gross, refunds or net.",
            "orders": "Orders of which the step is made.",
        },
    ),
    "ltv_averages": Table(
        "What a cohort has spent by each month number, over the cohorts that have completed it: sums divided by sums.",
        f"{SEGMENT} currency is_guest month_number cohorts customers revenue net ltv ltv_gross {FIGURES}",
        f"{SEGMENT} currency is_guest month_number",
        "is_other currency is_guest month_number cohorts customers",
        own={
            "segment": ALL,
            "customers": "Customers of all these cohorts.",
            "revenue": "Mean of a cohort: gross revenue of the month.",
            "net": "Mean of a cohort: revenue + refunds of the month.",
            "ltv": "Mean of a cohort: net, cumulated.",
            "ltv_gross": "Mean of a cohort: gross, cumulated.",
        },
    ),
    "ltv_cohorts": Table(
        "What the customers of each cohort month have spent up to each month number. A month in which nothing was"
        " bought repeats the LTV; one that has not come has no row.",
        f"{CELL} {MONEY} {BY_CUSTOMER}",
        CELL,
        f"{CELL} {MONEY} is_open",
        always=SOME_ACTIVE,
    ),
    "ltv_cohorts_by_segment": Table(
        "ltv_cohorts for each value of each segment; the values of one segment add up to ltv_cohorts.",
        f"{SEGMENT} {CELL} {MONEY} {BY_CUSTOMER}",
        f"{SEGMENT} {CELL}",
        f"segment is_other {CELL} {MONEY} is_open",
        always=SOME_ACTIVE,
    ),
    "ltv_monthly": Table(
        "Revenue by purchase month.",
        "purchase_month currency orders customers revenue",
        "purchase_month currency",
        "purchase_month currency orders customers revenue",
        own={"customers": "Customers who bought in the month. Never add it up over months or currencies."},
    ),
    "ltv_triangle": Table(
        "ltv_cohorts with all that is shown of a cell, for all customers and the 20 largest values of each segment.",
        f"{SEGMENT} {CELL} customers is_open active_customers orders revenue refunds net ltv ltv_gross {FIGURES}",
        f"{SEGMENT} {CELL}",
        f"is_other {CELL} customers is_open revenue ltv",
        always=SOME_ACTIVE,
        own={"segment": ALL},
    ),
    "order_first_purchase": Table(
        "A counted order, when its customer bought first, and the months since.",
        "order_id ordered_at customer_id first_order_id first_ordered_at cohort_month month_number currency amount",
        "order_id",
        "order_id ordered_at first_order_id cohort_month month_number currency amount",
        always="month_number >= 0",
        own={
            "ordered_at": "When it was ordered.",
            "first_order_id": "The first counted order of its customer; a guest's order is its own.",
            "first_ordered_at": "When that was ordered.",
            "amount": "Of the order, gross.",
        },
    ),
    "payment_reconciliation": Table(
        "An order beside its charges, or a charge without an order. Empty where no charges are mapped.",
        "order_id charge_id ordered_on currency status is_counted amount due paid refunded charged charges"
        " other_currency_charges last_charged_on difference difference_pct state age_days",
        filled="state difference charged",
        always="difference = due - charged AND charged = paid + refunded",
        own={
            "charge_id": "Of an orphan charge; else NULL.",
            "ordered_on": "Local day of the order.",
            "status": "Of the order, as the shop has it.",
            "amount": "Of the order.",
            "due": "What the order owes: its amount, or 0 where it does not count.",
            "paid": "Sum of the charges above 0.",
            "refunded": "Sum of the charges below 0.",
            "charges": "How many there are.",
            "other_currency_charges": "How many are in another currency; they are not added up.",
            "last_charged_on": "Local day of the last charge.",
            "difference_pct": "difference in % of amount.",
        },
    ),
    "product_stats": Table(
        "What counted orders bought of each product.",
        "product currency quantity revenue average_price customers first_sold_on",
        "product currency",
        "currency quantity revenue customers",
        own={
            "revenue": "Sum of the items' lines.",
            "customers": "Customers who bought it. Never add it up over products.",
            "first_sold_on": "Local day of the first counted order with it.",
        },
    ),
    "product_top_country": Table(
        "The country in which most of a product was sold; several rows where they are equal.",
        "product country quantity",
        "product country",
        "quantity",
    ),
    "reconciliation_states": Table(
        "payment_reconciliation by state and age.",
        "currency state age orders amount due charged difference",
        "currency state age",
        "state orders",
        own={
            "age": "0 to 7, 8 to 30, 31 to 90 or over 90 days; NULL: of any age.",
            "orders": "Orders; of orphan charges, charges.",
            "due": "Of orders that count, their amount; of others nothing.",
        },
    ),
    "rolled_up": Table(
        "The last rollup: one row, made last.",
        "as_of rolled_up_at entries_mark written_up_to floors_mark",
        "as_of",
        "as_of rolled_up_at",
        own={
            "rolled_up_at": "When the rollup ended.",
            "entries_mark": "Another text whenever entries have changed.",
            "written_up_to": "When the last of these entries was written.",
            "floors_mark": "Another text whenever a table was emptied or loaded as a whole.",
        },
    ),
}
"""Every rolled-up table."""
