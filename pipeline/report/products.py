"""The products of the page: what was sold of each, where most, and what those are worth whose first order had it."""

from __future__ import annotations

from typing import Any

from pipeline.facts import FIRST_PRODUCT
from pipeline.report.columns import day, read, rows, shown
from pipeline.report.document import Product, Products
from pipeline.warehouse import Warehouse

MOST = 1_000
MOST_COUNTRIES = 10
MONTHS = (0, 3, 6, 12)

_LARGEST = f"""
  SELECT product, currency, quantity, revenue, average_price, customers, first_sold_on,
    ROW_NUMBER() OVER (ORDER BY revenue DESC, product, currency) AS place
  FROM product_stats
  WHERE TRUE
  QUALIFY place <= {MOST}
"""


def read_products(warehouse: Warehouse) -> Products:
    """Those of most revenue."""
    found = read(
        warehouse,
        f"({_LARGEST}) AS largest ORDER BY place",
        ("product", "currency", "customers", "first_sold_on"),
        ("quantity", "revenue", "average_price"),
    )
    total: int = read(warehouse, "product_stats", ("COUNT(*) AS n",))["n"][0]
    countries, worth = _countries(warehouse), _worth(warehouse)
    made: list[Product] = []
    for row in rows(found):
        by_month = worth.get((row["product"], row["currency"]), {})
        made.append(
            {
                "product": shown(row["product"]),
                "currency": row["currency"] or "",
                "quantity": row["quantity"],
                "revenue": row["revenue"],
                "average_price": row["average_price"],
                "customers": row["customers"],
                "first_sold_on": day(row["first_sold_on"]) or "",
                "top_countries": countries.get(row["product"], []),
                "first_customers": by_month[0][0] if 0 in by_month else None,
                "ltv": {str(month): ltv for month, (_, ltv) in sorted(by_month.items())},
            }
        )
    return {"rows": made, "left_out": total - len(made)}


def _countries(warehouse: Warehouse) -> dict[str | None, list[str | None]]:
    """Product → the countries in which it sold most; where more than ten are equal, … in place of the others."""
    found = read(
        warehouse,
        f"""(
          SELECT top.product AS product, top.country AS country,
            ROW_NUMBER() OVER (PARTITION BY top.product ORDER BY top.country) AS place
          FROM product_top_country AS top
          JOIN (SELECT COALESCE(CONCAT('=', product), '') AS name FROM ({_LARGEST}) AS largest GROUP BY name) AS wanted
            ON wanted.name = COALESCE(CONCAT('=', top.product), '')
        ) AS placed
        WHERE place <= {MOST_COUNTRIES + 1} ORDER BY product, place""",
        ("product", "country", "place"),
    )
    made: dict[str | None, list[str | None]] = {}
    for row in rows(found):
        country = "…" if row["place"] > MOST_COUNTRIES else shown(row["country"])
        made.setdefault(row["product"], []).append(country)
    return made


def _worth(warehouse: Warehouse) -> dict[tuple[str | None, str], dict[int, tuple[int, Any]]]:
    """(product, currency) → month number → customers whose first order had it, and their net LTV per customer."""
    found = read(
        warehouse,
        "ltv_averages WHERE segment = @segment AND NOT is_other AND NOT is_guest"
        f" AND month_number IN ({', '.join(map(str, MONTHS))})",
        ("value", "currency", "month_number", "customers"),
        ("ltv_per_customer",),
        {"segment": FIRST_PRODUCT},
    )
    made: dict[tuple[str | None, str], dict[int, tuple[int, Any]]] = {}
    for row in rows(found):
        of = made.setdefault((row["value"], row["currency"]), {})
        of[row["month_number"]] = (row["customers"], row["ltv_per_customer"])
    return made
