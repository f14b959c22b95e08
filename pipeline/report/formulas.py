"""What the page calls an order, gross, net and LTV of this shop, in sentences made of its shop.yaml."""

from __future__ import annotations

from pipeline.report.columns import shown
from pipeline.report.document import Formula
from schemas.config import Column, Condition, RoleTable, ShopConfig


def formulas(config: ShopConfig) -> list[Formula]:
    told = {
        "order": _order(config),
        "amount": _amount(config.tables.get("orders")),
        "customer": _customer(config),
        "gross": "Gross is the sum of the amounts of the orders that count, each in the month it was ordered in.",
        "net": f"Net is gross less refunds. {_refunds(config)}",
        "ltv": "LTV is what a cohort has brought in, net unless gross is chosen, from the month of the customers' first"
        " order (month 0) up to the month shown; per customer it is divided by all customers of the cohort.",
        "month 0": "Month numbers count calendar months: who first bought on the last day of a month has one day of"
        " month 0. A first order that cost nothing counts as any other.",
        "time zone": f"Months and days begin and end at midnight in {config.time_zone}.",
        "currency": _currency(config),
    }
    return [{"name": name, "text": text} for name, text in told.items()]


def _order(config: ShopConfig) -> str:
    if config.counted is None:
        return "Every order counts."
    orders = config.tables.get("orders")
    column = (orders.source_column(config.counted.column) if orders else None) or config.counted.column
    return f"An order counts if its {shown(column)} {_holds(config.counted)}."


def _holds(condition: Condition) -> str:
    if condition.is_null is not None:
        return f"is {'' if condition.is_null else 'not '}NULL"
    values = condition.in_ if condition.in_ is not None else condition.not_in
    listed = " or ".join("NULL" if value is None else f"«{value}»" for value in values or ())
    return f"is {'not ' if condition.in_ is None else ''}{shown(listed) or 'anything'}"


def _amount(orders: RoleTable | None) -> str:
    if orders is None:
        return "No orders are mapped."
    return f"The amount of an order is {_made_of(orders.columns['amount'])} of {orders.name}."


def _made_of(column: Column) -> str:
    return (
        shown(
            "".join([column.column, *(f" + {name}" for name in column.plus), *(f" − {name}" for name in column.minus)])
        )
        or ""
    )


def _customer(config: ShopConfig) -> str:
    guests = ", ".join(["NULL", *(f"«{value}»" for value in sorted(config.guest_values))])
    return f"An order without a customer ({guests}) is a guest's: each is a customer of its own, shown apart."


def _refunds(config: ShopConfig) -> str:
    sources = [
        f"{'amounts below zero' if role == 'charges' else 'amounts'} of {table.name}"
        for role, table in config.tables.items()
        if role in ("charges", "refunds")
    ]
    if not sources:
        return "No refunds are mapped, so net is gross."
    return (
        f"Refunds are the {' and the '.join(sources)}, of orders that count, in the month they were given and in the"
        " cohort of their order's customer."
    )


def _currency(config: ShopConfig) -> str:
    orders = config.tables.get("orders")
    if orders is not None and "currency" in orders.columns:
        otherwise = f" (where it is empty: {config.currency})" if config.currency else ""
        column = orders.columns["currency"].column
        return f"Each order is in the currency of its {column}{otherwise}; nothing is converted."
    return f"All amounts are in {config.currency}." if config.currency else "The currency of the amounts is not known."
