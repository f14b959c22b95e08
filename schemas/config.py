"""shop.yaml as models: what a shop calls its tables and columns, and where everything is.

`schemas.config_file` reads one and reports every problem at once.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from schemas.errors import ConfigError
from schemas.source import SourceAddress
from schemas.tls import Mode, Tls

ROLE_COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "orders": (("id", "customer_id", "ordered_at", "amount"), ("status", "country", "currency", "updated_at")),
    "order_items": (("order_id", "product", "quantity"), ("id", "unit_amount", "amount")),
    "charges": (("id", "order_id", "amount", "charged_at"), ("currency",)),
    "refunds": (("id", "order_id", "amount", "charged_at"), ("currency",)),
    "customers": (("id",), ()),
}
"""Role → its required and its optional columns. Of an item one of `unit_amount` and `amount`, the whole line's."""

RESERVED_TABLES = frozenset(
    {
        *ROLE_COLUMNS,
        *("ltv_entries", "orders_history", "floors", "arrivals", "dead_letters", "settings", "reloads"),
        *("loads", "load_chunks"),
        *("ltv_monthly", "ltv_cohorts", "ltv_cohorts_by_segment", "order_first_purchase", "product_stats"),
        *("product_top_country", "payment_reconciliation", "freshness", "cohort_changes", "rolled_up"),
        *("counted_refunds", "orders_before", "refunds_before", "rollup_before", "mapped_roles"),
        *("marks", "ltv_triangle", "ltv_averages", "adds_up", "gross_to_net", "changed_cells"),
        "reconciliation_states",
        *(
            "order_facts",
            "order_amounts",
            "item_facts",
            "charge_facts",
            "order_segments",
            "customer_segments",
            "mapped_segments",
        ),
    }
)
"""Names in the warehouse that no mirrored table may take."""

DATE_COLUMNS = frozenset({"ordered_at", "charged_at"})
"""The role columns that become an instant and a local date; a value that is no date makes its line a dead letter."""

NAME_PATTERN = r"^[^\x00-\x1f`]+$"
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=NAME_PATTERN)]
Scalar = str | int | bool | None


def is_nameable(name: str, *, dots: bool = False) -> bool:
    """Whether shop.yaml can name a database or a table so; a column also with `dots`."""
    plain = re.match(NAME_PATTERN, name) is not None and name == name.strip() and len(name) <= 64
    return plain and (dots or "." not in name)


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=10_000)


def _qualified(name: str) -> str:
    parts = name.split(".")
    if len(parts) != 2 or not all(0 < len(part.strip()) <= 64 for part in parts):
        raise ValueError("must be database.table")
    return ".".join(part.strip() for part in parts)


TableName = Annotated[str, AfterValidator(_qualified)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{name!r} is no time zone of the IANA database (such as Europe/Paris)"
            " or the machine has no zone data (Debian: tzdata)"
        ) from error
    return name


Zone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_zone)]


def comparable(value: object) -> str | None:
    """A value as trimmed text, as `counted`, `where` and `guests` compare it. NULL stays None."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).strip()


class Condition(Model):
    """`{column, in: […]}` or `{column, not_in: […]}`, compared as trimmed text: NULL never fulfils one of these.
    `{column, is_null: true}`, or false, asks for NULL alone."""

    column: Name
    in_: tuple[Scalar, ...] | None = Field(None, alias="in")
    not_in: tuple[Scalar, ...] | None = None
    is_null: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Condition:
        if [self.in_, self.not_in, self.is_null].count(None) != 2:
            raise ValueError("needs exactly one of `in` and `not_in`, or `is_null`")
        return self

    @functools.cached_property
    def values(self) -> frozenset[str]:
        listed = self.in_ if self.in_ is not None else self.not_in
        return frozenset(text for text in map(comparable, listed or ()) if text is not None)

    def holds(self, value: object) -> bool:
        text = comparable(value)
        if self.is_null is not None:
            return (text is None) == self.is_null
        if text is None:
            return False
        return (text in self.values) == (self.in_ is not None)


class Column(Model):
    """A source column, and the zone of its wall-clock times where it is not the shop's.

    An amount may be made of several columns of its row: `plus` and `minus` name the others, in which NULL is nothing.
    The raw table keeps each as the source has it; the ltv entry holds what they make together.
    """

    column: Name
    time_zone: Zone | None = None
    plus: tuple[Name, ...] = ()
    minus: tuple[Name, ...] = ()


def _column(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


class RoleTable(Model):
    """The source table that plays a role, and which of its columns plays which part."""

    name: TableName
    columns: dict[Name, Annotated[Column, BeforeValidator(_column)]]
    where: Condition | None = None
    segments: tuple[Name, ...] = ()
    sign: Literal[1, -1] = 1
    include: tuple[Name, ...] | None = None
    exclude: tuple[Name, ...] = ()

    def source_column(self, role_column: str) -> str | None:
        column = self.columns.get(role_column)
        return column.column if column else None

    def named_columns(self) -> frozenset[str]:
        """Every source column that the configuration names."""
        named = {name for column in self.columns.values() for name in (column.column, *column.plus, *column.minus)}
        named |= set(self.segments) | set(self.include or ())
        return frozenset(named | ({self.where.column} if self.where else set()))

    def renames(self) -> dict[str, str]:
        """Source column → role column."""
        return {column.column: role_column for role_column, column in self.columns.items()}


class MirrorTable(Model):
    """A table that is copied as it is."""

    name: TableName
    include: tuple[Name, ...] | None = None
    exclude: tuple[Name, ...] = ()


def _mirror(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


Tables = dict[Literal["orders", "order_items", "charges", "refunds", "customers"], RoleTable]
ProjectId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
TopicId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Preset(Model):
    """A shop system of `schemas/shops/`, and where this shop keeps its tables, if not where the system puts them."""

    name: Name
    database: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f`.]+$")] | None = None
    prefix: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f`.]*$")] | None = None


def _preset(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _address(value: object) -> object:
    return SourceAddress.parse(value) if isinstance(value, str) else value


def _span(value: object) -> object:
    """`15m`, `2h`, `1d`, or 0, as a span of time."""
    if isinstance(value, dt.timedelta):
        return value
    match = re.fullmatch(r"(\d{1,6})\s*([mhd])?", str(value).strip())
    if isinstance(value, bool) or match is None or not (match[2] or int(match[1]) == 0):
        raise ValueError("must be a number of minutes, hours or days, such as 15m, 2h or 1d, or 0")
    return dt.timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[match[2] or "m"]: int(match[1])})


def _stale_at_most(value: dt.timedelta) -> dt.timedelta:
    if value > MAX_STALENESS:
        raise ValueError("may be 24h at most")
    return value


MAX_STALENESS = dt.timedelta(hours=24)
Staleness = Annotated[dt.timedelta, BeforeValidator(_span), AfterValidator(_stale_at_most)]
Location = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{1,40}$")]


def _warehouse(value: str) -> str:
    kind, _, rest = value.partition(":")
    if kind not in ("duckdb", "bigquery") or not rest:
        raise ValueError("must be duckdb:FILE or bigquery:PROJECT.DATASET")
    return value


class ShopConfig(Model):
    """A whole shop.yaml. Paths are absolute after `load_config`."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    preset: Annotated[Preset | None, BeforeValidator(_preset)] = None
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "shop"
    source: Annotated[SourceAddress | None, BeforeValidator(_address)] = None
    password_file: str | None = None
    tls: Mode = "preferred"
    ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    server_id: Annotated[int, Field(ge=1, le=2**32 - 1)] | None = None
    project: ProjectId | None = None
    topic: TopicId = "changes"
    subscription: TopicId = "ltv"
    checkpoint: Annotated[str, StringConstraints(min_length=1)] = "checkpoint.json"
    warehouse: Annotated[str, AfterValidator(_warehouse)] | None = None
    location: Location | None = None
    max_staleness: Staleness = dt.timedelta(minutes=15)
    partition: Literal["month", "none"] = "none"
    time_zone: Zone
    currency: Currency | None = None
    currencies: dict[str | int, Currency] | None = None
    counted: Condition | None = None
    guests: tuple[Scalar, ...] = (None, 0, "")
    tables: Tables
    segments: tuple[Name, ...] = ()
    mirror: tuple[Annotated[MirrorTable, BeforeValidator(_mirror)], ...] = ()
    max_events_per_message: Annotated[int, Field(ge=1, le=10_000)] = 500
    max_message_bytes: Annotated[int, Field(ge=1_000, le=9_000_000)] = 1_000_000
    heartbeat_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    allow_cascades: bool = False

    @functools.cached_property
    def roles_of(self) -> dict[str, list[tuple[str, RoleTable]]]:
        """Source table → the roles that it plays; one table may play several, told apart by `where`."""
        found: dict[str, list[tuple[str, RoleTable]]] = {}
        for role, table in self.tables.items():
            found.setdefault(table.name, []).append((role, table))
        return found

    @functools.cached_property
    def mirrored(self) -> dict[str, MirrorTable]:
        return {table.name: table for table in self.mirror}

    @property
    def encryption(self) -> Tls:
        """Of the connections to `source`."""
        return Tls(self.tls, self.ca, self.tls_cert, self.tls_key)

    @property
    def source_tables(self) -> list[str]:
        """Every configured source table, once, roles first."""
        return list(dict.fromkeys([*self.roles_of, *self.mirrored]))

    @functools.cached_property
    def currency_codes(self) -> dict[str, str] | None:
        """What stands in a currency column, as text → its code; None where the columns hold codes."""
        if self.currencies is None:
            return None
        return {str(value).strip(): code for value, code in self.currencies.items()}

    @functools.cached_property
    def guest_values(self) -> frozenset[str]:
        """Beside NULL, which always is one: nobody can be followed through it."""
        return frozenset(text for text in map(comparable, self.guests) if text is not None)

    def published(self, table: str, columns: list[str]) -> list[str]:
        """Which of a source table's columns leave the database, in the table's order.

        Of `customers` only the named columns are ever read; elsewhere `include` and `exclude` decide.
        """
        wanted: set[str] = set()
        for role, definition in self.roles_of.get(table, []):
            if role == "customers":
                wanted |= definition.named_columns()
            else:
                kept = set(columns) if definition.include is None else set(definition.include)
                wanted |= (kept - set(definition.exclude)) | definition.named_columns()
        if table in self.mirrored:
            mirror = self.mirrored[table]
            wanted |= (set(columns) if mirror.include is None else set(mirror.include)) - set(mirror.exclude)
        return [column for column in columns if column in wanted]

    @property
    def duckdb_file(self) -> str | None:
        """Where the warehouse is, if it is a file of DuckDB's."""
        kind, _, file = str(self.warehouse).partition(":")
        return file if kind == "duckdb" else None

    def settings(self) -> dict[str, Any]:
        """What the ltv entries depend on; a warehouse keeps it and refuses another."""
        money = {role: table for role, table in self.tables.items() if role in ("orders", "charges", "refunds")}
        return {
            "counted": self.counted.model_dump(mode="json", by_alias=True) if self.counted else None,
            "time_zone": self.time_zone,
            "currency": self.currency,
            "currencies": self.currency_codes,
            "guests": sorted(self.guest_values),
            "tables": {
                role: table.model_dump(mode="json", by_alias=True, include={"name", "columns", "where", "sign"})
                for role, table in sorted(money.items())
            },
        }

    def need(self, *fields: str) -> None:
        """Raises ConfigError naming every one of `fields` that is not set."""
        missing = [f"{field}: missing; this command needs it" for field in fields if getattr(self, field) is None]
        if missing:
            raise ConfigError(missing, hint="see the README, «Configuration»")


def read_password(config: ShopConfig) -> str:
    """The database password: MYSQL_PASSWORD, else `password_file`, else what stands in `source`, else empty.

    Raises ConfigError where the file cannot be read.
    """
    if "MYSQL_PASSWORD" in os.environ:
        return os.environ["MYSQL_PASSWORD"]
    if config.password_file:
        try:
            return Path(config.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"password_file: {config.password_file} cannot be read: {error}"]) from error
    return config.source.password.get_secret_value() if config.source else ""
