from __future__ import annotations

import dataclasses

import pytest

from binlog_worker.position.failover import Standing
from binlog_worker.position.identity import check_identity, decide_epoch
from binlog_worker.position.start import parse_place
from schemas.checkpoint import Checkpoint, Identity, Place
from schemas.errors import PurgedBinlog, SourceChanged, UsageError
from schemas.server_logs import Log, ServerLogs

SERVER = "f916e27d-e701-11f1-8e0d-02fc00000001"
LOGS = tuple(Log(f"mysql-bin.{number:06d}", 1000) for number in (7, 8, 9))
FOUND = ServerLogs(SERVER, LOGS, Place("mysql-bin.000009", 1000))
STORED = Checkpoint(Identity(SERVER, "mysql-bin", 5), 2, Place("mysql-bin.000008", 500))
TABLES = ["shop.orders", "shop.charges"]


@pytest.mark.parametrize("place", [Place("mysql-bin.000007", 4), STORED.place, Place("mysql-bin.000009", 1000)])
def test_same_source(place: Place) -> None:
    check_identity(dataclasses.replace(STORED, place=place), FOUND, TABLES)


def test_a_log_that_grew_while_it_was_asked() -> None:
    """SHOW BINARY LOGS came before SHOW MASTER STATUS."""
    found = FOUND._replace(current=Place("mysql-bin.000009", 1200))
    check_identity(dataclasses.replace(STORED, place=Place("mysql-bin.000009", 1200)), found, TABLES)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (FOUND._replace(server="another"), "the server is another"),
        (FOUND._replace(current=Place("binlog.000009", 900), logs=(Log("binlog.000009", 900),)), "named binlog"),
        (FOUND._replace(current=Place("mysql-bin.000001", 900), logs=(Log("mysql-bin.000001", 900),)), "below"),
        (FOUND._replace(current=Place("mysql-bin.000008", 499), logs=LOGS[:1]), "below"),
        (FOUND._replace(logs=(LOGS[0], Log("mysql-bin.000008", 499), LOGS[2])), "ends at 499"),
        (FOUND._replace(logs=(LOGS[0], LOGS[2])), "has no mysql-bin.000008"),
    ],
)
def test_another_source(found: ServerLogs, reason: str) -> None:
    with pytest.raises(SourceChanged, match=reason) as caught:
        check_identity(STORED, found, TABLES)
    assert caught.value.hint
    assert "--epoch 3" in caught.value.hint
    assert "shop.orders, shop.charges" in caught.value.hint
    assert caught.value.position == "mysql-bin.000008:500"


def test_another_server_that_has_everything_is_gone_on_from() -> None:
    """Only of another server: one that was reset gives the same GTIDs again."""
    found = FOUND._replace(server="another")
    stored = dataclasses.replace(STORED, gtid_set=f"{SERVER}:1-77")

    def refusal(standing: Standing | None, found: ServerLogs = found) -> SourceChanged:
        with pytest.raises(SourceChanged) as caught:
            check_identity(stored, found, TABLES, lambda: standing)
        return caught.value

    whole = refusal(Standing("", "", f"{SERVER}:1-77"))
    assert whole.hint and f"`--epoch 3 --from '{SERVER}:1-77'`" in whole.hint and "nothing is lost" in whole.hint
    assert "shop.orders" not in whole.hint, "nothing has to be loaded again"
    less = refusal(Standing(f"{SERVER}:76-77", "", f"{SERVER}:1-75"))
    assert f"lacks transactions that were delivered: {SERVER}:76-77" in less.message
    assert less.hint and f"`--epoch 3 --from '{SERVER}:1-75'`" in less.hint and "shop.orders, shop.charges" in less.hint
    purged = refusal(Standing("", f"{SERVER}:78-99", f"{SERVER}:1-77"))
    assert f"has no log any more: {SERVER}:78-99" in purged.message
    assert purged.hint and "`--epoch 3 --from earliest`" in purged.hint and "shop.orders, shop.charges" in purged.hint
    both = refusal(Standing("a" * 10_000, "b", ""))
    assert len(both.message) < 2_000
    assert both.hint and "`--epoch 3 --from earliest`" in both.hint
    unknown = refusal(None)
    assert unknown.hint and "--epoch 3 --from mysql-bin.000009:1000" in unknown.hint
    reset = refusal(Standing("", "", f"{SERVER}:1-77"), FOUND._replace(current=Place("mysql-bin.000007", 4)))
    assert reset.hint and SERVER not in reset.hint


def test_purged() -> None:
    with pytest.raises(PurgedBinlog, match=r"mysql-bin\.000006.*oldest log is mysql-bin\.000007") as caught:
        check_identity(dataclasses.replace(STORED, place=Place("mysql-bin.000006", 900)), FOUND, TABLES)
    assert caught.value.hint and "--epoch 3 --from earliest" in caught.value.hint


def test_file_numbers_compare_as_numbers() -> None:
    found = ServerLogs(
        SERVER, (Log("mysql-bin.999999", 900), Log("mysql-bin.1000000", 300)), Place("mysql-bin.1000000", 300)
    )
    check_identity(dataclasses.replace(STORED, place=Place("mysql-bin.999999", 500)), found, TABLES)


def test_without_a_checkpoint() -> None:
    assert decide_epoch(None, None, None).epoch == 1
    assert decide_epoch(None, 4, None).epoch == 4


def test_checkpoint_wins_over_from() -> None:
    assert decide_epoch(STORED, None, "now") == (2, STORED)


def test_a_higher_epoch_begins_anew() -> None:
    assert decide_epoch(STORED, 3, "now") == (3, None)
    with pytest.raises(UsageError, match="needs a place"):
        decide_epoch(STORED, 3, None)


def test_the_same_epoch_goes_on() -> None:
    assert decide_epoch(STORED, 2, "now") == (2, STORED)


def test_a_lower_epoch_is_refused() -> None:
    with pytest.raises(UsageError, match="below the checkpoint's 2"):
        decide_epoch(STORED, 1, "now")


@pytest.mark.parametrize("epoch", [0, -1, 65_536])
def test_epoch_out_of_range(epoch: int) -> None:
    with pytest.raises(UsageError):
        decide_epoch(None, epoch, None)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("mysql-bin.000003:1842", Place("mysql-bin.000003", 1842)),
        ("a.b.000003:8589934592", Place("a.b.000003", 2**33)),
        ("now", None),
        ("0-1-5", None),
        (f"{SERVER}:1-5", None),
        (f"{SERVER}:5", None),
        ("mysql-bin.000003", None),
        ("mysql-bin:4", None),
        ("mysql-bin.000003:x", None),
    ],
)
def test_places_on_the_command_line(text: str, place: Place | None) -> None:
    assert parse_place(text) == place
