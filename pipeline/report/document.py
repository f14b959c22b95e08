"""What the page is given: one JSON document. Every figure in it is a value of a rolled-up table, none is computed here.

Money and ratios are decimal texts without needless zeros ("225", "187.5"), months are "2022-01", days "2022-01-31",
instants "2022-01-31T10:00:00Z". The page shows these texts and makes numbers of them only to place and to colour.
"""

from __future__ import annotations

from typing import TypedDict

VERSION = 1

MEASURES = (
    "active_customers", "orders", "revenue", "refunds", "net", "ltv", "ltv_gross",
    "revenue_per_customer", "net_per_customer", "ltv_per_customer", "ltv_gross_per_customer",
    "revenue_of_first", "net_of_first", "ltv_of_first", "ltv_gross_of_first",
    "retention", "orders_per_customer", "basket",
)  # fmt: skip
"""Columns of `ltv_triangle` that a triangle holds. `revenue` and `net` are of one month, gross and less refunds; `ltv`
is net and cumulated, `ltv_gross` gross. `…_per_customer` is by the cohort's size, `…_of_first` by the same of month 0
(a ratio). `orders_per_customer` is by the customers active in the month, `basket` the revenue of an order."""

AVERAGE_MEASURES = tuple(name for name in MEASURES if name not in ("active_customers", "orders", "refunds"))
"""Columns of `ltv_averages`."""


class Key(TypedDict):
    """Which customers: all of them (`segment` is None), or those of a value of a segment. Value None: who has none."""

    segment: str | None
    value: str | None
    is_other: bool
    currency: str
    is_guest: bool


class Triangle(TypedDict):
    """A row for each cohort month, ascending, none left out between. `cells`: measure → one text for each cohort, its
    months from 0 to the open one, separated by spaces; `-` where there is no value. The last month of each is open."""

    key: Key
    cohorts: list[str]
    customers: list[int]
    cells: dict[str, list[str]]


class Averages(TypedDict):
    """By month number from 0: how many cohorts have completed it (`cohorts`), their customers, and their averages, each
    weighted by its customers. Texts as in `Triangle`; it ends where no cohort has completed the month."""

    key: Key
    cohorts: str
    customers: str
    cells: dict[str, str]


class SegmentValue(TypedDict):
    value: str | None
    is_other: bool
    customers: int


class Segment(TypedDict):
    """`values` are those with averages here; the first `triangles` of them with triangles, too. `left_out`: how many
    further values the table `ltv_cohorts_by_segment` has."""

    name: str
    values: list[SegmentValue]
    triangles: int
    left_out: int


class Freshness(TypedDict):
    """The row of `freshness`, and `is_stale`: entries were written since the rollup."""

    rolled_up_at: str | None
    applied_at: str | None
    source_lag_seconds: int | None
    last_change_at: str | None
    gaps: int
    gap_since: str | None
    dead_letters: int
    oldest_dead_letter_at: str | None
    reloads_needed: int
    tables_to_reload: str | None
    is_stale: bool


class Formula(TypedDict):
    """What a kind of money is made of, in words for the header."""

    name: str
    text: str


class Problem(TypedDict):
    """A banner. `level`: error, warning, note."""

    level: str
    text: str
    hint: str


class Sums(TypedDict):
    """A row of `adds_up`; `month` None: everything up to the day."""

    currency: str
    month: str | None
    triangle: str
    entries: str
    orders: str
    is_equal: bool


class Step(TypedDict):
    """A row of `gross_to_net`, in order; `month` None: everything."""

    currency: str
    month: str | None
    name: str
    amount: str
    orders: int


class MonthTotal(TypedDict):
    """A row of `ltv_monthly`."""

    month: str
    currency: str
    orders: int
    customers: int
    revenue: str


class Product(TypedDict):
    """A row of `product_stats` with the product's rows of `product_top_country`; `ltv`: month number (0, 3, 6, 12) →
    net LTV per customer of those whose first order had it, `first_customers` their number. NULL is the product None."""

    product: str | None
    currency: str
    quantity: str
    revenue: str
    average_price: str | None
    customers: int
    first_sold_on: str
    top_countries: list[str | None]
    first_customers: int | None
    ltv: dict[str, str | None]


class Products(TypedDict):
    rows: list[Product]
    left_out: int


class StateCount(TypedDict):
    """A row of `reconciliation_states`. `age` None: of any age; else `0 to 7`, `8 to 30`, `31 to 90`, `over 90`."""

    currency: str | None
    state: str
    age: str | None
    orders: int
    amount: str
    due: str
    charged: str
    difference: str


class UnexplainedOrder(TypedDict):
    """A row of `payment_reconciliation` that is neither matched nor explained."""

    order_id: str | None
    charge_id: str | None
    ordered_on: str | None
    currency: str | None
    status: str | None
    amount: str | None
    due: str
    paid: str
    refunded: str
    difference: str
    difference_pct: str | None
    state: str
    age_days: int | None


class Reconciliation(TypedDict):
    """`is_mapped`: the shop maps charges. `left_out`: how many further orders are not explained."""

    is_mapped: bool
    states: list[StateCount]
    orders: list[UnexplainedOrder]
    left_out: int


class Change(TypedDict):
    """What one reason has added to a cell since the rollup before."""

    month: str
    number: int
    currency: str
    is_guest: bool
    reason: str
    orders: int
    revenue: str
    refunds: str


class ChangedCell(Change):
    """A row of `changed_cells`: by `changes` orders."""

    was_open: bool
    changes: int


class ChangedOrder(Change):
    """A row of `cohort_changes`: by one order."""

    order_id: str
    customer_id: str | None


class Changes(TypedDict):
    """`since` None: there was no rollup before, or nothing has changed. `left_out`: further orders."""

    since: str | None
    since_as_of: str | None
    cells: list[ChangedCell]
    cells_left_out: int
    orders: list[ChangedOrder]
    left_out: int


class CellOrder(TypedDict):
    """A row of `order_first_purchase`, or of `counted_refunds` (then `is_refund`, and `at` is when it was refunded)."""

    order_id: str
    at: str
    customer_id: str | None
    amount: str
    is_refund: bool


class CellOrders(TypedDict):
    """`limit` orders of each cell of the whole triangles, the largest first; `cells` is by `cell_name`."""

    limit: int
    cells: dict[str, list[CellOrder]]


class Currency(TypedDict):
    """`digits`: of its minor unit, by ISO 4217."""

    code: str
    digits: int


class Document(TypedDict):
    version: int
    is_live: bool
    shop: str
    made_at: str
    time_zone: str
    as_of: str | None
    currencies: list[Currency]
    formulas: list[Formula]
    problems: list[Problem]
    freshness: Freshness | None
    adds_up: list[Sums]
    triangles: list[Triangle]
    averages: list[Averages]
    segments: list[Segment]
    months: list[MonthTotal]
    gross_to_net: list[Step]
    products: Products
    reconciliation: Reconciliation
    changes: Changes
    cell_orders: CellOrders


def cell_name(currency: str, is_guest: bool, cohort: str, number: int) -> str:
    """`EUR 2022-01 3`, and `EUR guests 2022-01 3`."""
    return f"{currency} {'guests ' if is_guest else ''}{cohort} {number}"
