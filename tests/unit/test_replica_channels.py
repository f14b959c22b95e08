"""What SHOW REPLICA STATUS says, in the words of several versions, and whether one reads from such a replica."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.batch.replica import LONGEST_LAG_S, Channel, check_channel, choose_channel, parse_channel
from schemas.checkpoint import Identity
from schemas.errors import LtvError, ReplicaLags, ReplicaStopped, SourceRefused, SourceUnavailable
from schemas.source import Server

UUID = "f916e27d-e701-11f1-8e0d-02fc00000001"
OTHER = "0a16e27d-e701-11f1-8e0d-02fc00000002"

MYSQL_8: dict[str, Any] = {
    "Source_UUID": UUID,
    "Source_Server_Id": 1,
    "Source_Log_File": "mysql-bin.000009",
    "Read_Source_Log_Pos": 5000,
    "Relay_Source_Log_File": "mysql-bin.000008",
    "Exec_Source_Log_Pos": 4242,
    "Replica_IO_Running": "Yes",
    "Replica_SQL_Running": "Yes",
    "Seconds_Behind_Source": 7,
    "SQL_Delay": 0,
    "Last_IO_Error": "",
    "Last_SQL_Error": "",
    "Replicate_Do_DB": "",
    "Replicate_Ignore_Table": "mysql.plugin,mysql.rds_monitor",
    "Channel_Name": "",
}
MYSQL_57: dict[str, Any] = {
    name.replace("Source", "Master").replace("Replica_", "Slave_"): value for name, value in MYSQL_8.items()
}
MARIADB: dict[str, Any] = {
    "Connection_name": "",
    "Master_Server_Id": 1,
    "Relay_Master_Log_File": "mysql-bin.000008",
    "Exec_Master_Log_Pos": 4242,
    "Slave_IO_Running": "Yes",
    "Slave_SQL_Running": "Yes",
    "Seconds_Behind_Master": 7,
    "SQL_Delay": 0,
    "Last_IO_Error": "",
    "Last_SQL_Error": "",
    "Using_Gtid": "Slave_Pos",
    "Gtid_Slave_Pos": "0-1-77",
}


def server(flavor: str = "mysql", **variables: str) -> Server:
    return Server(flavor, (10, 11, 19) if flavor == "mariadb" else (8, 4, 0), "", "2", variables)


def channel(**changes: Any) -> Channel:
    return parse_channel({**MYSQL_8, **changes}, server())


@pytest.mark.parametrize(
    ("status", "flavor", "source"),
    [(MYSQL_8, "mysql", UUID), (MYSQL_57, "mysql", UUID), (MARIADB, "mariadb", "1")],
    ids=["mysql 8", "mysql 5.7", "mariadb"],
)
def test_the_words_of_every_version(status: dict[str, Any], flavor: str, source: str) -> None:
    found = parse_channel(status, server(flavor))
    assert (found.source, found.file, found.position, found.lag) == (source, "mysql-bin.000008", 4242, 7)
    assert (found.receiving, found.applying, found.filters, found.domains) == ("Yes", "Yes", (), 1)
    check_channel(found, server(flavor))


def test_a_delay_that_is_meant_is_no_lag() -> None:
    assert channel(Seconds_Behind_Source=3607, SQL_Delay=3600).lag == 7
    assert channel(Seconds_Behind_Source=3590, SQL_Delay=3600).lag == 0
    assert channel(Seconds_Behind_Source=None).lag is None


def test_the_channel_of_the_tailed_server_is_chosen() -> None:
    channels = [channel(Source_UUID=OTHER, Channel_Name="a"), channel(Channel_Name="b")]
    assert choose_channel(channels, Identity(UUID, "mysql-bin"), server()).title == "channel 'b'"


@pytest.mark.parametrize(
    ("channels", "identity", "message"),
    [
        ([], Identity(UUID, "mysql-bin"), "but from nobody"),
        ([channel(Source_UUID=OTHER)], Identity(UUID, "mysql-bin"), f"but from {OTHER}"),
        ([channel(Source_UUID="")], Identity(UUID, "mysql-bin"), "one that it never reached"),
        ([channel()], Identity(UUID, "binlog"), "reads logs named mysql-bin, the tailed ones are named binlog"),
    ],
)
def test_positions_of_another_log_are_refused(channels: list[Channel], identity: Identity, message: str) -> None:
    with pytest.raises(SourceRefused, match=message) as caught:
        choose_channel(channels, identity, server())
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"Replica_SQL_Running": "No", "Last_SQL_Error": "Duplicate entry '7'"},
            ReplicaStopped,
            "the replica applies no changes: Duplicate entry '7'",
        ),
        ({"Replica_IO_Running": "No", "Channel_Name": "eu"}, ReplicaStopped, "channel 'eu' receives no changes"),
        ({"Seconds_Behind_Source": LONGEST_LAG_S + 1}, ReplicaLags, "the replica is 3601 s behind"),
        ({"Relay_Source_Log_File": "", "Exec_Source_Log_Pos": 0}, SourceUnavailable, "has applied nothing"),
    ],
)
def test_a_replica_that_is_not_up_to_date(changes: dict[str, Any], error: type[LtvError], message: str) -> None:
    with pytest.raises(error) as caught:
        check_channel(channel(**changes), server())
    assert message in caught.value.message
    assert caught.value.hint


def test_one_that_connects_again_may_be_read() -> None:
    check_channel(channel(Replica_IO_Running="Connecting", Seconds_Behind_Source=None), server())


@pytest.mark.parametrize(
    ("using", "position", "threads", "refused"),
    [
        ("Slave_Pos", "0-1-7,1-1-9", "4", True),
        ("Slave_Pos", "0-1-7,1-1-9", "0", False),
        ("Slave_Pos", "0-1-7", "4", False),
        ("No", "0-1-7,1-1-9", "4", False),
    ],
)
def test_domains_that_are_applied_out_of_order(using: str, position: str, threads: str, refused: bool) -> None:
    replica = server("mariadb", slave_parallel_mode="optimistic", slave_parallel_threads=threads)
    found = parse_channel({**MARIADB, "Using_Gtid": using, "Gtid_Slave_Pos": position}, replica)
    if not refused:
        check_channel(found, replica)
        return
    with pytest.raises(SourceRefused, match="2 GTID domains out of order"):
        check_channel(found, replica)


def test_filters_but_for_the_servers_own_tables_are_known() -> None:
    found = channel(Replicate_Do_DB="shop", Replicate_Wild_Ignore_Table="mysql.%,shop.log%")
    assert found.filters == ("do_db shop", "wild_ignore_table mysql.%,shop.log%")
