"""The banners of the page: what is wrong with its figures, or keeps them from being there, and what to do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pipeline.report.columns import instant, shown
from pipeline.report.document import Freshness, Problem, Sums
from schemas.errors import LtvError

LEVELS = ("error", "warning", "note")
GAP = dt.timedelta(minutes=10)
"""After which what is missing will not come by itself."""

LATE_S = 15 * 60
"""Behind the source, above which it is said."""


def problem(level: str, text: str, hint: str) -> Problem:
    return {"level": level, "text": text, "hint": hint}


def nothing_loaded() -> Problem:
    return problem(
        "error",
        "The warehouse is empty: nothing of the shop has been loaded.",
        "`ltv-pipeline stream` or `ltv-pipeline batch` loads it; then `ltv-pipeline rollup` makes the figures.",
    )


def nothing_rolled_up() -> Problem:
    return problem(
        "error",
        "The figures have not been made yet: there was no rollup.",
        "Run `ltv-pipeline rollup`, then this again.",
    )


def still_reading() -> Problem:
    return problem("note", "The figures are being read.", "They appear here by themselves.")


def unreadable(error: LtvError, since: dt.datetime) -> Problem:
    """The figures shown are the last that could be read."""
    hint = f"{error.hint}. " if error.hint else ""
    return problem(
        "warning",
        f"Since {instant(since)} the warehouse cannot be read or rolled up: {shown(str(error))}.",
        f"{hint}It is tried again; what is shown is of before.",
    )


def no_orders(as_of: dt.date) -> Problem:
    return problem(
        "warning",
        f"There is no order that counts up to {as_of}.",
        "Look at `counted` in shop.yaml, and at `ltv-pipeline query 'SELECT * FROM orders LIMIT 10'`.",
    )


def currencies_left_out(codes: Sequence[str]) -> list[Problem]:
    if not codes:
        return []
    return [
        problem(
            "warning",
            f"There is no room in this page for the cohorts in {', '.join(shown(code) or '' for code in codes)}.",
            "`ltv-pipeline query 'SELECT * FROM ltv_cohorts'` prints them.",
        )
    ]


def not_adding_up(sums: Sequence[Sums]) -> list[Problem]:
    """One for all that does not, whatever the currency and month."""
    wrong = [row for row in sums if not row["is_equal"]]
    if not wrong:
        return []
    first = wrong[0]
    where = f"{first['currency']}, {first['month'] or 'all months'}"
    return [
        problem(
            "error",
            f"The figures do not add up ({len(wrong)} of {len(sums)} sums; {where}: triangle {first['triangle']},"
            f" entries {first['entries']}, orders {first['orders']}).",
            "Run `ltv-pipeline rollup`; if it stays so, `ltv-pipeline verify` says where warehouse and shop differ.",
        )
    ]


def without_currency(count: int) -> list[Problem]:
    if not count:
        return []
    return [
        problem(
            "warning",
            f"{_many(count, 'order has', 'orders have')} no currency, and are added up apart from all others.",
            "Set `currency` in shop.yaml, or map the column `currency` of orders; then `ltv-pipeline rederive`.",
        )
    ]


def staleness(freshness: Freshness, as_of: dt.date, today: dt.date) -> list[Problem]:
    """`today` is the shop's."""
    found = []
    if freshness["is_stale"]:
        found.append(
            problem(
                "warning",
                f"Orders or refunds have been written since the rollup of {freshness['rolled_up_at']}.",
                "Run `ltv-pipeline rollup`, or `ltv-pipeline report --rollup`.",
            )
        )
    if as_of < today:
        found.append(
            problem(
                "note", f"The figures end with {as_of}; today is {today}.", "`ltv-pipeline rollup` goes up to today."
            )
        )
    return found


def unapplied(freshness: Freshness, now: dt.datetime) -> list[Problem]:
    """What has not come through."""
    found = []
    if freshness["reloads_needed"]:
        tables = shown(freshness["tables_to_reload"]) or ""
        found.append(
            problem(
                "error",
                f"Rows were changed in a way that the binlog does not hold: {tables} must be loaded again.",
                f"`ltv-pipeline batch --table {tables.split(', ')[0]}` loads a table.",
            )
        )
    if freshness["gaps"]:
        since = dt.datetime.fromisoformat(str(freshness["gap_since"]).replace("Z", "+00:00"))
        found.append(
            problem(
                "error" if now - since > GAP else "warning",
                f"Later changes have arrived, but not all before them, since {freshness['gap_since']}.",
                "They come by themselves within minutes while worker and stream run; if not, look at their logs.",
            )
        )
    if freshness["dead_letters"]:
        letters = _many(freshness["dead_letters"], "change", "changes")
        found.append(
            problem(
                "warning",
                f"{letters} could not be applied, the oldest since {freshness['oldest_dead_letter_at']}.",
                "`ltv-pipeline dead-letters` lists them with their reasons; --retry tries them again.",
            )
        )
    lag = freshness["source_lag_seconds"]
    if lag is not None and lag > LATE_S:
        found.append(
            problem(
                "warning",
                f"The warehouse was {_span(lag)} behind the shop: it has everything up to {freshness['applied_at']}.",
                "Look whether `binlog-worker run` and `ltv-pipeline stream` are running.",
            )
        )
    return found


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _span(seconds: int) -> str:
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds // size:,} {name}s"
    return f"{seconds} seconds"
