"""Digits of a currency's minor unit (ISO 4217, table A.1, «Current currency & funds code list»)."""

from __future__ import annotations

_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""All others have two."""

_BY_CODE = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}


def minor_digits(code: str) -> int:
    return _BY_CODE.get(code, 2)
