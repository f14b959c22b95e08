"""Names of tables and columns in SQL of MySQL and MariaDB («Schema Object Names»)."""

from __future__ import annotations


def quoted(name: str) -> str:
    """An identifier in backticks."""
    return "`" + name.replace("`", "``") + "`"


def quoted_table(table: str) -> str:
    """`table`: database.table, of which the database's name has no dot."""
    return ".".join(quoted(part) for part in table.split(".", 1))
