"""What a GoogleSQL statement asks for: definitions of tables and views, and the tables that a query reads. What
BigQuery refuses of definitions is refused here, since the emulator takes it («Data definition language»,
«TABLE_CONSTRAINTS view», «Specifying a schema», «Introduction to clustered tables»)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tests.bigquery.column_values import ARROW, CLUSTER_TYPES, KEY_TYPES, PARTITION_TYPES
from tests.bigquery.tables import Column, Layout, TableId

RESERVED = (
    "_TABLE_",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
    "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TYPE",
    "_CHANGE_TIMESTAMP",
)
MAX_COLUMN_CHARACTERS, MAX_KEY_COLUMNS, MAX_CLUSTER_COLUMNS = 300, 16, 4
WIDENINGS = {("INT64", "NUMERIC"), ("INT64", "BIGNUMERIC"), ("INT64", "FLOAT64")} | {
    ("NUMERIC", "BIGNUMERIC"),
    ("NUMERIC", "FLOAT64"),
}
"""What ALTER COLUMN SET DATA TYPE may do («ALTER COLUMN SET DATA TYPE statement»), of unparameterized types."""

_KINDS = {
    exp.DType.BIGINT: "INT64",
    exp.DType.DECIMAL: "NUMERIC",
    exp.DType.BIGDECIMAL: "BIGNUMERIC",
    exp.DType.TEXT: "STRING",
    exp.DType.BINARY: "BYTES",
    exp.DType.VARBINARY: "BYTES",
    exp.DType.DOUBLE: "FLOAT64",
    exp.DType.BOOLEAN: "BOOL",
    exp.DType.DATE: "DATE",
    exp.DType.DATETIME: "DATETIME",
    exp.DType.TIMESTAMP: "DATETIME",
    exp.DType.TIMESTAMPTZ: "TIMESTAMP",
    exp.DType.JSON: "JSON",
}
_UNITS = {"SECOND": 5, "MINUTE": 4, "HOUR": 3, "DAY": 2, "MONTH": 1, "YEAR": 0}


class InvalidStatement(Exception):
    """BigQuery refuses it: HTTP 400, or `status`, with its `reason`."""

    def __init__(self, message: str, reason: str = "invalidQuery", status: int = 400) -> None:
        super().__init__(message)
        self.reason, self.status = reason, status


@dataclass(frozen=True)
class Statement:
    """One statement, in the project and with the default dataset of its request."""

    tree: exp.Expr
    sql: str
    project: str
    dataset: str | None = None
    named: frozenset[TableId] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "named", frozenset(self.id(table) for table in self.tables()))

    def tables(self) -> Iterator[exp.Table]:
        """Those that it names, without its own WITH clauses."""
        withs = {str(cte.alias).lower() for cte in self.tree.find_all(exp.CTE)}
        for table in self.tree.find_all(exp.Table):
            if table.name and (table.db or table.name.lower() not in withs):
                yield table

    def id(self, table: exp.Table) -> TableId:
        return table.catalog or self.project, table.db or self.dataset or "", table.name

    @property
    def target(self) -> TableId:
        """Of a definition."""
        made = self.tree.this.this if isinstance(self.tree.this, exp.Schema) else self.tree.this
        if made is None:
            made = self.tree.args["tables"][0]
        return self.id(made)

    @property
    def words(self) -> set[str]:
        """Every identifier, in lower case."""
        return {str(name.this).lower() for name in self.tree.find_all(exp.Identifier)}


def parse(sql: str, project: str, dataset: str | None = None) -> Statement | None:
    """None where it is not understood, or is a script: the emulator says what is wrong with it."""
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="bigquery") if tree is not None]
    except (SqlglotError, RecursionError):
        return None
    if len(trees) != 1 or isinstance(trees[0], exp.Command):
        return None
    return Statement(trees[0], sql, project, dataset)


def created_layout(tree: exp.Create) -> Layout:
    """Of CREATE TABLE; without columns where a query makes them. Raises InvalidStatement."""
    lines = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
    columns = tuple(_column(line) for line in lines if isinstance(line, exp.ColumnDef))
    key = next((line for line in lines if isinstance(line, exp.PrimaryKey)), None)
    if key is not None and "NOT ENFORCED" not in map(str, key.args.get("options") or ()):
        raise InvalidStatement("Primary key constraints must be NOT ENFORCED")
    layout = Layout(
        columns,
        tuple(part.name for part in key.expressions) if key is not None else (),
        _partition(tree.find(exp.PartitionedByProperty)),
        tuple(part.name for part in (tree.find(exp.ClusterProperty) or exp.Tuple()).expressions),
    ).with_options(options_of(tree.args.get("properties")))
    _check_columns(columns)
    if columns:
        _check_uses(layout)
    if layout.cluster and tree.expression and tree.expression.args.get("order"):
        raise InvalidStatement("Result of ORDER BY queries cannot be clustered")
    return layout


def altered_layout(layout: Layout, tree: exp.Alter) -> Layout:
    """After ALTER TABLE. Raises InvalidStatement, also for what this server does not know."""
    for action in tree.args["actions"]:
        if isinstance(action, exp.ColumnDef):
            if layout.column(action.name) is not None:
                if action.args.get("exists"):
                    continue
                raise InvalidStatement(f"Column already exists: {action.name}")
            layout = replace(layout, columns=(*layout.columns, _column(action)))
            _check_columns(layout.columns)
        elif isinstance(action, exp.AlterColumn) and action.args.get("dtype"):
            layout = _widened(layout, action)
        elif isinstance(action, exp.AlterSet):
            layout = layout.with_options(options_of(action.expressions[0]))
        else:
            raise InvalidStatement(f"the test server knows no {type(action).__name__} in ALTER TABLE")
    return layout


def _widened(layout: Layout, action: exp.AlterColumn) -> Layout:
    column = layout.column(action.name)
    if column is None:
        raise InvalidStatement(f"Column not found: {action.name}")
    kind, _ = _type(action.args["dtype"])
    if kind != column.kind and (column.kind, kind) not in WIDENINGS:
        raise InvalidStatement(
            f"ALTER TABLE ALTER COLUMN SET DATA TYPE requires that the existing column type ({column.kind}) is"
            f" assignable to the new type ({kind})"
        )
    return replace(layout, columns=tuple(replace(one, kind=kind) if one is column else one for one in layout.columns))


def options_of(properties: exp.Expr | None) -> dict[str, tuple[str, str]]:
    """Option → (its type, its value as INFORMATION_SCHEMA.TABLE_OPTIONS shows it)."""
    found = {}
    for option in properties.find_all(exp.Property) if properties is not None else ():
        if type(option) is not exp.Property:
            continue
        value = option.args["value"]
        if isinstance(value, exp.Interval):
            parts = [0] * 6
            parts[_UNITS[value.text("unit").upper()]] = int(value.this.name)
            years, months, days, *time = parts
            found[option.name] = ("INTERVAL", f"{years}-{months} {days} {':'.join(map(str, time))}")
        else:
            found[option.name] = ("FLOAT64" if "days" in option.name else "STRING", value.sql(dialect="bigquery"))
    return found


def _column(line: exp.ColumnDef) -> Column:
    kind, repeated = _type(line.args["kind"])
    required = any(isinstance(part.kind, exp.NotNullColumnConstraint) for part in line.args.get("constraints") or ())
    return Column(line.name, kind, "REPEATED" if repeated else "REQUIRED" if required else "NULLABLE")


def _type(kind: exp.DataType) -> tuple[str, bool]:
    repeated = kind.this == exp.DType.ARRAY
    inner = kind.expressions[0] if repeated else kind
    if inner.this not in _KINDS or inner.expressions:
        raise InvalidStatement(f"the test server knows no column type {kind.sql(dialect='bigquery')}")
    return _KINDS[inner.this], repeated


def _partition(by: exp.PartitionedByProperty | None) -> tuple[str, str] | None:
    if by is None:
        return None
    column = by.this.find(exp.Column) or by.this
    unit = by.this.args.get("unit")
    return column.name, str(unit.name if unit is not None else "DAY").upper()


def _check_columns(columns: tuple[Column, ...]) -> None:
    seen = set()
    for column in columns:
        name = column.name
        if name.lower() in seen:
            raise InvalidStatement(f"Duplicate column name {name}")
        seen.add(name.lower())
        if any(name.upper().startswith(prefix) for prefix in RESERVED):
            raise InvalidStatement(
                f"Invalid field name {name!r}. Field names are not allowed to start with a reserved prefix"
            )
        if not 0 < len(name) <= MAX_COLUMN_CHARACTERS:
            raise InvalidStatement(
                f"Invalid field name {name[:40]!r}. Fields must be at most {MAX_COLUMN_CHARACTERS} characters"
            )
        assert column.kind in ARROW


def _check_uses(layout: Layout) -> None:
    if len(layout.key) > MAX_KEY_COLUMNS:
        raise InvalidStatement(f"Primary key has {len(layout.key)} columns; at most {MAX_KEY_COLUMNS} are allowed")
    if len(layout.cluster) > MAX_CLUSTER_COLUMNS:
        raise InvalidStatement(f"CLUSTER BY takes at most {MAX_CLUSTER_COLUMNS} columns")
    uses = [(name, KEY_TYPES, "Primary key column") for name in layout.key]
    uses += [(name, CLUSTER_TYPES, "CLUSTER BY expression") for name in layout.cluster]
    uses += [(layout.partition[0], PARTITION_TYPES, "PARTITION BY expression")] if layout.partition else []
    for name, kinds, use in uses:
        column = layout.column(name)
        if column is None:
            raise InvalidStatement(f"{use} names a column that is not there: {name}")
        if column.kind not in kinds or column.mode == "REPEATED":
            kind = f"ARRAY<{column.kind}>" if column.mode == "REPEATED" else column.kind
            raise InvalidStatement(f"Invalid value: {use} cannot be of type {kind}. Invalid column: {name}.")
