"""The address of the database, and what its errors mean: to try again, or what to do."""

from __future__ import annotations

import pymysql
import pytest

from schemas.errors import SourceRefused, SourceUnavailable
from schemas.source import SourceAddress, connect, source_error


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (1045, "`tls: required`"),
        (1698, "MYSQL_PASSWORD"),
        (1227, "binlog-worker check"),
        (2026, "ssl_cert"),
        (2059, "authentication plugin"),
        (3118, "locked"),
        (3159, "`tls: required`"),
        (4151, "locked"),
    ],
)
def test_refusals_say_what_to_do(number: int, hint: str) -> None:
    error = source_error(pymysql.err.OperationalError(number, "no"), "cannot connect")
    assert isinstance(error, SourceRefused)
    assert hint in (error.hint or "")
    assert error.message.startswith("cannot connect: no")


@pytest.mark.parametrize("number", [1040, 1053, 1203, 1226, 2003, 2006, 2013])
def test_what_may_pass_is_tried_again(number: int) -> None:
    error = source_error(pymysql.err.OperationalError(number, "not now"), "cannot connect")
    assert isinstance(error, SourceUnavailable)


def test_nobody_there() -> None:
    with pytest.raises(SourceUnavailable, match=r"cannot connect to repl@127\.0\.0\.1:1") as caught:
        connect(SourceAddress.parse("mysql://repl@127.0.0.1:1"), "a secret")
    assert "a secret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("http://repl@host", "must be mysql://"),
        ("mysql://host", "names no user"),
        ("mysql://repl@", "names no host"),
        ("mysql://repl@host:70000", "port"),
        ("mysql://repl@host/shop", "no database"),
        ("mysql://repl:geheim@host?tls=1", "no database and no options"),
    ],
)
def test_addresses_that_are_none(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what) as caught:
        SourceAddress.parse(text)
    assert "geheim" not in str(caught.value)


def test_password_of_an_address_is_kept_to_itself() -> None:
    address = SourceAddress.parse("mysql://re%40pl:ge%3Aheim@[::1]:3307")
    assert (address.user, address.host, address.port) == ("re@pl", "::1", 3307)
    assert address.password.get_secret_value() == "ge:heim"
    assert "heim" not in f"{address} {address!r}"
