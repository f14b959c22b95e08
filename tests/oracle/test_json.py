"""MySQL's JSON is the text that the server prints, byte for byte. (MariaDB's is a LONGTEXT.)"""

# ruff: noqa: E501  one document a line reads better

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.oracle.column_type import utf8
from tests.oracle.column_types import JSON_VALUES
from tests.oracle.source import Source

DOCUMENTS = [
    "'null'", "'true'", "'[]'", "'{}'", "'\"\"'", "'0'", "'-1'", "'65535'", "'65536'", "'-32769'", "'4294967296'",
    "'18446744073709551615'", "'-9223372036854775808'", "'1.0'", "'1e15'", "'1e14'", "'123456789012345.6'", "'1e-15'", "'1e-14'",
    "'1.5e-16'", "'1e100'", "'-0.0'", "'0.1'", "'1.7976931348623157e308'", "'5e-324'", "'123456789012345680000'", "'9007199254740993.0'",
    "'{\"b\": 1, \"aa\": [1, {\"x\": null}], \"a\": \"é😀\"}'", "'{\"bb\": 1, \"a\": 2, \"\": 3}'",
    "JSON_QUOTE('a\"b\\\\c/\\b\\f\\n\\r\\t')", "JSON_OBJECT('k', CONCAT('x', CHAR(1), CHAR(31), CHAR(127)))",
    "JSON_ARRAY(CAST('2015-01-15 23:24:25.12' AS DATETIME(3)), CAST('2015-01-15' AS DATE), CAST('-23:24:25' AS TIME), TIMESTAMP'2015-01-15 23:24:25')",
    "JSON_ARRAY(CAST('-838:59:59' AS TIME(6)), CAST('0001-01-01' AS DATE))",
    "JSON_ARRAY(CAST('-12.340' AS DECIMAL(10,3)), CAST('0' AS DECIMAL(65,30)), CAST(99999999999999999999 AS DECIMAL(20,0)))",
    "JSON_ARRAY(CAST('' AS BINARY), x'00ff', CAST(REPEAT('a', 57) AS BINARY), CAST(REPEAT('a', 58) AS BINARY), CAST(REPEAT('b', 300) AS BINARY))",
    "JSON_ARRAY(CAST(5 AS YEAR), b'101', 1 = 1, CAST(1 AS UNSIGNED))",
    "JSON_OBJECT('big', REPEAT('x', 70000), 'z', 1, 'n', 100000)", "JSON_ARRAY(REPEAT('x', 70000), 1, -100000, 4000000000, true)",
    "CAST(ST_GeomFromText('POINT(1 2)') AS JSON)", "CONCAT(REPEAT('[', 99), REPEAT(']', 99))",
]  # fmt: skip


def documents(count: int) -> list[str]:
    """Random documents, and arrays of doubles of every size."""
    found: list[str] = []
    anywhere = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
    doubles = st.lists(anywhere.filter(math.isfinite), max_size=40)

    @settings(max_examples=count, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(JSON_VALUES, doubles)
    def collect(value: object, numbers: list[float]) -> None:
        found.extend(utf8(json.dumps(document)) for document in (value, numbers))

    collect()
    return found


@pytest.mark.mysql
def test_json_is_the_text_that_mysql_prints(mysql_source: Source) -> None:
    source = mysql_source
    source.run("CREATE TABLE v (id INT PRIMARY KEY, v JSON)")
    start = source.position()
    every = [*DOCUMENTS, *documents(400)]
    source.insert("v", [f"({number}, {document})" for number, document in enumerate(every)])
    expected = dict(source.run("SELECT id, CAST(v AS CHAR CHARACTER SET utf8mb4) FROM v"))
    got = dict(source.inserted(start))
    assert len(got) == len(every)
    for number, document in enumerate(every):
        assert got[number] == expected[number], document
