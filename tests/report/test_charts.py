"""The charts' specifications without a browser, and the library that draws them: versions, hashes, licences."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.charts import DARK, LIGHT, PAIRS, RAMPS, SCHEMA, charts

FOLDER = Path(__file__).parents[2] / "pipeline" / "report"
VENDOR = FOLDER / "vendor"
VERSIONS = json.loads((VENDOR / "versions.json").read_text(encoding="utf-8"))
SPECS = {name: spec for name, spec in charts().items() if name != "themes"}


def dicts(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from dicts(part)


@pytest.mark.parametrize("name", SPECS)
def test_a_chart_has_named_sources_and_no_figures(name: str) -> None:
    spec = SPECS[name]
    assert spec["$schema"] == SCHEMA
    sources = [part["data"] for part in dicts(spec) if "data" in part]
    assert sources and all(set(source) == {"name"} for source in sources)
    assert not any("url" in part or "values" in part for part in dicts(spec))


@pytest.mark.parametrize("name", SPECS)
def test_the_script_fills_what_the_chart_names(name: str) -> None:
    written = "".join(file.read_text(encoding="utf-8") for file in sorted((FOLDER / "web").glob("*.js")))
    fields = {part["field"] for part in dicts(SPECS[name]) if "field" in part}
    sources = {part["data"]["name"] for part in dicts(SPECS[name]) if "data" in part}
    for word in fields | sources:
        assert re.search(rf"\b{word}\b\s*[:,}}]", written), word
    assert f'"{name.removesuffix("_percent")}"' in written


@pytest.mark.parametrize("name", SPECS)
def test_the_vertical_axis_begins_at_0(name: str) -> None:
    axes = [part["y"] for part in dicts(SPECS[name]) if isinstance(part.get("y"), dict)]
    assert axes and all(axis["scale"] == {"zero": True} for axis in axes)


@pytest.mark.parametrize("name", SPECS)
def test_whatever_can_be_pointed_at_tells_its_exact_text(name: str) -> None:
    tooltips = [part["tooltip"] for part in dicts(SPECS[name]) if "tooltip" in part]
    assert tooltips and all(tooltip == {"field": "label"} for tooltip in tooltips)


def test_axes_of_ratios_are_in_percent() -> None:
    for name in ("curves", "by_cohort", "compare"):
        assert "%" in json.dumps(SPECS[f"{name}_percent"])
        assert "%" not in json.dumps(SPECS[name])


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("name", "colours", "ground"), [("light", LIGHT, "#ffffff"), ("dark", DARK, "#10161c")])
def test_a_theme_is_legible_on_its_ground(name: str, colours: dict[str, str], ground: str) -> None:
    assert contrast(colours["ink"], ground) >= 7
    assert contrast(colours["quiet"], ground) >= 4.5
    assert all(contrast(colour, ground) >= 3 for colour in PAIRS[name])
    assert all(contrast(colour, ground) >= 2.2 for colour in RAMPS[name])
    lightness = [luminance(colour) for colour in RAMPS[name]]
    assert lightness == sorted(lightness)


@pytest.mark.parametrize("library", VERSIONS, ids=lambda library: library["name"])
def test_a_library_is_what_was_published(library: dict[str, str]) -> None:
    written = (VENDOR / library["file"]).read_bytes()
    assert hashlib.sha256(written).hexdigest() == library["sha256"]
    assert (VENDOR / f"LICENSE-{library['name']}.txt").read_text(encoding="utf-8").startswith("Copyright (c)")
    assert b"sourceMappingURL" not in written
    if library["name"] != "vega-interpreter":
        assert library["version"].encode() in written


def test_the_interpreter_is_changed_at_its_two_ends_alone() -> None:
    """Undone, the change gives the published module, byte for byte."""
    library = next(one for one in VERSIONS if one["name"] == "vega-interpreter")
    text = (VENDOR / library["file"]).read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    given = re.fullmatch(r"const vegaInterpreter = \(function \((\{.*\})\) \{", first)
    assert given
    end = "return { expressionInterpreter: expression };\n})(vega);\n"
    assert rest.endswith(end)
    body = rest.removesuffix(end)
    module = (
        f"import {given[1]} from 'vega-util';\n{body}export {{ expression as expressionInterpreter }};\n"
        "//# sourceMappingURL=vega-interpreter.js.map\n"
    )
    assert hashlib.sha256(module.encode()).hexdigest() == library["upstream_sha256"]


def test_nothing_else_is_shipped() -> None:
    shipped = {file.name for file in VENDOR.iterdir()}
    licences = {f"LICENSE-{library['name']}.txt" for library in VERSIONS}
    assert shipped == {"versions.json", "LICENSE-bundled.txt", *licences, *(library["file"] for library in VERSIONS)}


def test_the_scripts_are_short_and_say_what_they_are() -> None:
    files = [*(FOLDER / "web").glob("*.js"), *(FOLDER / "web").glob("*.css")]
    assert len(files) > 20
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert text.count("\n") <= 250, file.name
        assert text.startswith(("// ", "/* ")), file.name
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://", text), (
            file.name
        )


@pytest.mark.parametrize("name", ["light", "dark"])
def test_legends_have_the_colours_of_the_charts(name: str) -> None:
    style = (FOLDER / "web" / "1_theme.css").read_text(encoding="utf-8")
    light, dark = style.split(':root[data-shown="dark"]')
    known = dict(re.findall(r"--((?:ramp|pair)-\w): (#\w+)", dark if name == "dark" else light))
    ramp = [known[f"ramp-{step}"] for step in range(4)]
    assert (ramp, [known["pair-a"], known["pair-b"]]) == (RAMPS[name], PAIRS[name])
