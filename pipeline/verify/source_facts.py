"""The views that the rollup reads, as the database itself has them: `ltv_entries` and the fact views, in SQL of MySQL
and MariaDB, by the rules of `pipeline.facts`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.facts import FACTS, customer_segment_names, segment_names
from pipeline.layout import LOCAL_DATES, Layout, LayoutProblem, layouts
from pipeline.verify.conditions import condition_in_source, text_literal
from pipeline.verify.offsets import Period
from pipeline.verify.source_columns import ColumnProblem, number, product, text
from pipeline.verify.source_entries import MoneyRows, money_rows, source_entries
from schemas.catalogue import CatalogueColumn, CatalogueTable, wire_schema
from schemas.columns import ColumnType, Kind
from schemas.config import ShopConfig
from schemas.identifiers import quoted, quoted_table
from schemas.tables import ENTRY_COLUMNS


@dataclass(frozen=True)
class SourceViews:
    """View → its query in the database's SQL; `refused`: of the others, why there is none."""

    queries: Mapping[str, str]
    refused: Mapping[str, str]


def source_views(
    catalogue: Mapping[str, CatalogueTable], config: ShopConfig, collation: str, periods: Mapping[str, Period]
) -> SourceViews:
    """`catalogue`: source table → what the database says of it. `collation`: one that tells all texts apart."""
    facts = _Facts(catalogue, config, collation, money_rows(catalogue, config, collation, periods))
    makers: dict[str, Callable[[], list[str]]] = {
        "ltv_entries": lambda: [source_entries(facts.money)] if facts.money else [],
        "order_facts": facts.orders,
        "order_amounts": facts.order_amounts,
        "item_facts": facts.items,
        "charge_facts": facts.charges,
        "order_segments": facts.order_segments,
        "customer_segments": facts.customer_segments,
        "mapped_roles": lambda: [f"SELECT {facts.literal(role)} AS role" for role in config.tables],
        "mapped_segments": lambda: [f"SELECT {facts.literal(name)} AS segment" for name in segment_names(config)],
    }
    shapes = {**FACTS, "ltv_entries": ENTRY_COLUMNS}
    queries, refused = {}, {}
    for view, make in makers.items():
        try:
            queries[view] = "\nUNION ALL\n".join(make()) or _empty(shapes[view])
        except (ColumnProblem, LayoutProblem) as problem:
            refused[view] = str(problem)
    return SourceViews(queries, refused)


_CASTS = {Kind.STRING: "CHAR", Kind.DECIMAL: "DECIMAL(38,9)", Kind.DATE: "DATE", Kind.TIMESTAMP: "DATETIME(6)"}


def _empty(shape: Mapping[str, ColumnType]) -> str:
    columns = (f"CAST(NULL AS {_CASTS.get(kind.kind, 'SIGNED')}) AS {quoted(name)}" for name, kind in shape.items())
    return f"SELECT {', '.join(columns)} FROM DUAL WHERE FALSE"


@dataclass(frozen=True)
class _Facts:
    """Each method gives the parts of a view; none where its role is not mapped."""

    catalogue: Mapping[str, CatalogueTable]
    config: ShopConfig
    collation: str
    money: Mapping[str, MoneyRows]

    def literal(self, value: str) -> str:
        return f"{text_literal(value)} COLLATE {self.collation}"

    def orders(self) -> list[str]:
        if "orders" not in self.money:
            return []
        more = {name: self._optional("orders", name) for name in ("status", "country")}
        return [
            "SELECT order_id, customer_id, occurred_at AS ordered_at, day AS ordered_on, amount, currency, status,"
            f" country, is_counted FROM ({self.money['orders'].every(more)}) AS known"
        ]

    def order_amounts(self) -> list[str]:
        if "orders" not in self.money:
            return []
        rows = self.money["orders"].every({})
        return [f"SELECT order_id, day AS ordered_on, amount, currency, is_counted FROM ({rows}) AS known"]

    def charges(self) -> list[str]:
        return [
            f"SELECT id AS charge_id, '{role}' AS origin, order_id, occurred_at AS charged_at, day AS charged_on,"
            f" amount, currency FROM ({self.money[role].every({})}) AS known"
            for role in ("charges", "refunds")
            if role in self.money
        ]

    def items(self) -> list[str]:
        if "order_items" not in self.config.tables:
            return []
        quantity, amount = self._column("order_items", "quantity"), self._column("order_items", "amount")
        unit = self._column("order_items", "unit_amount")
        assert quantity is not None
        if amount is not None:
            line = number(amount)
        else:
            line = "CAST(NULL AS DECIMAL(38,9))" if unit is None else product(quantity, unit)
        return [
            self._select(
                "order_items",
                {
                    "order_id": self._text("order_items", "order_id"),
                    "product": self._text("order_items", "product"),
                    "quantity": number(quantity),
                    "amount": line,
                },
            )
        ]

    def order_segments(self) -> list[str]:
        names = dict.fromkeys(self.config.segments) if "orders" in self.config.tables else ()
        return [self._segment("orders", "order_id", self._text("orders", "id"), name, name) for name in names]

    def customer_segments(self) -> list[str]:
        if "customers" not in self.config.tables:
            return []
        layout = self._layout("customers")
        raw = {column.source: column.name for column in layout.columns}
        customer = f"TRIM({self._text('customers', 'id')})"
        return [
            self._segment("customers", "customer_id", customer, segment, raw.get(name, name))
            for name, segment in customer_segment_names(self.config).items()
        ]

    def _segment(self, role: str, key_name: str, key: str, segment: str, column: str) -> str:
        value = self._optional(role, column)
        return self._select(role, {key_name: key, "segment": self.literal(segment), "value": value})

    def _select(self, role: str, columns: Mapping[str, str]) -> str:
        """The rows of a role that are not out of its `where`."""
        definition = self.config.tables[role]  # type: ignore[index]
        table = self.catalogue[definition.name]
        listed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in columns.items())
        where = ""
        if definition.where is not None:
            column = next(one for one in table.columns if one.name == definition.where.column)
            where = f" WHERE {condition_in_source(definition.where, column)}"
        return f"SELECT {listed} FROM {quoted_table(table.name)}{where}"

    def _layout(self, role: str) -> Layout:
        """Raises LayoutProblem."""
        table = self.catalogue[self.config.tables[role].name]  # type: ignore[index]
        schema = wire_schema(table, self.config.published(table.name, table.column_names))
        return next(layout for layout in layouts(schema, self.config) if layout.role == role)

    def _column(self, role: str, name: str) -> CatalogueColumn | None:
        """The source column of a column of a raw table."""
        source = {column.name: column.source for column in self._layout(role).columns}.get(name)
        table = self.catalogue[self.config.tables[role].name]  # type: ignore[index]
        return next((column for column in table.columns if column.name == source), None)

    def _text(self, role: str, name: str) -> str:
        column = self._column(role, name)
        assert column is not None, name
        return text(column, self.collation)

    def _optional(self, role: str, name: str) -> str:
        """A column as text; NULL where the raw table has none of this name. Raises ColumnProblem."""
        if name in (*LOCAL_DATES, *LOCAL_DATES.values(), "_op"):
            raise ColumnProblem(f"{name} is made by the pipeline, and no server writes it as the warehouse does")
        column = self._column(role, name)
        return f"CAST(NULL AS CHAR) COLLATE {self.collation}" if column is None else text(column, self.collation)
