"""Reads shop.yaml. Every part is validated on its own: all problems are reported at once, each with its line."""

from __future__ import annotations

import contextlib
import difflib
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from schemas.cloud_storage import is_object_url, read_object
from schemas.config import DATE_COLUMNS, RESERVED_TABLES, ROLE_COLUMNS, Condition, RoleTable, ShopConfig
from schemas.errors import ConfigError
from schemas.presets import presets, read_preset
from schemas.tls import VERIFYING

CONFIG_LIMIT_BYTES = 1_000_000


def load_config(path: str | Path) -> ShopConfig:
    """Reads and validates a shop.yaml.

    Relative paths in it are relative to its folder, or to the current one where it is gs://bucket/object: then it may
    hold no password. Raises ConfigError with every problem, each with file and line.
    """
    if is_object_url(str(path)):
        return _load_object(str(path))
    path = Path(path)
    try:
        if path.stat().st_size > CONFIG_LIMIT_BYTES:
            raise ConfigError([f"larger than {CONFIG_LIMIT_BYTES:,} bytes"], source=str(path))
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            [f"cannot be read: {error.strerror}"], source=str(path), hint="name the file with -c shop.yaml"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"is not UTF-8 at byte {error.start}"], source=str(path)) from error
    return parse_config(text, source=str(path), folder=path.resolve().parent)


def _load_object(url: str) -> ShopConfig:
    data = read_object(url, CONFIG_LIMIT_BYTES)
    if len(data) > CONFIG_LIMIT_BYTES:
        raise ConfigError([f"larger than {CONFIG_LIMIT_BYTES:,} bytes"], source=url)
    try:
        config = parse_config(data.decode("utf-8"), source=url)
    except UnicodeDecodeError as error:
        raise ConfigError([f"is not UTF-8 at byte {error.start}"], source=url) from error
    if config.source and config.source.password.get_secret_value():
        raise ConfigError(
            ["source: holds a password, which everybody may read who may read the bucket"],
            source=url,
            hint="take it out; the worker finds it in MYSQL_PASSWORD or password_file, the pipeline needs none",
        )
    return config


def parse_config(text: str, *, source: str = "shop.yaml", folder: Path | None = None) -> ShopConfig:
    """Validates the text of a shop.yaml. Raises ConfigError with every problem."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError([f"{where}{problem}"], source=source) from error
    if not isinstance(data, dict):
        raise ConfigError(["must be a mapping, such as `time_zone: Europe/Paris`"], source=source)
    problems = _twice(node)
    lines = _lines(node)
    data = _with_preset(data, lines, problems)
    parts: dict[str, Any] = {}
    for field, info in ShopConfig.model_fields.items():
        if field not in data:
            if not info.is_required():
                parts[field] = info.default
            elif field != "tables" or data.get("preset") is None:
                problems.append(f"{field}: missing")
            continue
        try:
            parts[field] = _adapter(field).validate_python(data[field])
        except ValidationError as error:
            if field == "tables":
                parts[field] = _valid_roles(data[field])
            problems += [_describe(field, item, lines) for item in error.errors(include_url=False)]
    problems += [
        f"{_at((str(name),), lines)}{name}: unknown key{_did_you_mean(str(name), list(ShopConfig.model_fields))}"
        for name in data
        if name not in ShopConfig.model_fields
    ]
    named = data.get("tables")
    problems += [
        f"{_at(place, lines)}{'.'.join(place)}: {what}"
        for place, what in _cross_problems(parts, set(named) if isinstance(named, dict) else set())
    ]
    if problems:
        raise ConfigError(problems, source=source, hint="see the README, «Configuration»")
    folder = folder or Path.cwd()
    for field in ("password_file", "ca", "tls_cert", "tls_key", "checkpoint"):
        if parts[field] and "://" not in parts[field]:
            parts[field] = str(folder / Path(parts[field]).expanduser())
    if parts["warehouse"] and parts["warehouse"].startswith("duckdb:"):
        parts["warehouse"] = f"duckdb:{folder / Path(parts['warehouse'][7:]).expanduser()}"
    return ShopConfig.model_construct(**parts)


@functools.cache
def _adapter(field: str) -> TypeAdapter[Any]:
    info = ShopConfig.model_fields[field]
    annotation: Any = info.annotation
    for extra in info.metadata:
        annotation = Annotated[annotation, extra]
    config = None
    if field == "source":
        config = ConfigDict(arbitrary_types_allowed=True)
    return TypeAdapter(annotation, config=config)


def _valid_roles(tables: object) -> dict[str, RoleTable]:
    """Those roles that are right by themselves, so that they can still be held against the rest."""
    roles: dict[str, RoleTable] = {}
    for role, table in tables.items() if isinstance(tables, dict) else ():
        with contextlib.suppress(ValidationError):
            if role in ROLE_COLUMNS:
                roles[role] = RoleTable.model_validate(table)
    return roles


def _with_preset(data: dict[str, Any], lines: Mapping[tuple[str, ...], int], problems: list[str]) -> dict[str, Any]:
    """The keys of the preset where the file has none of its own; of `tables` each role by itself, null drops it."""
    try:
        chosen = _adapter("preset").validate_python(data.get("preset"))
    except ValidationError:
        return data  # reported with the other keys
    if chosen is None:
        return data
    if chosen.name not in presets():
        at = _at(("preset", "name"), lines)
        problems.append(f"{at}preset: {chosen.name[:60]!r} is none of {', '.join(presets())}")
        return data
    system = read_preset(chosen.name)
    base = system.configuration(chosen.database, chosen.prefix)
    own = data.get("tables", {})
    if isinstance(own, dict):
        merged = {role: table for role, table in {**base["tables"], **own}.items() if table is not None}
        data = {**data, "tables": merged}
        if "orders" not in own:
            problems += [
                f"{field}: missing; {system.filled(how, chosen.database, chosen.prefix)}"
                for field, how in system.required.items()
                if data.get(field) is None
            ]
    return {**base, **data}


def _cross_problems(parts: Mapping[str, Any], named_roles: set[str]) -> list[tuple[tuple[str, ...], str]]:
    """What only shows when two valid parts are held against each other: (place, problem)."""
    problems = list(_tls_problems(parts))
    tables: dict[str, RoleTable] = parts.get("tables") or {}
    if named_roles and "orders" not in named_roles:
        problems.append((("tables",), "the role `orders` is missing; everything is derived from it"))
    for role, table in tables.items():
        required, optional = ROLE_COLUMNS[role]
        place = ("tables", role, "columns")
        problems += [(place, f"`{name}` is missing") for name in required if name not in table.columns]
        for name, column in table.columns.items():
            if name not in required + optional:
                known = [*required, *optional]
                problems.append(((*place, name), f"no column of the role{_did_you_mean(name, known)}"))
            if column.time_zone and name not in DATE_COLUMNS:
                problems.append(((*place, name), "time_zone is for date columns"))
            if (column.plus or column.minus) and (name != "amount" or role not in ("orders", "charges", "refunds")):
                problems.append(((*place, name), "plus and minus are for the amount of orders, charges and refunds"))
        if role == "order_items" and ("unit_amount" in table.columns) == ("amount" in table.columns):
            problems.append((place, "needs one of `unit_amount` and `amount`, which is the whole line's"))
        sources = [column.column for column in table.columns.values()]
        for name in sorted({name for name in sources if sources.count(name) > 1}):
            problems.append((place, f"source column {name!r} is mapped twice"))
        for name in sorted(set(table.exclude) & table.named_columns()):
            problems.append((("tables", role, "exclude"), f"{name!r} is mapped, so it cannot be excluded"))
        if table.sign != 1 and role != "refunds":
            problems.append((("tables", role, "sign"), "is for the role `refunds`"))
        if table.segments and role != "customers":
            problems.append((("tables", role, "segments"), "is for `customers`; for orders it stands at the top level"))
    for name in sorted({table.name for table in tables.values()}):
        users = [(role, table) for role, table in tables.items() if table.name == name]
        if len(users) > 1 and not all(table.where for _, table in users):
            roles = " and ".join(role for role, _ in users)
            problems.append((("tables",), f"{name} plays {roles}: each needs a `where`"))
    orders = tables.get("orders")
    if orders:
        counted: Condition | None = parts.get("counted")
        if counted and counted.column not in orders.columns:
            problems.append((("counted", "column"), f"{counted.column!r} is not among tables.orders.columns"))
        if "currency" in parts and parts["currency"] is None and "currency" not in orders.columns:
            problems.append((("currency",), "missing; or map a `currency` column of orders"))
        for name in parts.get("segments") or ():
            if name not in orders.columns:
                problems.append((("segments",), f"{name!r} is not among tables.orders.columns"))
    for table in parts.get("mirror") or ():
        if table.name in {role_table.name for role_table in tables.values()}:
            problems.append((("mirror",), f"{table.name} is mirrored already through its role"))
        if table.name.split(".")[1].lower() in RESERVED_TABLES:
            problems.append((("mirror",), f"{table.name}: the warehouse has a table of its own by that name"))
    short = [table.name.split(".")[1] for table in parts.get("mirror") or ()]
    for name in sorted({name for name in short if short.count(name) > 1}):
        problems.append((("mirror",), f"two tables named {name!r}"))
    return problems


def _tls_problems(parts: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Files that would stand there unused, and leave unchecked what their owner believes checked."""
    mode = parts.get("tls")
    if parts.get("ca") and mode is not None and mode not in VERIFYING:
        yield ("ca",), f"is not looked at with `tls: {mode}`; set `tls: verify-identity`, or verify-ca"
    if parts.get("tls_cert") and mode in ("disabled", "preferred"):
        yield ("tls_cert",), f"is for `tls: required`, verify-ca or verify-identity, not for {mode}"
    if parts.get("tls_key") and not parts.get("tls_cert"):
        yield ("tls_key",), "is the key of `tls_cert`, which is missing"


def _describe(field: str, error: Any, lines: Mapping[tuple[str, ...], int]) -> str:
    parts = [str(part) for part in error["loc"]]
    place = (field, *(part for part in parts if not part.startswith(("function-", "lax-or", "str", "int", "bool"))))
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown key"
    value = error.get("input")
    shown = ""
    if (
        error["type"] not in ("missing", "extra_forbidden")
        and isinstance(value, str | int | float)
        and field != "source"
    ):
        shown = f" (found {str(value)[:60]!r})"
    return f"{_at(place, lines)}{'.'.join(place)}: {message}{shown}"


def _did_you_mean(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}" if len(known) < 12 else ""


def _at(place: tuple[str, ...], lines: Mapping[tuple[str, ...], int]) -> str:
    while place:
        if place in lines:
            return f"line {lines[place]}: "
        place = place[:-1]
    return ""


def _twice(node: yaml.Node | None, place: tuple[str, ...] = ()) -> list[str]:
    """Keys that stand twice in one mapping: YAML would take the last without a word."""
    found: list[str] = []
    if isinstance(node, yaml.MappingNode):
        names = [str(key.value) for key, _ in node.value]
        for index, (key, value) in enumerate(node.value):
            here = (*place, names[index])
            if names[index] in names[:index]:
                found.append(f"line {key.start_mark.line + 1}: {'.'.join(here)}: stands here twice")
            found += _twice(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            found += _twice(value, place)
    return found


def _lines(node: yaml.Node | None, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Path → line of every key of a YAML document."""
    found: dict[tuple[str, ...], int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, str(key.value))
            found[here] = key.start_mark.line + 1
            found.update(_lines(value, here))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            here = (*place, str(index))
            found[here] = value.start_mark.line + 1
            found.update(_lines(value, here))
    return found
