"""Every column type of both servers: extreme values, random ones, what SELECT says of them, and what mysql-replication
makes of them."""

# ruff: noqa: E501  one type a line reads better

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import struct
from typing import Any

from hypothesis import strategies as st

from tests.oracle.column_type import (
    AS_TEXT,
    CHARACTERS,
    DATETIME,
    DATETIMES,
    INSTANTS,
    LENGTHS_OF_TIME,
    MOMENTS,
    TEXT,
    TIME,
    TIMES,
    TIMESTAMP,
    TIMESTAMPS,
    WRONG,
    ColumnType,
    as_set,
    binary,
    bytes_of,
    from_hex,
    same,
    same_double,
    same_single,
    same_vector,
    singles,
    texts,
    utf8,
)


def decimal(precision: int, scale: int) -> ColumnType:
    unscaled = st.integers(-(10**precision) + 1, 10**precision - 1)
    literals = unscaled.map(
        lambda number: f"{'-' if number < 0 else ''}{point(str(abs(number)).zfill(scale + 1), scale)}"
    )
    extremes = ["0", "1", "-1", "150", "-0.05", "0.05", "'123456789.987654321'", f"-{'9' * 65}", f"{'9' * 65}", "'-0'"]
    return ColumnType(
        f"DECIMAL({precision},{scale})", extremes, literals, AS_TEXT, library=lambda value: f"{value:.{scale}f}"
    )


def point(digits: str, scale: int) -> str:
    return f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits


def library_time(value: dt.timedelta) -> str:
    seconds = abs(value) // dt.timedelta(seconds=1)
    return f"{'-' if value < dt.timedelta() else ''}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.000000"


def integers() -> dict[str, ColumnType]:
    found = {}
    for name, bits in {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}.items():
        for suffix, low in (("", -(1 << bits - 1)), (" UNSIGNED", 0)):
            high = low + (1 << bits) - 1
            extremes = [str(number) for number in (low, low + 1, 0, 1, high - 1, high)] + (["-1"] if low else [])
            found[name.lower() + suffix.lower()] = ColumnType(
                name + suffix, extremes, st.integers(low, high).map(str), library=same
            )
    return found


def times() -> dict[str, ColumnType]:
    """mysql-replication turns zero dates into NULL and zero timestamps into 1970, and adds the fraction of a negative
    TIME instead of taking it off."""
    found = {}
    for digits in range(7):
        found[f"datetime {digits}"] = ColumnType(f"DATETIME({digits})", DATETIMES, MOMENTS, DATETIME)
        found[f"timestamp {digits}"] = ColumnType(f"TIMESTAMP({digits}) NULL", TIMESTAMPS, INSTANTS, TIMESTAMP)
        found[f"time {digits}"] = ColumnType(
            f"TIME({digits})", TIMES, LENGTHS_OF_TIME, TIME, library=WRONG if digits else library_time
        )
    iso = "%Y-%m-%dT%H:%M:%S.%f"
    found["datetime not zero"] = ColumnType(
        "DATETIME(6)", DATETIMES[2:], MOMENTS, DATETIME, library=lambda value: value.strftime(iso)
    )
    found["date"] = ColumnType(
        "DATE",
        ["'0000-00-00'", "'2022-00-00'", "'2022-05-00'", "'1000-01-01'", "'9999-12-31'", "'2024-02-29'"],
        MOMENTS,
        AS_TEXT,
    )
    found["date not zero"] = ColumnType(
        "DATE", ["'1000-01-01'", "'9999-12-31'"], MOMENTS, AS_TEXT, library=dt.date.isoformat
    )
    found["year"] = ColumnType("YEAR", ["0", "1901", "2155", "2022"], st.integers(1901, 2155).map(str), "{}+0")
    return found


def numbers() -> dict[str, ColumnType]:
    found = {
        f"decimal({precision},{scale})": decimal(precision, scale)
        for precision, scale in [
            (1, 0),
            (5, 5),
            (12, 2),
            (9, 9),
            (10, 9),
            (18, 0),
            (19, 4),
            (27, 9),
            (30, 30),
            (38, 19),
            (65, 30),
            (65, 0),
        ]
    }
    extremes = [
        "0",
        "-1.5",
        "1e308",
        "5e-324",
        "0.1",
        "123456789.123456789",
        "-2.2250738585072014e-308",
        "1.7976931348623157e308",
    ]
    doubles = st.floats(allow_nan=False, allow_infinity=False).filter(
        lambda number: number or math.copysign(1, number) > 0
    )
    found["double"] = ColumnType("DOUBLE", extremes, doubles.map(repr), "{}", equal=same_double, library=same)
    extremes = [
        "0",
        "0.1",
        "-1.5",
        "3.4028234e38",
        "1e-45",
        "16777216",
        "16777217",
        "123456.7",
        "1.17549435e-38",
        "150.05",
    ]
    random = doubles.filter(lambda number: 1e-45 < abs(number) < 3.4e38).map(repr)
    found["float"] = ColumnType("FLOAT", extremes, random, "{}+0e0", equal=same_single, library=lambda value: value)
    for size in (1, 7, 8, 9, 11, 16, 33, 63, 64):
        highest = (1 << size) - 1
        found[f"bit {size}"] = ColumnType(
            f"BIT({size})", ["0", "1", str(highest), str(1 << size - 1)], st.integers(0, highest).map(str), "{}+0",
            library=lambda value: int(value, 2),
        )  # fmt: skip
    return found


def labelled() -> dict[str, ColumnType]:
    """mysql-replication gives an empty text for labels that are not UTF-8 and for the index 0, and NULL for an empty
    SET."""
    many = [f"n{number}" for number in range(300)]
    members = [f"m{number}" for number in range(64)]

    def quoted(labels: list[str]) -> str:
        return ",".join(f"'{label}'" for label in labels)

    def set_of(count: int) -> ColumnType:
        return ColumnType(
            f"SET({quoted(members[:count])})", ["''", "'m0'", f"'m0,m{count - 1}'", str((1 << count) - 1)],
            st.integers(0, (1 << count) - 1).map(str), AS_TEXT, as_set,
        )  # fmt: skip

    return {
        "enum": ColumnType("ENUM('new','päid','日本')", ["'new'", "'päid'", "3"], st.integers(1, 3).map(str), AS_TEXT, library=same),
        "enum with the empty value": ColumnType("ENUM('a','b')", ["0", "'a'"], st.integers(0, 2).map(str), AS_TEXT),
        "enum latin1": ColumnType("ENUM('ä','ö','€') CHARACTER SET latin1", ["'ä'", "3"], st.integers(1, 3).map(str), AS_TEXT),
        "enum of 300": ColumnType(f"ENUM({quoted(many)})", ["'n0'", "'n299'", "256"], st.integers(1, 300).map(str), AS_TEXT, library=same),
        "set": set_of(3),
        "set never empty": ColumnType("SET('a','b','c')", ["'a'", "7"], st.integers(1, 7).map(str), AS_TEXT, as_set, library=sorted),
        "set of 20": set_of(20),
        "set of 64": set_of(64),
        "set latin1": ColumnType("SET('ä','ö','€') CHARACTER SET latin1", ["''", "7"], st.integers(0, 7).map(str), AS_TEXT, as_set),
    }  # fmt: skip


def strings() -> dict[str, ColumnType]:
    """mysql-replication loses the zero bytes at the end of a BINARY, gives a text for an empty binary string, and stops
    at the bytes of latin1 that cp1252 lacks."""

    def library(value: Any) -> str:
        return base64.b64encode(value or b"").decode()

    return {
        "char": ColumnType("CHAR(60)", ["''", "'a  '", "'😀é'", f"'{'x' * 60}'"], texts(60), TEXT, library=same),
        "char long": ColumnType("CHAR(255)", ["''", f"'{'é' * 255}'", f"'{'😀' * 255}'"], texts(20), TEXT, library=same),
        "varchar": ColumnType("VARCHAR(63)", ["''", "'a  '", "'😀é'", f"'{'😀' * 63}'"], texts(63), TEXT, library=same),
        "varchar long": ColumnType("VARCHAR(300)", ["''", "'a  '", f"'{'é' * 300}'"], texts(70), TEXT, library=same),
        "varchar utf8mb3": ColumnType("VARCHAR(30) CHARACTER SET utf8mb3", ["''", "'日本'"], st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF), max_size=9).map(utf8), TEXT),
        "varchar latin1": ColumnType("VARCHAR(30) CHARACTER SET latin1", ["''", "'äöü€'"], st.binary(max_size=30).map(lambda raw: f"_latin1 x'{raw.hex()}'"), TEXT),
        "text": ColumnType("TEXT", ["''", "'a\\nb\\0c'", f"'{'é' * 20000}'"], texts(40), TEXT, library=same),
        "tinytext": ColumnType("TINYTEXT", ["''", f"'{'é' * 127}'"], texts(40), TEXT, library=same),
        "mediumtext": ColumnType("MEDIUMTEXT", ["''", "REPEAT('xyz', 30000)"], texts(40), TEXT, library=same),
        "longtext": ColumnType("LONGTEXT", ["'q'"], texts(40), TEXT, library=same),
        "binary": ColumnType("BINARY(5)", ["''", "x'00'", "x'0100'", "x'0102030405'", "x'2020'"], bytes_of(5), "HEX({})", from_hex),
        "binary(4)": ColumnType("BINARY(4)", ["''", "x'00'", "x'ffffffff'"], bytes_of(4), "HEX({})", from_hex),
        "binary(16)": ColumnType("BINARY(16)", ["''", "x'00ff00'"], bytes_of(16), "HEX({})", from_hex),
        "binary long": ColumnType("BINARY(255)", ["''", "x'00ff00'", f"x'{'fe' * 255}'"], bytes_of(60), "HEX({})", from_hex),
        "varbinary": ColumnType("VARBINARY(300)", ["''", "x'00'", "x'010000'", f"x'{'ff' * 300}'"], bytes_of(60), "HEX({})", from_hex, library=library),
        "varbinary(12)": ColumnType("VARBINARY(12)", ["''", "x'00'"], bytes_of(12), "HEX({})", from_hex, library=library),
        "tinyblob": ColumnType("TINYBLOB", ["''", f"x'{'ff' * 255}'"], bytes_of(60), "HEX({})", from_hex, library=library),
        "blob": ColumnType("BLOB", ["''", "x'00'", f"x'{'00ff' * 1000}'"], bytes_of(60), "HEX({})", from_hex, library=library),
        "longblob": ColumnType("LONGBLOB", ["''", "REPEAT(x'00', 70000)"], bytes_of(60), "HEX({})", from_hex, library=library),
    }  # fmt: skip


COORDINATES = st.floats(-80, 80).map(lambda number: round(number, 6))
PAIRS = st.tuples(COORDINATES, COORDINATES)
POINTS = PAIRS.map(lambda found: f"POINT({found[0]} {found[1]})")
LINES = st.lists(PAIRS, min_size=2, max_size=5).map(
    lambda found: f"LINESTRING({','.join(f'{x} {y}' for x, y in found)})"
)
SHAPES = [
    "POINT(1 2)",
    "LINESTRING(0 0,1 1.5,-2 3)",
    "POLYGON((0 0,0 5,5 5,5 0,0 0),(1 1,1 2,2 2,2 1,1 1))",
    "MULTIPOINT(1 1,2 2)",
    "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(2 2,3 3))",
]


def shapes(mariadb: bool) -> dict[str, ColumnType]:
    """mysql-replication gives SRID and WKB as they stand. MySQL swaps the axes of WKB on output, as SRID 4326 says."""
    as_stored = "HEX(ST_AsBinary({}))" if mariadb else "HEX(ST_AsBinary({}, 'axis-order=long-lat'))"

    def shape(sql: str, srid: int, extremes: list[str], random: st.SearchStrategy[str]) -> ColumnType:
        def literal(wkt: str) -> str:
            return f"ST_GeomFromText('{wkt}', {srid})"

        return ColumnType(
            sql, [literal(wkt) for wkt in extremes], random.map(literal), as_stored, from_hex,
            library=lambda value: base64.b64encode(value[4:]).decode(),
        )  # fmt: skip

    return {
        "geometry": shape("GEOMETRY", 0, SHAPES, st.one_of(POINTS, LINES)),
        "point": shape("POINT", 0, SHAPES[:1], POINTS),
        "geometry of a place": shape("GEOMETRY", 4326, SHAPES, st.one_of(POINTS, LINES)),
    }


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS, max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS, max_size=6), inner, max_size=4),
    max_leaves=8,
)


def of_mysql(version: tuple[int, ...]) -> dict[str, ColumnType]:
    """mysql-replication gives keys and strings of JSON as bytes, and fails on vectors."""
    found = {
        "json": ColumnType(
            "JSON", ["'null'", "'[]'", "'{\"b\": 1, \"a\": 1.0}'"],
            JSON_VALUES.map(lambda value: f"CAST({utf8(json.dumps(value))} AS JSON)"), "CAST({} AS CHAR CHARACTER SET utf8mb4)",
        ),
    }  # fmt: skip
    if version >= (9, 0):
        extremes = [
            binary(struct.pack("<3f", *found))
            for found in ((0.1, -1.5, 0), (3.4028235e38, 1e-45, -0.0), (1, 16777217, 1e9))
        ]
        found["vector"] = ColumnType("VECTOR(3)", extremes, singles(3), "HEX({})", bytes.fromhex, same_vector, None)
        found["vector of any size"] = ColumnType(
            "VECTOR", extremes, singles(64), "HEX({})", bytes.fromhex, same_vector, None
        )
    return found


def of_mariadb(version: tuple[int, ...]) -> dict[str, ColumnType]:
    """mysql-replication gives bytes for addresses, the compressed bytes for compressed columns."""
    address = st.binary(min_size=16, max_size=16).map(binary)
    groups = st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0xABC]), min_size=8, max_size=8)
    unique = st.uuids(version=4).map(lambda value: f"'{value}'") | st.uuids(version=1).map(lambda value: f"'{value}'")
    found = {
        "inet6": ColumnType(
            "INET6", ["'::'", "'::1'", "'1::'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'2001:db8:0:1:0:0:0:1'", f"'{'ffff:' * 7}ffff'"],
            address | groups.map(lambda found: binary(struct.pack(">8H", *found))), AS_TEXT,
        ),
        "varchar compressed": ColumnType("VARCHAR(400) COMPRESSED", ["''", "'a'", f"'{'é' * 400}'"], texts(60) | texts(4).map(lambda text: f"REPEAT({text}, 80)"), TEXT),
        "varchar compressed latin1": ColumnType("VARCHAR(254) COMPRESSED CHARACTER SET latin1", ["''", f"'{'ä' * 254}'"], st.binary(max_size=90).map(lambda raw: f"CONCAT(_latin1 x'{raw.hex()}', _latin1 x'{raw.hex()}')"), TEXT),
        "varbinary compressed": ColumnType("VARBINARY(400) COMPRESSED", ["''", "x'00'", f"x'{'00' * 400}'"], bytes_of(60), "HEX({})", from_hex),
        "text compressed": ColumnType("TEXT COMPRESSED", ["''", "'é'", "REPEAT('xyz', 10000)"], texts(4).map(lambda text: f"REPEAT({text}, 300)"), TEXT),
        "longtext compressed": ColumnType("LONGTEXT COMPRESSED", ["''", "REPEAT('xyz', 40000)"], texts(30), TEXT),
        "tinyblob compressed": ColumnType("TINYBLOB COMPRESSED", ["''", f"x'{'ff' * 254}'"], bytes_of(100), "HEX({})", from_hex),
        "blob compressed": ColumnType("BLOB COMPRESSED", ["''", "x'00'", "REPEAT(x'00ff', 20000)"], bytes_of(200), "HEX({})", from_hex),
        "json": ColumnType("JSON", ["'[]'", "'{\"b\":  1.0}'"], JSON_VALUES.map(lambda value: utf8(json.dumps(value))), TEXT, library=same),
    }  # fmt: skip
    if version >= (10, 7):
        found["uuid"] = ColumnType(
            "UUID",
            [
                "'00000000-0000-0000-0000-000000000000'",
                "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
                "'12340000-0000-4000-8000-000000000000'",
            ],
            unique,
            AS_TEXT,
        )
    if version >= (10, 10):
        found["inet4"] = ColumnType(
            "INET4",
            ["'0.0.0.0'", "'255.255.255.255'", "'1.0.0.0'"],
            st.binary(min_size=4, max_size=4).map(binary),
            AS_TEXT,
        )
    if version >= (11, 7):
        extremes = [binary(struct.pack("<3f", *numbers)) for numbers in ((0.1, -1.5, 0), (3.4028235e38, 1e-45, -0.0))]
        found["vector"] = ColumnType("VECTOR(3)", extremes, singles(3), "HEX({})", bytes.fromhex, same_vector)
        found["vector of 64"] = ColumnType("VECTOR(64)", [], singles(64), "HEX({})", bytes.fromhex, same_vector)
    return found


def column_types(mariadb: bool, version: tuple[int, ...]) -> dict[str, ColumnType]:
    own = of_mariadb(version) if mariadb else of_mysql(version)
    return {**integers(), **numbers(), **times(), **labelled(), **strings(), **shapes(mariadb), **own}


def old_times() -> dict[str, ColumnType]:
    """For a table made under `mysql56_temporal_format=OFF` on MariaDB. mysql-replication stops there."""
    return {name: kind for name, kind in times().items() if name.split()[0] in ("time", "datetime", "timestamp")}
