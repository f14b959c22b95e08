"""Character set → exact decoder of its bytes, as MySQL 9 and MariaDB 10.11 and 11 convert them to Unicode.

Every set was compared with the servers, byte by byte and pair by pair. Where Python's codec differs, the difference
stands here; where it has none, the whole table. What the server itself cannot convert is never replaced by something
else: it raises.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from functools import lru_cache

Decoder = Callable[[bytes], str]
"""Raises ValueError on bytes that are no text."""

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
    "ujis": "euc_jp",
    "utf16": "utf_16_be",
    "utf16le": "utf_16_le",
    "utf32": "utf_32_be",
}

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

_TABLES = {
    "armscii8": "".join(map(chr, range(0xA1)))
    + "❁§։)(»«—.՝,-՟…՜՛՞"
    + "".join(f"{chr(capital)}{chr(capital + 0x30)}" for capital in range(0x531, 0x557))
    + "\u2019'",
    "geostd8": "".join(map(chr, range(0x80)))
    + "€.‚.„…†‡.‰.‹.....‘’“”•–—...›....".replace(".", _NONE)
    + "".join(map(chr, range(0xA0, 0xC0)))
    + "აბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწჭხჴჯჰჵ"
    + f"{_NONE * 23}№{_NONE * 2}",
    "keybcs2": "".join(map(chr, range(0x80)))
    + "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"
    + "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xa0",
}
"""Eight-bit sets for which Python has no codec: the characters of all 256 bytes."""

_SWAPS: dict[str, dict[int, str]] = {
    "sjis": str.maketrans({"\uff3c": "\\"}),
    "ujis": str.maketrans({"\uff3c": "\\"}),
    "eucjpms": str.maketrans(
        dict(zip("\u301c\u2016\u2212\xa2\xa3\xac\xa6", "\uff5e\u2225\uff0d\uffe0\uffe1\uffe2\uffe4", strict=True))
    ),
    "gb18030": str.maketrans(
        {"\ue7c7": "\u1e3f", "\u1e3f": "\ue7c7"} if b"\xa8\xbc".decode("gb18030") == "\ue7c7" else {}
    ),
}
"""Characters of a multi-byte set that the server maps otherwise; each stands for one sequence of bytes only."""

_IBM_KANJI = (
    "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤\ufa0e咊坙\ufa0f\ufa10"
    "增寬峵嵓\ufa11德悅愠敎昻晥\ufa12\uf929栁\ufa13\ufa14橫櫢淸淲瀨\ufa15\ufa16甁皂皞\ufa17礰\ufa18\ufa19\ufa1a\ufa1b竧\ufa1c\ufa1d綠"
    "緖\ufa1e荢\ufa1f薰\ufa20\ufa21蠇\ufa22譿賴赶\ufa23\ufa24\ufa25郞\ufa26鄕\ufa27\ufa28閒\uf9dc\ufa29霻靍靑\ufa2a\ufa2b\ufa2c馞髙魲\ufa2d黑"
)
"""eucjpms from 8F F3 F3 on: IBM's characters that neither JIS X 0208 nor 0212 has."""


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


def _more_eucjpms(raw: bytes, start: int) -> tuple[str, int] | None:
    """As ujis, NEC's row 13 (which lies at 87 40 in cp932) and IBM's characters."""
    pair, triple = raw[start : start + 2], raw[start : start + 3]
    if b"\xad\xa1" <= pair <= b"\xad\xfe":
        cell = pair[1] - 0xA1
        return bytes((0x87, 0x40 + cell + (cell >= 0x3F))).decode("cp932"), start + 2
    if len(triple) == 3 and b"\x8f\xf3\xf3" <= triple <= b"\x8f\xf4\xfe" and 0xA1 <= triple[2] <= 0xFE:
        return _IBM_KANJI[(triple[1] - 0xF3) * 94 + triple[2] - 0xF3], start + 3
    return _more_ujis(raw, start)


def _completed(more: Callable[[bytes, int], tuple[str, int] | None]) -> Callable[[UnicodeError], tuple[str, int]]:
    """A codec error handler that knows `more` sequences and passes on the error of all others."""

    def handler(error: UnicodeError) -> tuple[str, int]:
        found = more(error.object, error.start) if isinstance(error, UnicodeDecodeError) else None
        if found is None:
            raise error
        return found

    return handler


_COMPLETED = {"big5": _more_big5, "ujis": _more_ujis, "eucjpms": _more_eucjpms}
for _charset, _more in _COMPLETED.items():
    codecs.register_error(f"binlog-{_charset}", _completed(_more))


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8")


def _ucs2(raw: bytes) -> str:
    """Two bytes a character: what would be a pair of surrogates in UTF-16 is no text."""
    text = raw.decode("utf_16_be")
    if 2 * len(text) != len(raw):
        raise ValueError("a surrogate in ucs2")
    return text


_STRAY = frozenset("\x80\uf8f0\uf8f1\uf8f2\uf8f3")
"""What Python makes of the bytes 80, A0, FD, FE and FF of cp932, which have no meaning there."""


def _cp932(raw: bytes) -> str:
    text = raw.decode("cp932")
    if not _STRAY.isdisjoint(text):
        raise ValueError("a byte that cp932 does not have")
    return text


_TILDE = b"\x8f\xa2\xb7"
"""Full width in eucjpms, as A1 C1; Python's codec makes the ASCII one of it. 8F stands at no other place."""


def _eucjpms(raw: bytes) -> str:
    return raw.replace(_TILDE, b"\xa1\xc1").decode("euc_jp", "binlog-eucjpms").translate(_SWAPS["eucjpms"])


_OWN: dict[str, Decoder] = {"utf8mb3": _utf8, "utf8mb4": _utf8, "ucs2": _ucs2, "cp932": _cp932, "eucjpms": _eucjpms}


@lru_cache(maxsize=64)
def decoder_of(charset: str) -> Decoder | None:
    """The strict decoder of a character set; None: it is not known."""
    if charset in _OWN:
        return _OWN[charset]
    if charset in _TABLES:
        return _eight_bit(_TABLES[charset])
    codec = _CODECS.get(charset)
    if codec is None:
        return None
    if charset in _PATCHES:
        return _eight_bit("".join(_PATCHES[charset].get(byte) or _one(byte, codec) for byte in range(256)))
    errors, swap = f"binlog-{charset}" if charset in _COMPLETED else "strict", _SWAPS.get(charset)
    if swap:
        return lambda raw: raw.decode(codec, errors).translate(swap)
    return lambda raw: raw.decode(codec, errors)


def _eight_bit(table: str) -> Decoder:
    return lambda raw: codecs.charmap_decode(raw, "strict", table)[0]


def _one(byte: int, codec: str) -> str:
    try:
        return bytes((byte,)).decode(codec)
    except UnicodeDecodeError:
        return _NONE
