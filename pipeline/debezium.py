"""Plain Debezium events → ours, so that an existing Debezium Server can feed the pipeline.

Source: Debezium, «Connector for MySQL», data change events and data types; with or without {"schema", "payload"}.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from typing import Any

from schemas.config import DATE_COLUMNS, ShopConfig
from schemas.errors import DeadLetter
from schemas.event import EventColumn, TableSchema
from schemas.sequence import binlog_number, format_sequence

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock time without a zone
_SCALE = re.compile(r"-?\d{1,3}")
_PLAIN = {
    **dict.fromkeys(("int8", "int16", "int32", "int64", "boolean"), "bigint"),
    **dict.fromkeys(("float", "float32", "float64", "double"), "double"),
    "string": "text",
    "bytes": "blob",
}


def normalise(value: dict[str, Any], config: ShopConfig) -> tuple[TableSchema, dict[str, Any]]:
    """One Debezium event → the schema of its table and the event as ours. Raises DeadLetter.

    Types come from the event's own schema where it has one, else from its JSON values; the sequence number from file,
    position and row, in epoch 1. The primary key is the role's id: a plain event does not name it.
    """
    connect, payload = (value.get("schema"), value["payload"]) if "payload" in value else (None, value)
    source = payload.get("source") if isinstance(payload, dict) else None
    op = payload.get("op") if isinstance(payload, dict) else None
    if not isinstance(source, dict) or not isinstance(op, str):
        raise DeadLetter("not_an_event", "neither a change event nor a heartbeat")
    table = f"{source.get('db')}.{source.get('table')}"
    row = payload.get("before" if op == "d" else "after")
    if table not in config.source_tables:
        raise DeadLetter("unknown_table", "the configuration names no such table", table=table)
    if op == "t":
        columns: dict[str, str] = {}
        _role_types(table, columns, {}, config)
        return _schema(table, columns, config), {**payload, "source": _source(source)}
    if not isinstance(row, dict):
        raise DeadLetter("not_an_event", f"op {op[:20]!r} without its row image", table=table)
    fields = _fields(connect, "before" if op == "d" else "after")
    types: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, item in row.items():
        try:
            kind, converted = _typed(fields[name], item) if name in fields else _guessed(item)
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
            raise DeadLetter("value", f"{name}: {error}", table=table) from error
        if kind is not None:
            types[name], values[name] = kind, converted
    _role_types(table, types, values, config)
    image = {"before": values, "after": None} if op == "d" else {"before": None, "after": values}
    return _schema(table, types, config), {**payload, **image, "source": _source(source)}


def _schema(table: str, types: dict[str, str], config: ShopConfig) -> TableSchema:
    for _, definition in config.roles_of.get(table, []):
        key = definition.source_column("id")
        if key is not None:
            types.setdefault(key, "bigint")
            columns = tuple(EventColumn(name, kind) for name, kind in sorted(types.items()))
            return TableSchema(table, (key,), columns)
    raise DeadLetter("no_key", "a plain Debezium event does not name its primary key", table=table)


def _source(source: dict[str, Any]) -> dict[str, Any]:
    if "sequence" in source and source["sequence"] is not None:
        return source
    try:
        number = binlog_number(source["file"])[1]
        sequence = format_sequence(1, number, int(source["pos"]), int(source.get("row") or 0))
    except (KeyError, TypeError, ValueError) as error:
        raise DeadLetter("not_an_event", "source has no file, pos and row") from error
    return {**source, "sequence": sequence}


def _fields(connect: object, image: str) -> dict[str, dict[str, Any]]:
    """Column → its Connect schema, out of the envelope's."""
    envelope = connect.get("fields") if isinstance(connect, dict) else None
    for field in envelope if isinstance(envelope, list) else ():
        if isinstance(field, dict) and field.get("field") == image and isinstance(field.get("fields"), list):
            return {str(column.get("field")): column for column in field["fields"] if isinstance(column, dict)}
    return {}


def _typed(field: dict[str, Any], value: Any) -> tuple[str, Any]:
    """A value of a column that has a Connect schema → (our type, our value)."""
    name, plain = str(field.get("name") or ""), str(field.get("type"))
    parameters = field.get("parameters") or {}
    if name == "org.apache.kafka.connect.data.Decimal":
        scale = str(parameters.get("scale", "0"))
        if not _SCALE.fullmatch(scale) or not 0 <= int(scale) <= 30:
            raise ValueError("a decimal without a scale")
        return f"decimal(38,{scale})", None if value is None else _decimal(value, int(scale))
    convert = _TIMES.get(name)
    if convert is not None:
        return convert[0], None if value is None else convert[1](value)
    if plain == "boolean":
        return "bigint", None if value is None else int(value)
    return _PLAIN[plain], value


def _decimal(value: str, scale: int) -> str:
    unscaled = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
    digits = f"{abs(unscaled):0{scale + 1}d}"
    sign = "-" if unscaled < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def _wall(microseconds: int) -> str:
    return (_EPOCH + dt.timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")


def _date(days: int) -> str:
    return (_EPOCH.date() + dt.timedelta(days=days)).isoformat()


def _instant(text: str) -> str:
    instant = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if instant.tzinfo is None:
        raise ValueError("an instant without a zone")
    return instant.astimezone(dt.timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


_TIMES: dict[str, tuple[str, Any]] = {
    "io.debezium.time.Date": ("date", _date),
    "org.apache.kafka.connect.data.Date": ("date", _date),
    "io.debezium.time.Timestamp": ("datetime", lambda value: _wall(value * 1000)),
    "org.apache.kafka.connect.data.Timestamp": ("datetime", lambda value: _wall(value * 1000)),
    "io.debezium.time.MicroTimestamp": ("datetime", _wall),
    "io.debezium.time.NanoTimestamp": ("datetime", lambda value: _wall(value // 1000)),
    "io.debezium.time.ZonedTimestamp": ("timestamp", _instant),
    "io.debezium.time.IsoDate": ("date", lambda value: value[:10]),
    "io.debezium.time.IsoTimestamp": ("datetime", lambda value: value.rstrip("Z")),
    "io.debezium.data.Json": ("json", str),
    "io.debezium.data.Enum": ("enum", str),
}


def _guessed(value: Any) -> tuple[str | None, Any]:
    """A value of an event without schema → (our type, our value); a NULL says nothing of its column's type."""
    if value is None:
        return None, None
    if isinstance(value, bool):
        return "bigint", int(value)
    if isinstance(value, int):
        return "bigint", value
    if isinstance(value, float):
        return "double", value
    if isinstance(value, str):
        return "text", value
    raise ValueError("neither text nor number; let Debezium send its schemas")


def _role_types(table: str, types: dict[str, str], values: dict[str, Any], config: ShopConfig) -> None:
    """Where JSON alone told the types: what a role needs to be a date or money is read as such."""
    for _, definition in config.roles_of.get(table, []):
        parts = [
            (role_column, name)
            for role_column, column in definition.columns.items()
            for name in (column.column, *column.plus, *column.minus)
        ]
        for role_column, name in parts:
            if name not in values:
                types.setdefault(name, "datetime" if role_column in DATE_COLUMNS else "text")
                if role_column in ("amount", "unit_amount", "quantity"):
                    types[name] = "decimal(38,9)"
                values[name] = None
            elif role_column in ("amount", "unit_amount") and types[name] == "text":
                types[name] = "decimal(38,9)"
            elif role_column in DATE_COLUMNS and types[name] == "text":
                text = values[name] or ""
                if len(text) == 10:
                    types[name] = "date"
                elif text.endswith("Z") or "+" in text[10:] or "-" in text[10:]:
                    types[name], values[name] = "timestamp", _zoned(text, table, name)
                else:
                    types[name] = "datetime"
            elif role_column in DATE_COLUMNS and types[name] == "bigint":
                what = f"{name}: a number says no date by itself; set time.precision.mode=isostring or send schemas"
                raise DeadLetter("value", what, table=table)


def _zoned(text: str, table: str, name: str) -> str:
    try:
        return _instant(text)
    except ValueError as error:
        raise DeadLetter("value", f"{name}: {text[:60]!r} is no instant", table=table) from error
