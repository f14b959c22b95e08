"""DuckDB SQL of the warehouse: pure text, from table and column names that are quoted here and nowhere else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.session import Statement
from schemas.columns import ColumnType
from schemas.tables import OWN_KEYS, OWN_TABLES, RAW


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text literal."""
    return "'" + value.replace("'", "''") + "'"


def listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def raw(table: str) -> str:
    return f"{RAW}.{quoted(table)}"


IDENTIFIERS = ("entry_id", "order_id", "first_order_id", "customer_id")
"""Columns of many different texts. DuckDB searches such for repetitions at length before it writes them: as zstd they
are written a third faster, read as fast, and a sixth of the table is added to the file."""


def create_table(table: str, columns: Mapping[str, ColumnType], key: Sequence[str]) -> Statement:
    lines = [column(name, kind.duckdb()) for name, kind in columns.items()]
    if key:
        lines.append(f"PRIMARY KEY ({listed(key)})")
    return Statement(f"CREATE TABLE IF NOT EXISTS {raw(table)} ({', '.join(lines)})")


def create_own_tables() -> list[Statement]:
    """Schema and tables that exist in every warehouse."""
    made = [Statement(f"CREATE SCHEMA IF NOT EXISTS {RAW}")]
    made += [create_table(table, columns, OWN_KEYS.get(table, ())) for table, columns in OWN_TABLES.items()]
    made += [create_view("ltv_entries", list(OWN_TABLES["ltv_entries"]), "origin")]
    return made


def column(name: str, duckdb_type: str) -> str:
    """A column as CREATE TABLE has it."""
    packed = " USING COMPRESSION zstd" if duckdb_type == "VARCHAR" and name in IDENTIFIERS else ""
    return f"{quoted(name)} {duckdb_type}{packed}"


def add_column(table: str, name: str, duckdb_type: str) -> Statement:
    return Statement(f"ALTER TABLE {raw(table)} ADD COLUMN IF NOT EXISTS {quoted(name)} {duckdb_type}")


def retype_column(table: str, name: str, duckdb_type: str) -> Statement:
    return Statement(f"ALTER TABLE {raw(table)} ALTER COLUMN {quoted(name)} TYPE {duckdb_type}")


def retype_key(table: str, columns: Mapping[str, str], key: Sequence[str]) -> list[Statement]:
    """The table anew, in the types of `columns`: DuckDB changes no type under a primary key."""
    lines = [f"{quoted(name)} {kind}" for name, kind in columns.items()]
    new = f"{table} retyped"
    return [
        Statement(f"CREATE TABLE {raw(new)} ({', '.join(lines)}, PRIMARY KEY ({listed(key)}))"),
        Statement(f"INSERT INTO {raw(new)} ({listed(columns)}) SELECT {listed(columns)} FROM {raw(table)}"),
        Statement(f"DROP TABLE {raw(table)}"),
        Statement(f"ALTER TABLE {raw(new)} RENAME TO {quoted(table)}"),
    ]


def create_view(table: str, columns: Sequence[str], origin: str | None = None) -> Statement:
    """What consumers read: a table's live rows. Its own floor counts, or that of the table named in column `origin`."""
    shown = [name for name in columns if name not in ("_deleted", "_op")]
    floor_of = f"rows.{quoted(origin)}" if origin else text(table)
    return Statement(
        f"CREATE OR REPLACE VIEW main.{quoted(table)} AS SELECT {', '.join(f'rows.{quoted(name)}' for name in shown)}"
        f' FROM {raw(table)} AS rows LEFT JOIN {raw("floors")} AS floors ON floors."table" = {floor_of}'
        f" WHERE NOT rows._deleted AND (floors._sequence IS NULL OR rows._sequence >= floors._sequence)"
    )


def create_history_view(table: str, columns: Sequence[str]) -> Statement:
    return Statement(f"CREATE OR REPLACE VIEW main.{quoted(table)} AS SELECT {listed(columns)} FROM {raw(table)}")


def upsert(table: str, columns: Sequence[str], key: Sequence[str], source: str, *, distinct: bool = False) -> Statement:
    """Rows of the input `source` into a raw table: the highest `_sequence` per key wins, of equal ones the later.

    The input is reduced to one row per key first, unless its keys are known to be `distinct`: ON CONFLICT silently
    keeps the *first* of two rows with one key in one statement. `source` has all `columns`, and `_arrival`, its order.
    """
    newest = f" QUALIFY row_number() OVER (PARTITION BY {listed(key)} ORDER BY _sequence DESC, _arrival DESC) = 1"
    assignments = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in columns if name not in key)
    return Statement(
        f"INSERT INTO {raw(table)} ({listed(columns)}) SELECT {listed(columns)} FROM {source}"
        f"{'' if distinct else newest}"
        f" ON CONFLICT ({listed(key)}) DO UPDATE SET {assignments}"
        f" WHERE excluded._sequence >= {quoted(table)}._sequence"
    )


@dataclass(frozen=True)
class Upserted:
    """The input `source` went into a raw table. `keys`: how many it has, where that is known."""

    table: str
    key: Sequence[str]
    source: str
    keys: int | None


def count_stale(upserted: Sequence[Upserted], now: dt.datetime) -> Statement:
    """How many keys of the inputs have a later version, which was there before `now`.

    What was written has `_written_at` of `now`, by which DuckDB skips the row groups that the upserts left alone.
    """
    given: dict[str, list[Upserted]] = {}
    for each in upserted:
        given.setdefault(each.table, []).append(each)
    lost = [
        f"{_count_keys(inputs)}"
        f" - (SELECT count(*) FROM {raw(table)} WHERE _written_at = TIMESTAMPTZ '{now.isoformat()}')"
        for table, inputs in given.items()
    ]
    return Statement(f"SELECT {' + '.join(lost)} AS stale")


def _count_keys(inputs: Sequence[Upserted]) -> str:
    if len(inputs) == 1 and inputs[0].keys is not None:
        return str(inputs[0].keys)
    keys = " UNION ".join(f"SELECT DISTINCT {listed(each.key)} FROM {each.source}" for each in inputs)
    return f"(SELECT count(*) FROM ({keys}))"


def append_versions(
    table: str,
    columns: Sequence[str],
    key: Sequence[str],
    source: str,
    among: str,
    *,
    distinct: bool = False,
) -> list[Statement]:
    """Versions into a history without an index, each once: what was delivered before is replaced.

    `among` (a condition on the history) lets DuckDB skip all row groups but a few; an index over every version ever
    written would grow in memory without end.
    """
    same = " AND ".join(f"history.{quoted(name)} = new.{quoted(name)}" for name in [*key, "_sequence"])
    newest = f" QUALIFY row_number() OVER (PARTITION BY {listed(key)}, _sequence ORDER BY _arrival DESC) = 1"
    return [
        Statement(f"DELETE FROM {raw(table)} AS history USING {source} AS new WHERE {among} AND {same}"),
        Statement(
            f"INSERT INTO {raw(table)} ({listed(columns)}) SELECT {listed(columns)} FROM {source}"
            f"{'' if distinct else newest}"
        ),
    ]


def insert(table: str, columns: Sequence[str], source: str, on_conflict: str = "") -> Statement:
    return Statement(
        f"INSERT INTO {raw(table)} ({listed(columns)}) SELECT {listed(columns)} FROM {source} {on_conflict}"
    )


def become(loading: str, table: str, key: Sequence[str]) -> list[Statement]:
    """The table without key `loading` is `table` from now on; rows of the old one that are newer come along.

    Trap: DuckDB 1.5 cannot replay its log after a kill where a table was first upserted into and then renamed in one
    transaction. So the names change first.
    """
    old = f"{table}.old"
    return [
        Statement(f"ALTER TABLE {raw(table)} RENAME TO {quoted(old)}"),
        Statement(f"ALTER TABLE {raw(loading)} ADD PRIMARY KEY ({listed(key)})"),
        Statement(f"ALTER TABLE {raw(loading)} RENAME TO {quoted(table)}"),
    ]


def append_all(table: str, columns: Sequence[str], source: str, constants: Mapping[str, str]) -> Statement:
    """All rows of one raw table to the end of another, with a text in the columns of `constants`."""
    values = ", ".join(text(constants[name]) if name in constants else quoted(name) for name in columns)
    return Statement(f"INSERT INTO {raw(table)} ({listed(columns)}) SELECT {values} FROM {raw(source)}")


def replace_table(table: str, columns: Mapping[str, str], query: Statement) -> list[Statement]:
    """A rolled-up table anew, of the `columns` that its query has; where they are not known, as DuckDB makes it."""
    name, create = f"main.{quoted(table)}", "CREATE OR REPLACE TABLE"
    if not columns:
        return [Statement(f"{create} {name} AS {query.sql}", query.parameters)]
    lines = ", ".join(column(name, kind) for name, kind in columns.items())
    return [Statement(f"{create} {name} ({lines})"), Statement(f"INSERT INTO {name} {query.sql}", query.parameters)]


def drop(table: str) -> Statement:
    return Statement(f"DROP TABLE IF EXISTS {raw(table)}")


RAISE_FLOORS = Statement(
    f"""INSERT INTO {raw("floors")} ("table", _sequence) SELECT "table", max(_sequence) FROM new_floors GROUP BY ALL
    ON CONFLICT ("table") DO UPDATE SET _sequence = greatest(excluded._sequence, floors._sequence)"""
)

REPLACE_LETTERS = """ON CONFLICT (message_id, line) DO UPDATE SET reason = excluded.reason, error = excluded.error,
    data = excluded.data, schema_line = excluded.schema_line, attributes = excluded.attributes,
    received_at = excluded.received_at"""
"""The letter of a row that was read before, and does not fit again."""

RAISE_FLOOR = f"""INSERT INTO {raw("floors")} ("table", _sequence) VALUES ($table, $sequence)
    ON CONFLICT ("table") DO UPDATE SET _sequence = greatest(excluded._sequence, floors._sequence)"""

BEGIN_LOAD = f"""INSERT INTO {raw("loads")} (id, "table", fingerprint, whole, sequence, started_at)
    VALUES ($id, $table, $fingerprint, $whole, $sequence, $now)"""
NOTE_CHUNK = f"""INSERT INTO {raw("load_chunks")} (load, number, lower, upper, rows, dead, sequence, written_at)
    VALUES ($load, $number, $lower, $upper, $rows, $dead, $sequence, $now)"""
LOADED = f"""SELECT coalesce(sum(rows), 0)::BIGINT AS rows, coalesce(sum(dead), 0)::BIGINT AS dead
    FROM {raw("load_chunks")} WHERE load = $id"""
END_LOAD = f"""UPDATE {raw("loads")} SET done_at = $now, rows = $rows, dead = $dead WHERE id = $id"""

FORGET_LETTERS = f"""DELETE FROM {raw("dead_letters")} WHERE starts_with(message_id, $prefix)
    AND received_at < (SELECT started_at FROM {raw("loads")} WHERE id = $id)"""
"""Of rows that were read again since, and fitted."""
LETTERS = f"""SELECT count(*) AS rows FROM {raw("dead_letters")} WHERE starts_with(message_id, $prefix)"""


def forget_overtaken(table: str, keys: Mapping[str, tuple[str, str]]) -> str:
    """FORGET_LETTERS for the rows alone that stand in a raw table by now, as of $sequence or later.

    `keys`: key column → its source column, as the letter's event has it, and its type.
    """

    def same(column: str, source: str, kind: str) -> str:
        pointer = text("/after/" + source.replace("~", "~0").replace("/", "~1"))
        return f"stored.{quoted(column)} = TRY_CAST(json_extract_string(decode(data), {pointer}) AS {kind})"

    row = " AND ".join(same(column, *of) for column, of in keys.items())
    return f"""{FORGET_LETTERS}
    AND EXISTS (SELECT 1 FROM {raw(table)} AS stored WHERE {row} AND stored._sequence >= $sequence)"""


LOADS = Statement(
    f"""SELECT loads.id, any_value(loads."table") AS "table", any_value(fingerprint) AS fingerprint,
      any_value(loads.sequence) AS sequence, any_value(whole) AS whole, bool_or(done_at IS NOT NULL) AS done,
      count(number) AS chunks, arg_max(upper::VARCHAR, number) FILTER (upper IS NOT NULL) AS upper,
      coalesce(bool_or(number IS NOT NULL AND upper IS NULL), FALSE) AS complete,
      coalesce(any_value(loads.rows), sum(chunks.rows), 0)::BIGINT AS rows,
      coalesce(any_value(loads.dead), sum(chunks.dead), 0)::BIGINT AS dead
    FROM {raw("loads")} AS loads LEFT JOIN {raw("load_chunks")} AS chunks ON chunks.load = loads.id
    GROUP BY loads.id ORDER BY any_value(started_at)"""
)


def forget_loads(table: str, but: str = "") -> list[Statement]:
    """What is known of loads of a source table: of the load `but` its chunks, of the others that are not done all, and
    of those before it that are."""
    named = {"table": table, "but": but}
    of_table = f"""SELECT id FROM {raw("loads")} WHERE "table" = $table"""
    others = "id <> $but AND (done_at IS NULL OR $but <> '')"
    return [
        Statement(f"DELETE FROM {raw('load_chunks')} WHERE load IN ({of_table})", {"table": table}),
        Statement(f"""DELETE FROM {raw("loads")} WHERE "table" = $table AND {others}""", named),
    ]


def setting(key: str, value: str) -> Statement:
    """Keeps a value of `raw.settings`."""
    return Statement(
        f"INSERT INTO {raw('settings')} VALUES ($key, $value) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        {"key": key, "value": value},
    )


COLUMNS = Statement(
    f"""SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = '{RAW}'
    ORDER BY table_name, column_index"""
)

MERGE_ARRIVALS = [
    Statement(
        f"""CREATE OR REPLACE TEMP TABLE merged AS
        WITH ordered AS (
          SELECT *, max(through) OVER (PARTITION BY run ORDER BY number, through
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM {raw("arrivals")}
        ), islands AS (
          SELECT *, sum(CASE WHEN before IS NULL OR number > before + 1 THEN 1 ELSE 0 END)
            OVER (PARTITION BY run ORDER BY number, through) AS island FROM ordered
        )
        SELECT any_value(source) AS source, run, min(number) AS number, max(through) AS through,
          max(after_run) AS after_run, max(after_number) AS after_number, max(last_sequence) AS last_sequence,
          max(committed_at) AS committed_at, max(received_at) AS received_at
        FROM islands GROUP BY run, island"""
    ),
    Statement(f"DELETE FROM {raw('arrivals')}"),
    Statement(
        f"""INSERT INTO {raw("arrivals")} SELECT * FROM merged
        WHERE received_at > $now::TIMESTAMPTZ - INTERVAL 7 DAY OR run IN (SELECT after_run FROM merged
          WHERE received_at > $now::TIMESTAMPTZ - INTERVAL 7 DAY)"""
    ),
]
"""Joins what has arrived without gaps into one row, so that the table stays small. A run of more than a week ago is
forgotten, unless one of this week follows it."""
