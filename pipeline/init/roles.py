"""Which table of an unknown shop may play which role: guesses from names and types of columns, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.catalogue import CatalogueColumn, CatalogueTable
from schemas.config import ROLE_COLUMNS, is_nameable

DATES = frozenset(("date", "datetime", "timestamp"))
NUMBERS = frozenset(("decimal", "int", "bigint", "mediumint", "smallint", "tinyint", "double", "float"))
TEXTS = frozenset(("char", "varchar", "enum", "text", "tinytext"))
ANY: frozenset[str] = frozenset()

TABLE_WORDS = {
    "orders": ("order", "sale", "purchase", "commande", "bestellung", "auftrag", "pedido", "ordine", "booking"),
    "order_items": ("item", "line", "detail", "position", "orderproduct", "ligne"),
    "charges": ("charge", "payment", "transaction", "paiement", "zahlung", "pago"),
    "refunds": ("refund", "creditmemo", "creditnote", "creditslip", "remboursement", "erstattung"),
    "customers": ("customer", "client", "buyer", "user", "account", "member", "kunde", "cliente"),
}
"""Role → words that its table's name ends with, the likelier first."""

COLUMN_WORDS: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {
    "customer_id": (ANY, ("customerid", "idcustomer", "clientid", "idclient", "buyerid", "userid", "iduser", "memberid",
                          "accountid", "customer", "customernumber", "customerno", "kundenid", "clienteid", "user")),
    "ordered_at": (DATES, ("orderdate", "orderedat", "dateordered", "placedat", "purchasedat", "purchasedate",
                           "createdat", "datecreated", "createdon", "creationdate", "dateadd", "created", "ordertime",
                           "date", "insertedat", "bookedat")),
    "amount": (NUMBERS, ("grandtotal", "totalamount", "ordertotal", "amount", "totalprice", "total", "totalpaid",
                         "totalgross", "gross", "sum", "price", "value", "revenue", "montant", "betrag", "importe")),
    "status": (ANY, ("status", "orderstatus", "state", "orderstate", "statusid", "statut", "estado")),
    "country": (TEXTS, ("country", "countrycode", "countryid", "billingcountry", "shippingcountry", "pays", "land")),
    "currency": (TEXTS, ("currency", "currencycode", "ordercurrency", "currencyiso", "devise")),
    "updated_at": (DATES, ("updatedat", "modifiedat", "dateupdated", "updatedon", "lastmodified", "modified", "updated",
                           "dateupd", "changedat")),
    "order_id": (ANY, ("orderid", "idorder", "order", "orderno", "ordernumber", "saleid", "idsale", "purchaseid",
                       "commandeid", "idcommande", "pedidoid", "bookingid")),
    "product": (ANY, ("productname", "name", "product", "title", "itemname", "itemtitle", "label", "description", "sku",
                      "productid", "idproduct", "article", "itemid")),
    "quantity": (NUMBERS, ("quantity", "qty", "qtyordered", "count", "units", "pieces", "quantite", "menge")),
    "unit_amount": (NUMBERS, ("unitamount", "unitprice", "price", "itemprice", "priceeach", "productprice", "prix")),
    "charged_at": (DATES, ("chargedat", "paidat", "paymentdate", "refundedat", "refunddate", "transactiondate",
                           "processedat", "createdat", "datecreated", "createdon", "dateadd", "created", "date")),
}  # fmt: skip
"""Role column → the types it may have (none: any), and names without _ and case, the likelier first."""

LINE_AMOUNT = ("linetotal", "rowtotal", "subtotal", "totalprice", "total", "amount")
SEGMENTS = (
    "country",
    "countrycode",
    "channel",
    "source",
    "gender",
    "group",
    "groupid",
    "segment",
    "language",
    "birthyear",
)
MOST_TABLES = 400


@dataclass
class Proposal:
    """A table for a role. `why`: role column → its source column's type and what else it might have been."""

    role: str
    table: CatalogueTable
    columns: dict[str, str]
    why: dict[str, str] = field(default_factory=dict)
    segments: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        needed = [name for name in ROLE_COLUMNS[self.role][0] if name not in self.columns]
        if self.role == "order_items" and not {"unit_amount", "amount"} & set(self.columns):
            needed.append("unit_amount")
        return needed


def likely(names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of all tables (database, table) those whose columns are worth reading: the ones named like a role."""
    words = [word for of_role in TABLE_WORDS.values() for word in of_role]
    found = [(schema, table) for schema, table in names if any(word in _plain(table) for word in words)]
    return found[:MOST_TABLES]


def propose(tables: Sequence[CatalogueTable]) -> dict[str, Proposal]:
    """Role → its likeliest table among those of one database. Empty where nothing looks like orders."""
    found: dict[str, Proposal] = {}
    for role in TABLE_WORDS:
        ranked = sorted(
            ((score, table.name, made) for table in tables if (made := _proposal(role, table))
             and (score := _score(role, made)) > 0),
            key=lambda one: (-one[0], one[1]),
        )  # fmt: skip
        taken = {made.table.name for made in found.values()}
        ranked = [one for one in ranked if one[1] not in taken]
        if ranked:
            best = ranked[0][2]
            best.others = tuple(name for _, name, _ in ranked[1:5])
            found[role] = best
        if "orders" not in found:
            return {}
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _singular(name: str) -> str:
    return _plain(name).removesuffix("s") if not _plain(name).endswith("ss") else _plain(name)


def _score(role: str, proposal: Proposal) -> float:
    """By the table's name, then by how many of the role's columns were found; 0 where a required one was not."""
    if proposal.missing:
        return 0
    name = _singular(proposal.table.name.split(".", 1)[1])
    for place, word in enumerate(TABLE_WORDS[role]):
        if name == word:
            return 100 - place + len(proposal.columns)
        if name.endswith(word):
            return 60 - place + len(proposal.columns)
    return 0


def _proposal(role: str, table: CatalogueTable) -> Proposal | None:
    if len(table.primary_key) != 1 and role != "order_items":
        return None
    columns = [column for column in table.columns if is_nameable(column.name, dots=True)]
    made = Proposal(role, table, {})
    if len(table.primary_key) == 1 and any(column.name == table.primary_key[0] for column in columns):
        made.columns["id"] = table.primary_key[0]
    required, optional = ROLE_COLUMNS[role]
    for name in (*required, *optional):
        if name in COLUMN_WORDS and name not in made.columns:
            kinds, words = COLUMN_WORDS[name]
            _choose(made, name, columns, kinds, words)
    if role == "order_items" and "unit_amount" not in made.columns:
        made.columns.pop("amount", None)
        _choose(made, "amount", columns, NUMBERS, LINE_AMOUNT)
    elif role == "order_items":
        made.columns.pop("amount", None)
    if role == "customers":
        made.segments = tuple(column.name for column in columns if _plain(column.name) in SEGMENTS)
    return made


def _choose(
    made: Proposal, name: str, columns: Sequence[CatalogueColumn], kinds: frozenset[str], words: Sequence[str]
) -> None:
    """The column whose name comes first among `words`; of amounts a DECIMAL before other numbers."""
    taken = set(made.columns.values())
    fitting = [column for column in columns if column.name not in taken and (not kinds or column.type in kinds)]
    ranked = sorted(
        (words.index(plain), column.type != "decimal" if kinds is NUMBERS else False, column.name, column)
        for column in fitting
        if (plain := _plain(column.name)) in words
    )
    if name in ("ordered_at", "charged_at") and not ranked:
        ranked = [(99, False, column.name, column) for column in fitting if not column.nullable]
    if not ranked:
        return
    chosen = ranked[0][3]
    made.columns[name] = chosen.name
    others = [one[2] for one in ranked[1:4]]
    made.why[name] = chosen.full_type + (f"; or is it {' or '.join(others)}?" if others else "")


def counted_like(statuses: Iterable[str]) -> list[str]:
    """Of the statuses of an unknown shop those whose names say that no purchase came of them."""
    return [status for status in statuses if _NO_PURCHASE.search(_plain(status))]


_NO_PURCHASE = re.compile(
    r"cancel|annul|storn|fail|error|declin|reject|refus|void|expired|abandon|draft|pending|unpaid|await|trash|delet|fraud"
)


def by_database(tables: Mapping[str, CatalogueTable]) -> dict[str, list[CatalogueTable]]:
    """Database → its tables."""
    found: dict[str, list[CatalogueTable]] = {}
    for name, table in sorted(tables.items()):
        found.setdefault(name.split(".", 1)[0], []).append(table)
    return found
