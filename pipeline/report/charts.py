"""The page's charts as Vega-Lite specifications (vega.github.io/vega-lite/docs), plain dicts that need no browser.

A chart has no figures: its data sources are named, and the page's script fills them. `value` places a mark, `label` is
the text that a pointer shows. Colours and fonts come from the theme, light or dark.
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
FIGURES = "abs(datum.value) >= 10000 ? format(datum.value, '.3~s') : format(datum.value, ',.2~f')"
PERCENT = "format(datum.value, '.1~%')"
"""What an axis says at a tick."""

FITS = "length(datum.amount) * 7 < width / 5"
"""Whether a bar's exact amount is no wider than the bar."""

STEPS = ["Ordered", "Not counted", "Gross", "Refunds", "Net"]

LIGHT = {"ink": "#1b2733", "quiet": "#55626f", "line": "#d9e0e6"}
DARK = {"ink": "#e6ebf0", "quiet": "#a3b0bc", "line": "#2b3742"}
RAMPS = {
    "light": ["#6b4a9c", "#2f6f9f", "#1d9a8a", "#84b93a"],
    "dark": ["#a98be0", "#6fb1e0", "#4fc9b4", "#c3e07a"],
}
"""Older to newer cohorts. Lightness rises with hue, so that they can be told apart without seeing hue."""

PAIRS = {"light": ["#2f6f9f", "#c2571a"], "dark": ["#6fb1e0", "#f0945a"]}
"""Blue and orange: the sides of a comparison, of which the second is dashed, too; a sum and what is taken off it."""


def charts() -> dict[str, Any]:
    """Chart name → specification; and `themes`: light, dark → configuration. `…_percent` is of ratios."""
    return {
        "themes": {name: theme(name, colours) for name, colours in (("light", LIGHT), ("dark", DARK))},
        "curves": curves(FIGURES),
        "curves_percent": curves(PERCENT),
        "by_cohort": by_cohort(FIGURES),
        "by_cohort_percent": by_cohort(PERCENT),
        "compare": compare(FIGURES),
        "compare_percent": compare(PERCENT),
        "sizes": sizes(),
        "revenue": revenue(),
        "bridge": bridge(),
    }


def theme(name: str, colours: dict[str, str]) -> Spec:
    axis = {
        "domainColor": colours["line"],
        "gridColor": colours["line"],
        "tickColor": colours["line"],
        "labelColor": colours["quiet"],
        "titleColor": colours["quiet"],
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
    }
    ink = {"color": colours["ink"]}
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False, "labelPadding": 6, "tickCount": 5},
        "title": {"anchor": "start", "fontSize": 12, "fontWeight": "normal", "offset": 8, "color": colours["quiet"]},
        "range": {"ramp": RAMPS[name], "category": PAIRS[name]},
        "line": ink,
        "point": ink,
        "tick": ink,
        "text": {**ink, "fontSize": 11},
        "bar": {"color": PAIRS[name][0]},
    }


def spec(**parts: Any) -> Spec:
    return {
        "$schema": SCHEMA,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 2, "top": 10, "right": 10, "bottom": 8},
        "width": 600,
        "height": 300,
        **parts,
    }


def rows(name: str) -> Spec:
    return {"data": {"name": name}}


def amount(field: str = "value", labels: str = FIGURES) -> Spec:
    """The vertical place; the axis starts at 0 so that heights can be compared."""
    return {
        "field": field,
        "type": "quantitative",
        "title": None,
        "axis": {"labelExpr": labels},
        "scale": {"zero": True},
    }


NUMBER: Spec = {
    "field": "number",
    "type": "quantitative",
    "title": "Month number",
    "axis": {"tickMinStep": 1, "format": "d"},
    "scale": {"nice": False},
}
ROOM = {"padding": {"left": 2, "top": 10, "right": 26, "bottom": 8}}
"""At the right, for half the name of the last month."""

MONTH: Spec = {
    "field": "month",
    "type": "ordinal",
    "title": None,
    "sort": "ascending",
    "axis": {
        "labelAngle": 0,
        "labelOverlap": "greedy",
        "labelSeparation": 8,
        "labelExpr": "monthAbbrevFormat(toNumber(slice(datum.value, 5, 7)) - 1) + ' ' + slice(datum.value, 0, 4)",
    },
}
COHORT: Spec = {"field": "place", "type": "quantitative", "legend": None}
LABEL: Spec = {"tooltip": {"field": "label"}}


def curves(labels: str) -> Spec:
    """`rows`: number, value, label, cohort, place. `open`: the same, from the last completed month to the open one.
    `ends`: the open points. `average`: number, value, label. `names`: where a cohort's curve ends, with its name."""
    place = {"x": NUMBER, "y": amount(labels=labels)}
    lines = {**place, "color": COHORT, "detail": {"field": "cohort"}}
    thin = {"type": "line", "strokeWidth": 1.5, "opacity": 0.85}
    touched = {"type": "point", "filled": True, "size": 80, "opacity": 0}
    return spec(
        layer=[
            {**rows("rows"), "mark": thin, "encoding": lines},
            {**rows("open"), "mark": {**thin, "strokeDash": [3, 3]}, "encoding": lines},
            {**rows("average"), "mark": {"type": "line", "strokeWidth": 3.5}, "encoding": place},
            {**rows("rows"), "mark": touched, "encoding": {**lines, **LABEL}},
            {**rows("average"), "mark": touched, "encoding": {**place, **LABEL}},
            {
                **rows("ends"),
                "mark": {"type": "point", "filled": False, "size": 34, "strokeWidth": 1.5, "opacity": 1},
                "encoding": {**lines, **LABEL},
            },
            {
                **rows("names"),
                "mark": {"type": "text", "align": "left", "dx": 6},
                "encoding": {**place, "text": {"field": "cohort"}},
            },
        ]
    )


def sizes() -> Spec:
    """`rows`: month, value, label."""
    return spec(**rows("rows"), **ROOM, mark={"type": "bar"}, encoding={"x": MONTH, "y": amount(), **LABEL})


def by_cohort(labels: str) -> Spec:
    """`rows`: month, value, label, is_open."""
    point = {"type": "point", "size": 40, "opacity": 1}
    return spec(
        **rows("rows"),
        **ROOM,
        encoding={"x": MONTH, "y": amount(labels=labels)},
        layer=[
            {"mark": {"type": "line", "strokeWidth": 1.5}},
            {
                "mark": {**point, "filled": True},
                "transform": [{"filter": "!datum.is_open"}],
                "encoding": LABEL,
            },
            {
                "mark": {**point, "filled": False},
                "transform": [{"filter": "datum.is_open"}],
                "encoding": LABEL,
            },
        ],
    )


def revenue() -> Spec:
    """`rows`: month, value, label, place, a bar's layer for each cohort. `totals`: month, value, label, is_open."""
    return spec(
        **ROOM,
        layer=[
            {
                **rows("rows"),
                "mark": {"type": "bar"},
                "encoding": {
                    "x": MONTH,
                    "y": {**amount(), "stack": "zero"},
                    "color": COHORT,
                    "order": {"field": "place"},
                    **LABEL,
                },
            },
            {
                **rows("totals"),
                "mark": {"type": "tick", "thickness": 2, "opacity": 1},
                "encoding": {"x": MONTH, "y": amount(), **LABEL},
            },
            {
                **rows("totals"),
                "transform": [{"filter": "datum.is_open"}],
                "mark": {"type": "text", "baseline": "bottom", "dy": -5, "fontStyle": "italic", "text": "open"},
                "encoding": {"x": MONTH, "y": amount()},
            },
        ],
    )


def bridge() -> Spec:
    """`rows`: name, start, end, top, label, amount (exact), short, kind (sum, less)."""
    axis = {"labelAngle": 0, "labelExpr": "split(datum.label, ' ')"}
    name = {"field": "name", "type": "nominal", "title": None, "sort": STEPS, "axis": axis}
    kind = {"field": "kind", "type": "nominal", "legend": None, "scale": {"domain": ["sum", "less"]}}
    return spec(
        **rows("rows"),
        layer=[
            {
                "mark": {"type": "bar"},
                "encoding": {"x": name, "y": amount("start"), "y2": {"field": "end"}, "color": kind, **LABEL},
            },
            {
                "mark": {"type": "text", "baseline": "bottom", "dy": -4},
                "encoding": {
                    "x": name,
                    "y": amount("top"),
                    "text": {"condition": {"test": FITS, "field": "amount"}, "field": "short"},
                },
            },
        ],
    )


def compare(labels: str) -> Spec:
    """`rows`: number, value, label, side (A, B)."""
    side = {"field": "side", "type": "nominal", "legend": None, "scale": {"domain": ["A", "B"]}}
    dash = {**side, "scale": {"domain": ["A", "B"], "range": [[1, 0], [6, 3]]}}
    both = {"x": NUMBER, "y": amount(labels=labels), "color": side}
    return spec(
        **rows("rows"),
        layer=[
            {"mark": {"type": "line", "strokeWidth": 2.5}, "encoding": {**both, "strokeDash": dash}},
            {"mark": {"type": "point", "filled": True, "size": 24, "opacity": 1}, "encoding": {**both, **LABEL}},
        ],
    )
