"""GTID sets as MySQL and MariaDB write them, and what a server's standing says of delivered ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binlog_worker.position.failover import MariadbHistory, MysqlHistory, Standing
from binlog_worker.position.gtids import (
    MariadbGtids,
    MariadbState,
    MysqlGtids,
    MysqlGtidsSince,
    parse_from_gtids,
)
from binlog_worker.position.pass_over import MariadbPassOver, MysqlPassOver, parse_pass_over
from schemas.checkpoint import Place
from schemas.errors import UsageError
from schemas.log_position import parse_owned

SERVER = "f916e27d-e701-11f1-8e0d-02fc00000001"
OTHER = SERVER.replace("f9", "a1")

mysql_gtid = st.tuples(st.sampled_from([SERVER, OTHER, f"{OTHER}:shop"]), st.integers(1, 12))
mysql_gtids = st.frozensets(mysql_gtid)


def mysql(gtids: frozenset[tuple[str, int]]) -> MysqlGtids:
    found = MysqlGtids()
    for key, number in sorted(gtids, key=hash):
        found.add(f"{key}:{number}")
    return found


def test_mysql_gtid_sets() -> None:
    gtids = MysqlGtids.parse(f"{SERVER.upper()}:1-5:7,\n{OTHER}:3:tag:9-10")
    assert str(gtids) == f"{OTHER}:3,{OTHER}:tag:9-10,{SERVER}:1-5:7"
    for gtid, held in ((f"{SERVER}:5", True), (f"{SERVER}:6", False), (f"{SERVER}:7", True), (f"{OTHER}:tag:9", True)):
        assert gtids.contains(gtid) is held
    assert not gtids.contains(f"{OTHER}:9")
    gtids.add(f"{SERVER}:6")
    assert f"{SERVER}:1-7" in str(gtids)
    gtids.add(f"{SERVER}:9")
    assert str(gtids).endswith(":1-7:9"), "a gap stays a gap"
    gtids.add_run(f"{OTHER}:tag:", 11, 15)
    assert f"{OTHER}:tag:9-15" in str(gtids)
    assert not gtids.covers(MysqlGtids.parse("aaaaaaaa-0000-0000-0000-000000000000:1"))


@given(mysql_gtids, mysql_gtids)
def test_mysql_sets_are_sets(left: frozenset[tuple[str, int]], right: frozenset[tuple[str, int]]) -> None:
    assert str(mysql(left).without(mysql(right))) == str(mysql(left - right))
    assert mysql(left).covers(mysql(right)) is (right <= left)
    assert str(MysqlGtids.parse(str(mysql(left)))) == str(mysql(left))
    assert all(mysql(left).contains(f"{key}:{number}") is ((key, number) in left) for key, number in left | right)


def test_mariadb_gtid_sets() -> None:
    gtids = MariadbGtids.parse("0-1-5,7-2-3")
    gtids.add("0-2-6")
    assert str(gtids) == "0-2-6,7-2-3"
    gtids.add("0-1-2")
    assert str(gtids) == "0-1-2,7-2-3", "the last that was logged, not the highest number"
    gtids.add_run("7-2-", 4, 9)
    assert str(gtids) == "0-1-2,7-2-9"
    state = MariadbState.parse("0-2-50,0-1-101,1-1-1")
    assert state == {0: {2: 50, 1: 101}, 1: {1: 1}}
    assert (state.highest(0), state.highest(9)) == (101, 0)
    assert not state.goes_on(0, 1, 101) and state.goes_on(0, 2, 50) and not state.goes_on(9, 1, 1)
    assert MariadbState.parse("0-1-5,0-2-5").goes_on(0, 1, 5), "the number of another server is another transaction"


@pytest.mark.parametrize("text", ["yesterday", "", "1-2", f"{SERVER}", f"{SERVER}:5-3", f"{SERVER}:0", f"{SERVER}:1-"])
@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_bad_gtid_sets(text: str, flavor: str) -> None:
    with pytest.raises(UsageError):
        parse_from_gtids(text, flavor)


def test_a_mariadb_set_names_a_domain_once() -> None:
    with pytest.raises(UsageError, match="domain 0 twice"):
        parse_from_gtids("0-1-5,0-2-7", "mariadb")


def test_a_start_in_the_middle_knows_its_set_once_it_has_read_on() -> None:
    gtids = MysqlGtidsSince(MysqlGtids.parse(f"{SERVER}:1-9,{OTHER}:1-3"), Place("b.000002", 900))
    gtids.add(f"{SERVER}:8")
    assert gtids.at(Place("b.000002", 899)) == ""
    gtids.add(f"{OTHER}:7")
    assert gtids.at(Place("b.000002", 900)) == f"{OTHER}:1-3:7,{SERVER}:1-9"
    gtids.add_run(f"{SERVER}:", 10, 12)
    assert gtids.at(Place("b.000003", 4)) == f"{OTHER}:1-3:7,{SERVER}:1-12"


def test_transactions_underway() -> None:
    """As MySQL 9.7 prints them: nothing stands between two of them that have a tag."""
    assert parse_owned("") == frozenset()
    assert parse_owned(f"{SERVER}:5#18:7#99,\n{OTHER}:6#20") == {f"{SERVER}:5", f"{SERVER}:7", f"{OTHER}:6"}
    assert parse_owned(f"{SERVER}:5#18{OTHER}:tg:6#20") == {f"{SERVER}:5", f"{OTHER}:tg:6"}


@pytest.mark.parametrize(
    ("executed", "purged", "delivered", "expected"),
    [
        (f"{SERVER}:1-9", "", f"{SERVER}:1-9", Standing("", "", f"{SERVER}:1-9")),
        (f"{SERVER}:1-9,{OTHER}:1-3", f"{SERVER}:1-4", f"{SERVER}:1-5", Standing("", "", f"{SERVER}:1-5")),
        (f"{SERVER}:1-7", "", f"{SERVER}:1-9", Standing(f"{SERVER}:8-9", "", f"{SERVER}:1-7")),
        (f"{SERVER}:1-9", f"{SERVER}:1-7", f"{SERVER}:1-5", Standing("", f"{SERVER}:6-7", f"{SERVER}:1-5")),
        (f"{OTHER}:1-9", f"{OTHER}:1-2", f"{SERVER}:1", Standing(f"{SERVER}:1", f"{OTHER}:1-2", "")),
    ],
)
def test_standing_on_mysql(executed: str, purged: str, delivered: str, expected: Standing) -> None:
    history = MysqlHistory(MysqlGtids.parse(executed), MysqlGtids.parse(purged))
    assert history.standing(MysqlGtids.parse(delivered)) == expected


@pytest.mark.parametrize(
    ("logged", "before_oldest", "applied", "delivered", "expected"),
    [
        ("0-1-9", "", "", "0-1-9", Standing("", "", "0-1-9")),
        ("0-1-9,0-2-12", "0-1-9,0-2-11", "", "0-2-11", Standing("", "", "0-2-11")),
        ("0-1-7,0-2-8", "", "", "0-1-9", Standing("0-1-9 (it has up to 0-1-7)", "", "0-1-7")),
        ("0-1-8,0-2-9", "", "", "0-1-9", Standing("0-1-9 (it has up to 0-1-8)", "", "0-1-8")),
        ("0-1-9", "0-1-8", "", "0-1-5", Standing("", "what follows 0-1-5 up to number 8", "0-1-5")),
        ("0-1-9,1-1-3", "1-1-2", "", "0-1-9", Standing("", "all of domain 1", "0-1-9")),
        ("0-1-9", "", "", "0-1-9,5-1-4", Standing("5-1-4", "", "0-1-9")),
        ("", "", "0-1-9", "0-1-9", Standing("", "", "0-1-9")),
        ("0-2-10", "", "0-1-9", "0-1-9", Standing("", "", "0-1-9")),
        ("", "", "0-1-7", "0-1-9", Standing("0-1-9 (it has up to 0-1-7)", "", "0-1-7")),
        ("", "", "0-1-9", "0-1-7", Standing("", "0-1-7 to 0-1-9, applied without log_slave_updates", "0-1-7")),
        ("0-2-12", "0-2-11", "0-1-9", "0-1-9", Standing("", "what follows 0-1-9 up to number 11", "0-1-9")),
        ("0-2-3", "", "", "0-1-9", Standing("0-1-9", "", "")),
    ],
)
def test_standing_on_mariadb(logged: str, before_oldest: str, applied: str, delivered: str, expected: Standing) -> None:
    """0-2-9 is not 0-1-9: another server took the number after a failover. `applied` without being in `logged`: a
    replica that does not log what it applies."""
    history = MariadbHistory(MariadbState.parse(logged), MariadbState.parse(before_oldest), MariadbGtids.parse(applied))
    assert history.standing(MariadbGtids.parse(delivered)) == expected


def test_what_is_passed_over_survives_in_a_checkpoint() -> None:
    gtids = MysqlGtids.parse(f"{SERVER}:1-5:7,{OTHER}:tag:3")
    mysql_one = parse_pass_over(str(MysqlPassOver(gtids, Place("mysql-bin.000009", 500))), "mysql")
    assert not mysql_one.is_over(Place("mysql-bin.000009", 499))
    assert mysql_one.is_over(Place("mysql-bin.000009", 500)) and mysql_one.is_over(Place("mysql-bin.1000000", 4))
    assert mysql_one.holds(f"{OTHER}:tag:3", Place("b.000001", 4))
    assert not mysql_one.holds(f"{SERVER}:6", Place("b.000001", 4))
    places = {0: Place("b.000002", 700), 7: Place("b.000003", 4)}
    mariadb_one = parse_pass_over(str(MariadbPassOver(places)), "mariadb")
    assert str(mariadb_one) == str(MariadbPassOver(places))
    assert mariadb_one.holds("0-1-1", Place("b.000002", 699)) and not mariadb_one.holds("0-1-1", Place("b.000002", 700))
    assert mariadb_one.holds("7-1-1", Place("b.000002", 900)) and not mariadb_one.holds("9-1-1", Place("b.000001", 4))
    assert mariadb_one.is_over(Place("b.000003", 4)) and not mariadb_one.is_over(Place("b.000002", 900))
    for text in ("", "0", "0 until b", "x until b.000001:4", f"{SERVER}:1-5 until"):
        for flavor in ("mysql", "mariadb"):
            with pytest.raises(ValueError):
                parse_pass_over(text, flavor)
