"""Collation id → character set → exact decoder of its bytes, as MySQL 9 and MariaDB 10.11 convert them to Unicode.

Ids are those of information_schema.COLLATIONS of both servers; every eight-bit set was compared byte by byte with the
servers, every multi-byte one sequence by sequence. Where Python's codec differs, the difference stands here; a byte the
server itself cannot convert is never replaced by something else, it raises.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from functools import lru_cache

from schemas.errors import UnsupportedColumn

BINARY = 63

_COLLATIONS = {
    "armscii8": "32 64 1056 1088",
    "ascii": "11 65 1035 1089",
    "big5": "1 84 1025 1108",
    "binary": "63",
    "cp1250": "26 34 44 66 99 1050 1090",
    "cp1251": "14 23 50-52 1074-1076",
    "cp1256": "57 67 1081 1091",
    "cp1257": "29 58-59 1082-1083",
    "cp850": "4 80 1028 1104",
    "cp852": "40 81 1064 1105",
    "cp866": "36 68 1060 1092",
    "cp932": "95-96 1119-1120",
    "dec8": "3 69 1027 1093",
    "eucjpms": "97-98 1121-1122",
    "euckr": "19 85 1043 1109",
    "gb18030": "248-250",
    "gb2312": "24 86 1048 1110",
    "gbk": "28 87 1052 1111",
    "geostd8": "92-93 1116-1117",
    "greek": "25 70 1049 1094",
    "hebrew": "16 71 1040 1095",
    "hp8": "6 72 1030 1096",
    "keybcs2": "37 73 1061 1097",
    "koi8r": "7 74 1031 1098",
    "koi8u": "22 75 1046 1099",
    "latin1": "5 8 15 31 47-49 94 1032 1071",
    "latin2": "2 9 21 27 77 1033 1101",
    "latin5": "30 78 1054 1102",
    "latin7": "20 41-42 79 1065 1103",
    "macce": "38 43 1062 1067",
    "macroman": "39 53 1063 1077",
    "sjis": "13 88 1037 1112",
    "swe7": "10 82 1034 1106",
    "tis620": "18 89 1042 1113",
    "ucs2": "35 90 128-151 159 640-642 1059 1114 1152 1174 2560-2815",
    "ujis": "12 91 1036 1115",
    "utf16": "54-55 101-124 672-674 1078-1079 1125 1147 2816-3071",
    "utf16le": "56 62 1080 1086",
    "utf32": "60-61 160-183 736-738 1084-1085 1184 1206 3072-3327",
    "utf8mb3": "33 76 83 192-215 223 576-578 1057 1107 1216 1238 2048-2303",
    "utf8mb4": "45-46 224-247 255-323 608-610 1069-1070 1248 1270 2304-2559",
}

_CODECS = {
    "ascii": "ascii",
    "big5": "big5",
    "cp1250": "cp1250",
    "cp1251": "cp1251",
    "cp1256": "cp1256",
    "cp1257": "cp1257",
    "cp850": "cp850",
    "cp852": "cp852",
    "cp866": "cp866",
    "cp932": "cp932",
    "dec8": "latin_1",
    "euckr": "cp949",
    "gb18030": "gb18030",
    "gb2312": "gb2312",
    "gbk": "gbk",
    "greek": "iso8859_7",
    "hebrew": "iso8859_8",
    "hp8": "hp_roman8",
    "koi8r": "koi8_r",
    "koi8u": "koi8_u",
    "latin1": "cp1252",
    "latin2": "iso8859_2",
    "latin5": "iso8859_9",
    "latin7": "iso8859_13",
    "macce": "mac_latin2",
    "macroman": "mac_roman",
    "sjis": "shift_jis",
    "swe7": "ascii",
    "tis620": "tis_620",
    "ucs2": "utf_16_be",
    "ujis": "euc_jp",
    "utf16": "utf_16_be",
    "utf16le": "utf_16_le",
    "utf32": "utf_32_be",
    "utf8mb3": "utf_8",
    "utf8mb4": "utf_8",
}
"""Missing: armscii8, eucjpms, geostd8, keybcs2, for which Python has no codec that gives what the server gives."""

_NONE = "\ufffe"
_PATCHES: dict[str, dict[int, str]] = {
    "cp1256": dict.fromkeys((0x8A, 0x8F, 0x98, 0x9A, 0x9F, 0xAA, 0xC0, 0xFF), _NONE),
    "cp866": {0xFC: "\u207f", 0xFD: "\xb2"},
    "dec8": {
        **dict.fromkeys((0xA4, 0xA6, 0xAC, 0xAD, 0xAE, 0xAF, 0xB4, 0xB8, 0xBE, 0xD0, 0xDE, 0xF0, 0xFE, 0xFF), _NONE),
        0xA8: "\xa4",
        0xD7: "\u0152",
        0xDD: "\u0178",
        0xF7: "\u0153",
        0xFD: "\xff",
    },
    "greek": {0xA1: "\u02bd", 0xA2: "\u02bc", **dict.fromkeys((0xA4, 0xA5, 0xAA), _NONE)},
    "hebrew": {0xAF: "\u203e"},
    "koi8u": {0x95: "\u2022"},
    "latin1": {byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)},
    "swe7": {
        0x40: "É",
        0x5B: "Ä",
        0x5C: "Ö",
        0x5D: "Å",
        0x5E: "Ü",
        0x60: "é",
        0x7B: "ä",
        0x7C: "ö",
        0x7D: "å",
        0x7E: "ü",
        0x7F: _NONE,
    },
}
"""Bytes of an eight-bit set that the server maps otherwise than Python's codec."""

_SWAPS = {
    "sjis": str.maketrans({"\uff3c": "\\"}),
    "ujis": str.maketrans({"\uff3c": "\\"}),
    "gb18030": str.maketrans(
        {"\ue7c7": "\u1e3f", "\u1e3f": "\ue7c7"} if b"\xa8\xbc".decode("gb18030") == "\ue7c7" else {}
    ),
}
"""Characters of a multi-byte set that the server maps otherwise; each stands for one sequence of bytes only."""


def _more_big5(raw: bytes, start: int) -> tuple[str, int] | None:
    """The seven characters of the ETEN extension, which the server has."""
    pair = raw[start : start + 2]
    return (pair.decode("cp950"), start + 2) if b"\xf9\xd6" <= pair <= b"\xf9\xdc" else None


def _more_ujis(raw: bytes, start: int) -> tuple[str, int] | None:
    """User-defined characters: ten rows of 94 in two bytes, ten more in three."""
    first, at = (0xE3AC, start + 1) if raw[start] == 0x8F else (0xE000, start)
    pair = raw[at : at + 2]
    if len(pair) == 2 and 0xF5 <= pair[0] <= 0xFE and 0xA1 <= pair[1] <= 0xFE:
        return chr(first + (pair[0] - 0xF5) * 94 + pair[1] - 0xA1), at + 2
    return None


def _completed(more: Callable[[bytes, int], tuple[str, int] | None]) -> Callable[[UnicodeError], tuple[str, int]]:
    """A codec error handler that knows `more` sequences and passes on the error of all others."""

    def handler(error: UnicodeError) -> tuple[str, int]:
        found = more(error.object, error.start) if isinstance(error, UnicodeDecodeError) else None
        if found is None:
            raise error
        return found

    return handler


_COMPLETED = {"big5": "binlog-big5", "ujis": "binlog-ujis"}
codecs.register_error(_COMPLETED["big5"], _completed(_more_big5))
codecs.register_error(_COMPLETED["ujis"], _completed(_more_ujis))

Decoder = Callable[[bytes], str]


@lru_cache(maxsize=1)
def _charsets() -> dict[int, str]:
    found: dict[int, str] = {}
    for charset, text in _COLLATIONS.items():
        for part in text.split():
            first, _, last = part.partition("-")
            found.update(dict.fromkeys(range(int(first), int(last or first) + 1), charset))
    return found


def charset_of_collation(collation: int) -> str | None:
    """Name of the character set, "binary" included; None for an id that neither server has."""
    return _charsets().get(collation)


def is_utf8(collation: int) -> bool:
    return charset_of_collation(collation) in ("utf8mb4", "utf8mb3")


def _decode_utf8(raw: bytes) -> str:
    return raw.decode("utf-8")


@lru_cache(maxsize=512)
def text_decoder(collation: int) -> Decoder:
    """bytes → str, strict: raises UnicodeDecodeError on bytes that are no text. Raises UnsupportedColumn by name."""
    charset = charset_of_collation(collation)
    if charset in ("utf8mb4", "utf8mb3"):
        return _decode_utf8
    codec = _CODECS.get(charset) if charset is not None else None
    if codec is None:
        name = f"character set {charset}" if charset is not None else f"unknown collation id {collation}"
        raise UnsupportedColumn(
            f"{name} cannot be decoded exactly", hint="exclude the column, or convert it to utf8mb4"
        )
    if charset in _PATCHES:
        table = "".join(_PATCHES[charset].get(byte) or _one(byte, codec) for byte in range(256))
        return lambda raw: codecs.charmap_decode(raw, "strict", table)[0]
    errors, swap = _COMPLETED.get(charset or "", "strict"), _SWAPS.get(charset or "")
    if swap:
        return lambda raw: raw.decode(codec, errors).translate(swap)
    return lambda raw: raw.decode(codec, errors)


def _one(byte: int, codec: str) -> str:
    try:
        return bytes((byte,)).decode(codec)
    except UnicodeDecodeError:
        return _NONE
