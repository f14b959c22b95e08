"""Columns that look alike in MariaDB's log have their type from the catalogue, or none."""

from __future__ import annotations

import pytest

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.rows import Tables
from binlog_worker.decoding.table_map import Column, TableLayout
from binlog_worker.decoding.true_types import TrueTypes, true_types, with_true_types
from binlog_worker.decoding.values import value_decoder, value_skipper
from binlog_worker.log.events import RawEvent
from schemas.catalogue import CatalogueColumn, CatalogueTable
from schemas.errors import UnsupportedColumn
from schemas.source import Server

BINARY = 63


def layout(**columns: Column) -> TableLayout:
    return TableLayout("shop", "t", tuple(columns.values()), (0,), False, True)


def fixed(name: str, size: int = 16) -> Column:
    return Column(name, t.STRING, size, collation=BINARY)


def varying(name: str, size: int) -> Column:
    return Column(name, t.VARCHAR, size, collation=BINARY)


def table(**types: str) -> CatalogueTable:
    """Name → declared type."""
    columns = tuple(
        CatalogueColumn(name, full.split("(")[0].split(" ")[0], full, True, None, "") for name, full in types.items()
    )
    return CatalogueTable("shop.t", "BASE TABLE", "InnoDB", columns, ("id",), False)


def logged(*columns: Column) -> TableLayout:
    return layout(id=Column("id", t.LONG, unsigned=False), **{column.name: column for column in columns})


def types(found: TableLayout) -> list[str]:
    return ["?" if column.kind == t.LOOKALIKE else column.type for column in found.columns[1:]]


@pytest.mark.parametrize(
    ("column", "declared", "kind", "size"),
    [
        (fixed("x"), "uuid", t.UUID, 16),
        (fixed("x"), "inet6", t.INET6, 16),
        (fixed("x", 4), "inet4", t.INET4, 4),
        (fixed("x"), "binary(16)", t.STRING, 16),
        (fixed("x", 4), "binary(4)", t.STRING, 4),
        (varying("x", 12), "vector(3)", t.MARIADB_VECTOR, 12),
        (varying("x", 12), "varbinary(12)", t.VARCHAR, 12),
        (Column("x", t.OLD_TIME), "time /* mariadb-5.3 */", t.TIME_53, 0),
        (Column("x", t.OLD_DATETIME), "datetime(6) /* mariadb-5.3 */", t.DATETIME_53, 6),
        (Column("x", t.OLD_TIMESTAMP), "timestamp(3) /* mariadb-5.3 */", t.TIMESTAMP_53, 3),
        (fixed("X"), "uuid", t.UUID, 16),
    ],
)
def test_a_column_has_the_type_of_the_catalogue(column: Column, declared: str, kind: int, size: int) -> None:
    found = with_true_types(logged(column), table(id="int(11)", x=declared)).columns[1]
    assert (found.kind, found.a, found.name) == (kind, size, column.name)
    value_decoder(found)


@pytest.mark.parametrize(
    ("columns", "today", "expected"),
    [
        # others were added, dropped or changed: nothing of this shape
        ([fixed("u")], {"id": "int", "more": "int", "u": "uuid"}, ["uuid"]),
        ([fixed("u"), Column("n", t.LONG, unsigned=False)], {"id": "int", "u": "uuid"}, ["uuid", "int"]),
        ([fixed("u"), fixed("i", 4)], {"id": "bigint", "u": "uuid", "i": "inet4"}, ["uuid", "inet4"]),
        # look-alikes in another order
        ([fixed("u"), fixed("b")], {"id": "int", "b": "binary(16)", "u": "uuid"}, ["uuid", "binary"]),
        # one more of the same type: whichever was renamed, it is a UUID
        ([fixed("u")], {"id": "int", "u": "uuid", "v": "uuid"}, ["uuid"]),
        # one more of another type: u may have been today's b
        ([fixed("u")], {"id": "int", "u": "uuid", "b": "binary(16)"}, ["?"]),
        # gone, renamed, or of another size today
        ([fixed("u")], {"id": "int"}, ["?"]),
        ([fixed("u")], {"id": "int", "v": "uuid"}, ["?"]),
        ([fixed("u")], {"id": "int", "u": "binary(17)"}, ["?"]),
        ([fixed("u")], {"id": "int", "u": "inet4"}, ["?"]),
        ([fixed("u"), fixed("v")], {"id": "int", "u": "uuid"}, ["?", "?"]),
        ([varying("e", 12)], {"id": "int", "e": "vector(4)"}, ["?"]),
        ([varying("e", 12)], {"id": "int", "e": "varbinary(12) /*M!100301 COMPRESSED*/"}, ["?"]),
        # one shape does not touch another
        ([fixed("u"), fixed("i", 4)], {"id": "int", "i": "inet4"}, ["?", "inet4"]),
    ],
)
def test_an_altered_table(columns: list[Column], today: dict[str, str], expected: list[str]) -> None:
    assert types(with_true_types(logged(*columns), table(**today))) == expected


def test_a_look_alike_is_refused_by_name_unless_it_is_left_out() -> None:
    column = with_true_types(logged(fixed("u")), None).columns[1]
    with pytest.raises(UnsupportedColumn, match=r"column u.*UUID") as raised:
        value_decoder(column)
    assert "exclude" in (raised.value.hint or "")
    assert value_skipper(column)(b"\x02ab", 0) == (None, 3)


def test_old_times_cannot_even_be_passed_over() -> None:
    column = with_true_types(logged(Column("d", t.OLD_DATETIME)), table(id="int", d="datetime(3)")).columns[1]
    for make in (value_decoder, value_skipper):
        with pytest.raises(UnsupportedColumn, match=r"column d.*before MySQL 5\.6"):
            make(column)


def test_what_the_log_says_is_not_touched() -> None:
    plain = logged(
        Column("c", t.STRING, 16, collation=45),
        fixed("b", 17),
        varying("v", 13),
        varying("e", 0),
        Column("n", t.BLOB, 2),
    )
    assert with_true_types(plain, None) is plain


def test_only_mariadb_hides_types_and_vectors_are_new() -> None:
    log = logged(fixed("u"), varying("e", 12))
    today = {"shop.t": table(id="int", u="uuid", e="vector(3)")}
    found = {}
    for flavor, version in (("mysql", (9, 7)), ("mariadb", (10, 11, 19)), ("mariadb", (11, 8))):
        of_run = true_types(Server(flavor, version, "", "", {}), today, today.get)
        found[flavor, version] = None if of_run is None else types(of_run.refined(log))
    assert list(found.values()) == [None, ["uuid", "varbinary"], ["uuid", "vector"]]


class Catalogue:
    """What the server has now, and how often it was asked."""

    def __init__(self, now: CatalogueTable | None) -> None:
        self.now, self.asked = now, 0

    def read(self, name: str) -> CatalogueTable | None:
        assert name == "shop.t"
        self.asked += 1
        return self.now


def test_the_catalogue_is_read_again_where_it_does_not_tell() -> None:
    catalogue = Catalogue(table(id="int", u="uuid", v="inet6"))
    known = TrueTypes(Server("mariadb", (10, 11), "", "", {}), {"shop.t": table(id="int", u="uuid")}, catalogue.read)
    assert types(known.refined(logged(fixed("u")))) == ["uuid"]
    assert types(known.refined(logged(Column("n", t.LONG, unsigned=False)))) == ["int"]
    assert catalogue.asked == 0
    assert types(known.refined(logged(fixed("u"), fixed("v")))) == ["uuid", "inet6"]
    assert types(known.refined(logged(fixed("u"), fixed("v")))) == ["uuid", "inet6"]
    assert catalogue.asked == 1
    catalogue.now = table(id="int", u="uuid")
    assert types(known.refined(logged(fixed("u"), fixed("w")))) == ["?", "?"]
    assert catalogue.asked == 2


def test_an_alter_table_in_the_log_makes_what_is_known_old() -> None:
    """The same bytes in the log, another type from here on."""
    catalogue = Catalogue(table(id="int", a="binary(16)", b="uuid"))
    of_start = {"shop.t": table(id="int", a="uuid", b="binary(16)")}
    known = TrueTypes(Server("mariadb", (10, 11), "", "", {}), of_start, catalogue.read)
    log = logged(fixed("a"), fixed("b"))
    assert types(known.refined(log)) == ["uuid", "binary"]
    known.altered()
    assert types(known.refined(log)) == ["binary", "uuid"]
    assert types(known.refined(log)) == ["binary", "uuid"]
    assert catalogue.asked == 1


def test_a_table_that_is_not_wanted_is_not_asked_for() -> None:
    asked: list[str] = []

    def refine(found: TableLayout) -> TableLayout:
        asked.append(found.name)
        return found

    body = bytes(6) + b"\1\0\1a\0\1b\0\1\3\0\xff"
    for keep in (None, [0]):
        Tables(lambda found, keep=keep: keep, mariadb=True, refine=refine).remember(
            RawEvent(19, 0, 1, 0, "bin.1", 4, 40, bytes(19) + body + b"\1\1\x80")
        )
    assert asked == ["a.b"]
