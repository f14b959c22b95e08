"""Binary numbers as text: the same on both servers and in the warehouse, whichever number it is."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binlog_worker.decoding.floats import shortest_single
from pipeline.verify.floats import number_of, source_text, warehouse_single, warehouse_text, warehouse_vector
from tests.builders import memory
from tests.conftest import Server

EDGES = [0.0, -0.0, 1.0, -1.0, 0.1, 2.0, 1e-290, 9.9e-291, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]
EDGES += [2.0**power for power in range(-1074, 1024, 7)]
EDGES += [math.nextafter(2.0**power, 0) for power in range(-1000, 1024, 13)]
SINGLES = [1e-45, 1.17549435e-38, 1.1754942e-38, 3.4028235e38, 0.1, 16777217.0, 123456.7, 2.0**-20, 2.0**25, -1.5]


def doubles(count: int) -> list[float]:
    """Every kind of bit pattern."""
    found: list[float] = []

    @settings(max_examples=count, database=None)
    @given(st.floats(allow_nan=False, allow_infinity=False))
    def collect(number: float) -> None:
        found.append(number)

    collect()
    return found


def in_warehouse(expression: str, numbers: list[Any]) -> list[Any]:
    sql = f"SELECT {expression} AS text FROM UNNEST(@numbers) AS x WITH OFFSET AS place ORDER BY place"
    with memory().query(sql, {"numbers": numbers}) as reader:
        return [row["text"] for row in reader.read_all().to_pylist()]


def test_a_double_has_one_text_everywhere(server: Server) -> None:
    numbers = EDGES + doubles(200)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE mysql.doubles (n INT PRIMARY KEY, x DOUBLE)")
        cursor.executemany("INSERT INTO mysql.doubles VALUES (%s, %s)", list(enumerate(numbers)))
        cursor.execute(f"SELECT {source_text('(x + 0e0)')} FROM mysql.doubles ORDER BY n")
        theirs = [text for (text,) in cursor.fetchall()]
    assert theirs == in_warehouse(warehouse_text("x"), numbers)
    assert [number_of(text) for text in theirs] == numbers
    assert len(set(theirs)) == len(set(numbers))


def test_the_shortest_number_of_a_single_is_that_single() -> None:
    numbers = [struct.unpack("<f", struct.pack("<f", number))[0] for number in SINGLES]
    numbers += [struct.unpack("<f", struct.pack("<I", 7_919 * 104_729 * step % 0x7F7FFFFF))[0] for step in range(2_000)]
    shortest = [shortest_single(number) for number in numbers]
    assert in_warehouse(warehouse_single("x"), shortest) == numbers


def test_a_vector_is_its_bytes() -> None:
    numbers = [struct.unpack("<f", struct.pack("<I", bits))[0] for bits in range(1, 0x7F7FFFFF, 2_000_003)]
    numbers += [-number for number in numbers] + [0.0]
    (text,) = in_warehouse(warehouse_vector("x.v"), [{"v": numbers}])
    assert text == "".join(f"{struct.pack('<f', number).hex().upper()}," for number in numbers)


@pytest.mark.parametrize("text", ["", "1.5", "e", "5e", "s0", "NULL"])
def test_what_is_no_such_text_is_no_number(text: str) -> None:
    assert number_of(text) is None
