"""ALTER TABLE: which actions leave every stored value as it is. Pure.

A value that changes without a row event makes the warehouse wrong, so only the forms listed here are harmless;
whatever else is, or is not understood, asks for a reload. Syntax: MySQL manual and MariaDB knowledge base, "ALTER
TABLE".
"""

from __future__ import annotations

from binlog_worker.ddl.sql_words import Token

_INDEX_WORDS = frozenset(("INDEX", "KEY", "FULLTEXT", "SPATIAL", "UNIQUE", "FOREIGN", "CHECK", "VECTOR"))
_DROPPABLE = frozenset(("INDEX", "KEY", "CONSTRAINT", "FOREIGN", "CHECK"))
_OPTIONS = frozenset([
    "ALGORITHM", "AUTO_INCREMENT", "AUTOEXTEND_SIZE", "AVG_ROW_LENGTH", "CHARACTER", "CHARSET", "CHECKSUM",
    "COLLATE", "COMMENT", "COMPRESSION", "CONNECTION", "DATA", "DEFAULT", "DELAY_KEY_WRITE", "DISABLE",
    "ENABLE", "ENCRYPTION", "FORCE", "INSERT_METHOD", "KEY_BLOCK_SIZE", "LOCK", "MAX_ROWS", "MIN_ROWS",
    "NOWAIT", "ORDER", "PACK_KEYS", "PAGE_CHECKSUM", "PAGE_COMPRESSED", "PAGE_COMPRESSION_LEVEL", "ROW_FORMAT",
    "SECONDARY_LOAD", "SECONDARY_UNLOAD", "STATS_AUTO_RECALC", "STATS_PERSISTENT", "STATS_SAMPLE_PAGES",
    "TABLE_CHECKSUM", "TABLESPACE", "TRANSACTIONAL", "WAIT",
])  # fmt: skip
_ENGINES = frozenset(("INNODB", "MYISAM", "ARIA", "ROCKSDB", "XTRADB", "TOKUDB"))
_KEEPING_PARTITIONS = frozenset(("ADD", "ANALYZE", "CHECK", "COALESCE", "OPTIMIZE", "REBUILD", "REORGANIZE"))
_TYPES = frozenset([
    "BIGINT", "BINARY", "BIT", "BLOB", "BOOL", "BOOLEAN", "CHAR", "DATE", "DATETIME", "DEC", "DECIMAL",
    "DOUBLE", "ENUM", "FIXED", "FLOAT", "GEOMETRY", "INET4", "INET6", "INT", "INTEGER", "JSON", "LONGBLOB",
    "LONGTEXT", "MEDIUMBLOB", "MEDIUMINT", "MEDIUMTEXT", "NUMERIC", "POINT", "POLYGON", "PRECISION", "REAL",
    "SET", "SMALLINT", "TEXT", "TIME", "TINYBLOB", "TINYINT", "TINYTEXT", "UUID", "VARBINARY", "VARCHAR",
    "YEAR",
])  # fmt: skip
_COLUMN_WORDS = _TYPES | frozenset([
    "CHARACTER", "FIRST", "INVISIBLE", "NULL", "SIGNED", "UNIQUE", "UNSIGNED", "VISIBLE", "ZEROFILL",
])  # fmt: skip
_BEFORE_A_NAME = frozenset(("AFTER", "COLLATE", "CHARSET"))


def keeps_values(action: list[Token]) -> bool:
    """Whether one action of an ALTER TABLE (the text between two commas) changes no stored value and no key."""
    words = [token.word for token in action]
    first, second = words[0], (*words, "")[1]
    if second == "PARTITION":
        return first in _KEEPING_PARTITIONS
    if first == "ADD":
        return _adds_no_value(action[1:], words[1:])
    if first == "DROP":
        return second in _DROPPABLE and len(words) > 2
    if first == "RENAME":
        return second in ("INDEX", "KEY")
    if first == "ALTER":
        return _alters_default(words[1:])
    if first == "ENGINE":
        return words[-1] in _ENGINES
    if first in ("PARTITION", "REMOVE"):
        return second in ("BY", "PARTITIONING")
    return first in _OPTIONS


def _adds_no_value(action: list[Token], words: list[str]) -> bool:
    """ADD of an index or a constraint other than the primary key, or of a column that is NULL in every stored row."""
    if words[:1] == ["CONSTRAINT"]:
        return "PRIMARY" not in words[:3] and any(word in _INDEX_WORDS for word in words[1:3])
    if words and words[0] in _INDEX_WORDS:
        return True
    if words[:1] == ["COLUMN"]:
        action, words = action[1:], words[1:]
    if words[:3] == ["IF", "NOT", "EXISTS"]:
        action, words = action[3:], words[3:]
    return len(action) >= 2 and action[0].name is not None and _null_everywhere(words[1:])


def _null_everywhere(words: list[str]) -> bool:
    """Whether a column definition (behind the name) allows NULL and names no other default. A TIMESTAMP may have one
    unsaid."""
    depth, index = 0, 0
    if words[0] not in _TYPES and not (words[0] == "TIMESTAMP" and "NULL" in words and "NOT" not in words):
        return False
    while index < len(words):
        word = words[index]
        depth += (word == "(") - (word == ")")
        if depth or word in ("(", ")"):
            pass
        elif (
            (word == "DEFAULT" and words[index + 1 : index + 2] == ["NULL"])
            or word in _BEFORE_A_NAME
            or word == "COMMENT"
            or (word == "SET" and words[index - 1] == "CHARACTER")
        ):
            index += 1
        elif word == "KEY" and words[index - 1] == "UNIQUE":
            pass
        elif word not in _COLUMN_WORDS and not (word == "TIMESTAMP" and index == 0):
            return False
        index += 1
    return True


def _alters_default(words: list[str]) -> bool:
    """ALTER [COLUMN] name SET/DROP DEFAULT or SET VISIBLE, ALTER INDEX, ALTER CHECK, ALTER CONSTRAINT."""
    if len(words) > 2 and words[0] in ("INDEX", "KEY", "CHECK", "CONSTRAINT"):
        return True
    rest = words[2:4] if words[:1] == ["COLUMN"] else words[1:3]
    return rest in (["SET", "DEFAULT"], ["DROP", "DEFAULT"], ["SET", "VISIBLE"], ["SET", "INVISIBLE"])
