"""What a statement in the binlog (a Query event) means for the configured tables. Pure.

With row format, statements are transaction control and DDL. DDL that changes stored rows without row events asks for
a reload; DML as a statement cannot be followed at all. In doubt about a configured table: never harmless. What a
statement does through a view, a trigger or a stored function is not visible in its text.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from binlog_worker.ddl.alter_table import keeps_values
from binlog_worker.ddl.sql_words import Token, split_by_commas, tokens
from binlog_worker.xa.xids import parse_xa_statement

TableName = tuple[str, str]
"""Schema and table."""


class Kind(enum.Enum):
    """RELOAD_NEEDED: rows of `tables` may have changed without row events. STOP: they cannot be followed.
    ROLLBACK_TO: the transaction's rows since a SAVEPOINT did not happen; ROLLBACK: none of them (of a transactional
    table). XA_…: the transaction `xid`, see `prepared`."""

    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    ROLLBACK_TO = "rollback to"
    HARMLESS = "harmless"
    TRUNCATE = "truncate"
    DROP = "drop"
    RELOAD_NEEDED = "reload needed"
    STOP = "stop"
    XA_START = "xa start"
    XA_END = "xa end"
    XA_COMMIT = "xa commit"
    XA_ROLLBACK = "xa rollback"


@dataclass(frozen=True, slots=True)
class Statement:
    """`tables` are configured ones, spelled as configured; `why` is for the reader of a log or an error."""

    kind: Kind
    tables: tuple[TableName, ...] = ()
    why: str = ""
    xid: str = ""


_HARMLESS = Statement(Kind.HARMLESS)
_CONTROL = {
    "BEGIN": Statement(Kind.BEGIN),
    "COMMIT": Statement(Kind.COMMIT),
    "ROLLBACK": Statement(Kind.ROLLBACK),
}
_DML = frozenset(
    ("INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "CALL", "DO", "SELECT", "VALUES", "TABLE", "(", "HANDLER")
)
_HARMLESS_FIRST = frozenset(
    [
        "ANALYZE",
        "CHECK",
        "CHANGE",
        "DEALLOCATE",
        "EXECUTE",
        "FLUSH",
        "GRANT",
        "INSTALL",
        "KILL",
        "LOCK",
        "OPTIMIZE",
        "PREPARE",
        "PURGE",
        "RESET",
        "REVOKE",
        "SET",
        "SHUTDOWN",
        "START",
        "STOP",
        "UNINSTALL",
        "UNLOCK",
        "USE",
    ]
)
_NOT_TABLES = frozenset(
    [
        "AGGREGATE",
        "DEFINER",
        "EVENT",
        "FULLTEXT",
        "FUNCTION",
        "INDEX",
        "INSTANCE",
        "LIBRARY",
        "LOGFILE",
        "PACKAGE",
        "PROCEDURE",
        "RESOURCE",
        "ROLE",
        "SEQUENCE",
        "SERVER",
        "SPATIAL",
        "SQL",
        "TABLESPACE",
        "TRIGGER",
        "UNDO",
        "UNIQUE",
        "USER",
        "VECTOR",
        "VIEW",
        "ALGORITHM",
        "LANGUAGE",
        "JSON",
        "MATERIALIZED",
    ]
)


def classify(sql: str, default_db: str, tables: Collection[TableName], *, ignore_case: bool = False) -> Statement:
    """`default_db` completes names without a schema; `ignore_case` is the server's lower_case_table_names other than
    0."""
    control = _CONTROL.get(sql)
    if control is not None:
        return control
    if sql.startswith("XA ") and (xa := parse_xa_statement(sql)) is not None:
        return Statement(Kind(f"xa {xa.verb.lower()}"), xid=xa.xid)
    return _Classifier(default_db, tables, ignore_case).classify(tokens(sql))


class _Classifier:
    """One statement's view of the configured tables."""

    def __init__(self, default_db: str, tables: Collection[TableName], ignore_case: bool) -> None:
        self._fold = str.casefold if ignore_case else str
        self._default = default_db
        self._tables = {(self._fold(schema), self._fold(table)): (schema, table) for schema, table in tables}

    def classify(self, words: list[Token]) -> Statement:
        words = _without_prefix(words)
        if not words:
            return _HARMLESS
        first, second = words[0].word, words[1].word if len(words) > 1 else ""
        control = _control(first, second, words)
        if control is not None:
            return control
        if first == "RENAME" and second == "USER":
            return _HARMLESS
        if first == "XA":
            return Statement(Kind.STOP, (), "an XA statement in another form than servers write")
        if first in _DML:
            return self._dml(first, words)
        if first == "DROP":
            return self._drop(words)
        if first == "TRUNCATE":
            return self._of(Kind.TRUNCATE, self._listed(words[2 if second == "TABLE" else 1 :]), "TRUNCATE TABLE")
        if first == "CREATE":
            return self._create(words)
        if first == "RENAME" and second in ("TABLE", "TABLES"):
            return self._of(Kind.RELOAD_NEEDED, self._mentioned(words[2:]), "RENAME TABLE moves rows to another name")
        if first == "ALTER":
            return self._alter(words)
        if first in _HARMLESS_FIRST:
            return _HARMLESS
        return self._of(Kind.RELOAD_NEEDED, self._mentioned(words[1:]), f"statement {first} {second}".rstrip())

    def _of(self, kind: Kind, tables: list[TableName], why: str) -> Statement:
        return Statement(kind, tuple(dict.fromkeys(tables)), why) if tables else _HARMLESS

    def _configured(self, schema: str, table: str) -> TableName | None:
        return self._tables.get((self._fold(schema), self._fold(table)))

    def _name(self, words: list[Token]) -> tuple[TableName | None, int]:
        """The configured table named at the start of `words`, and how many of them the name takes."""
        if not words or words[0].name is None:
            return None, 1
        if len(words) > 2 and words[1].word == "." and words[2].name is not None:
            return self._configured(words[0].name, words[2].name), 3
        return self._configured(self._default, words[0].name), 1

    def _listed(self, words: list[Token]) -> list[TableName]:
        """Configured ones of a comma-separated list of tables, each perhaps followed by more words."""
        found = (self._name(part)[0] for part in split_by_commas(words))
        return [table for table in found if table is not None]

    def _mentioned(self, words: list[Token]) -> list[TableName]:
        """Configured tables that any name in `words` may mean, also as `table.column`."""
        found = []
        for index, token in enumerate(words):
            if token.name is None:
                continue
            table, size = self._name(words[index : index + 3])
            found.append(table)
            if size == 3:
                found.append(self._configured(self._default, token.name))
            elif index >= 2 and words[index - 1].word == "." and words[index - 2].name is not None:
                found.pop()
        return [table for table in found if table is not None]

    def _dml(self, first: str, words: list[Token]) -> Statement:
        """INSERT, REPLACE and LOAD DATA change the table they name first; of the others every table counts."""
        if first in ("INSERT", "REPLACE"):
            start = 1
            while start < len(words) and words[start].word in (
                "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "IGNORE", "INTO"
            ):  # fmt: skip
                start += 1
            tables = self._listed(words[start : start + 3])
        elif first == "LOAD":
            starts = [index for index, token in enumerate(words) if token.word in ("TABLE", "INTO")]
            tables = [table for index in starts for table in self._listed(words[index + 1 : index + 4])]
        else:
            tables = self._mentioned(words[1:])
        return self._of(
            Kind.STOP, tables, f"{first} was logged as a statement: binlog_format is not ROW in that session"
        )

    def _drop(self, words: list[Token]) -> Statement:
        index = 1
        if words[index : index + 1] and words[index].word == "TEMPORARY":
            return _HARMLESS
        kind = words[index].word if len(words) > index else ""
        index = _behind_if_exists(words, index + 1)
        if kind in ("TABLE", "TABLES"):
            return self._of(Kind.DROP, self._listed(words[index:]), "DROP TABLE")
        if kind in ("DATABASE", "SCHEMA"):
            name = words[index].name if index < len(words) else None
            gone = [table for table in self._tables.values() if name is not None and self._same(table[0], name)]
            return self._of(Kind.DROP, gone, "DROP DATABASE")
        if kind in _NOT_TABLES or kind == "PREPARE":
            return _HARMLESS
        return self._of(Kind.RELOAD_NEEDED, self._mentioned(words[1:]), f"statement DROP {kind}")

    def _same(self, one: str, other: str) -> bool:
        return self._fold(one) == self._fold(other)

    def _create(self, words: list[Token]) -> Statement:
        """A new table is empty, and its rows follow. OR REPLACE drops it first; AS SELECT in the text means no rows
        follow."""
        index, replace = 1, False
        if [token.word for token in words[1:3]] == ["OR", "REPLACE"]:
            index, replace = 3, True
        kind = words[index].word if index < len(words) else ""
        if kind in ("DATABASE", "SCHEMA") and replace:
            return self._drop([words[0], *words[index:]])
        if kind != "TABLE":
            return _HARMLESS
        start = _behind_if_exists(words, index + 1)
        table, size = self._name(words[start:])
        if table is None:
            return _HARMLESS
        rest = [token.word for token in words[start + size :]]
        pairs = set(zip(rest, [*rest[1:], ""], strict=False))
        if "SELECT" in rest or pairs & {("AS", "TABLE"), ("AS", "VALUES"), ("AS", "WITH"), ("AS", "(")} - _generated(
            rest
        ):
            why = "CREATE TABLE … SELECT was logged as a statement: binlog_format is not ROW in that session"
            return Statement(Kind.STOP, (table,), why)
        return Statement(Kind.DROP, (table,), "CREATE OR REPLACE TABLE") if replace else _HARMLESS

    def _alter(self, words: list[Token]) -> Statement:
        index, ignore = 1, False
        while index < len(words) and words[index].word in ("ONLINE", "OFFLINE", "IGNORE"):
            ignore = ignore or words[index].word == "IGNORE"
            index += 1
        if index >= len(words) or words[index].word != "TABLE":
            return _HARMLESS
        index = _behind_if_exists(words, index + 1)
        table, size = self._name(words[index:])
        actions = split_by_commas(words[index + size :])
        tables = [table] if table is not None and (ignore or not all(map(keeps_values, actions))) else []
        for action in actions:
            tables += self._other_tables(action)
        text = ", ".join(" ".join(token.word or token.name or "'…'" for token in action[:4]) for action in actions)
        return self._of(Kind.RELOAD_NEEDED, tables, f"ALTER TABLE {text[:120]}")

    def _other_tables(self, action: list[Token]) -> list[TableName]:
        """Configured tables that an action fills or empties besides its own: a new name, a partition's other side."""
        words = [token.word for token in action]
        if words[0] == "RENAME" and words[1:2] not in (["INDEX"], ["KEY"], ["COLUMN"]):
            return self._listed(action[2 if words[1:2] in (["TO"], ["AS"]) else 1 :])
        if words[0] in ("EXCHANGE", "CONVERT") and "TABLE" in words:
            return self._listed(action[words.index("TABLE") + 1 :])
        return []


def _generated(words: list[str]) -> set[tuple[str, str]]:
    """`AS (` is a generated column inside the parentheses of the definition, a SELECT only behind them."""
    depth, inside, outside = 0, False, False
    for index, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if word == "AS" and words[index + 1 : index + 2] == ["("]:
            inside, outside = inside or depth > 0, outside or depth == 0
    return {("AS", "(")} if inside and not outside else set()


def _without_prefix(words: list[Token]) -> list[Token]:
    """Without MariaDB's SET STATEMENT variable=value, … FOR, and without a semicolon at the end."""
    while words and words[-1].word == ";":
        words.pop()
    start = depth = 0
    for index, token in enumerate(words):
        if index == start and [found.word for found in words[start : start + 2]] != ["SET", "STATEMENT"]:
            return words[start:]
        depth += (token.word == "(") - (token.word == ")")
        if token.word == "FOR" and depth == 0:
            start = index + 1
    return words[start:]


def _control(first: str, second: str, words: list[Token]) -> Statement | None:
    if first == "START" and second == "TRANSACTION":
        return Statement(Kind.BEGIN)
    if first == "ROLLBACK" and "TO" in (token.word for token in words[1:3]):
        return Statement(Kind.ROLLBACK_TO)
    if first in _CONTROL:
        return _CONTROL[first]
    if first == "SAVEPOINT" or (first == "RELEASE" and second == "SAVEPOINT"):
        return Statement(Kind.SAVEPOINT)
    return None


def _behind_if_exists(words: list[Token], index: int) -> int:
    """Position behind IF EXISTS or IF NOT EXISTS, if it stands at `index`."""
    if index < len(words) and words[index].word == "IF":
        while index < len(words) and words[index].word in ("IF", "NOT", "EXISTS"):
            index += 1
    return index
