from __future__ import annotations

import dataclasses

import pytest

from pipeline.batch.loads import remaining
from pipeline.batch.place import LogOrder, decide_order, loaded_from
from pipeline.batch.tables import SourceTable
from pipeline.layout import layouts
from pipeline.warehouse import StoredLoad
from schemas.catalogue import CatalogueTable
from schemas.checkpoint import Checkpoint, Identity, Place
from schemas.errors import CheckpointError, SourceChanged
from schemas.server_logs import Log, ServerLogs
from tests.builders import CHARGES, ORDERS, shop

SERVER = "f916e27d-e701-11f1-8e0d-02fc00000001"
LOGS = ServerLogs(
    SERVER, tuple(Log(f"mysql-bin.{number:06d}", 1000) for number in (7, 8, 9)), Place("mysql-bin.000009", 900)
)
STORED = Checkpoint(Identity(SERVER, "mysql-bin"), 2, Place("mysql-bin.000008", 500))
ORDER = LogOrder(2, LOGS, STORED)
CONFIG = shop()
AT = ORDER.sequence("mysql-bin.000009", 100)
BEFORE = ORDER.sequence("mysql-bin.000008", 700)
PURGED = ORDER.sequence("mysql-bin.000003", 700)


@pytest.mark.parametrize(
    ("highest", "everything", "epoch"), [("", True, 1), ("", False, 1), ("0003", True, 4), ("0003", False, 3)]
)
def test_without_a_checkpoint(highest: str, everything: bool, epoch: int) -> None:
    order = decide_order(None, LOGS, highest, everything=everything)
    assert (order.epoch, order.checkpoint, order.purged) == (epoch, None, False)
    assert order.identity == LOGS.identity()


def test_with_a_checkpoint() -> None:
    assert decide_order(STORED, LOGS, "0002") == ORDER
    purged = dataclasses.replace(STORED, place=Place("mysql-bin.000006", 4))
    assert decide_order(purged, LOGS, "0002").purged


def test_a_checkpoint_of_something_else() -> None:
    with pytest.raises(SourceChanged, match="the server is another") as changed:
        decide_order(STORED, LOGS._replace(server="another"), "")
    assert changed.value.hint and changed.value.position == "mysql-bin.000008:500"
    with pytest.raises(CheckpointError, match="epoch 2 is below 10") as old:
        decide_order(STORED, LOGS, "000A")
    assert old.value.hint


def test_places_of_sequence_numbers() -> None:
    assert ORDER.sequence("mysql-bin.000008", 500) == "0002/00000008/00000000000001F4/00000000"
    assert ORDER.place(BEFORE) == Place("mysql-bin.000008", 700)
    assert ORDER.place(PURGED) is None
    assert ORDER.place("") is None
    assert LogOrder(3, LOGS, None).place(BEFORE) is None


def test_the_checkpoint_moves_to_the_oldest_load_of_all_tables() -> None:
    tables = ["shop.orders", "shop.charges"]
    assert loaded_from(ORDER, {"shop.orders": AT, "shop.charges": BEFORE}, tables) == Place("mysql-bin.000008", 700)
    assert loaded_from(ORDER, {"shop.orders": AT}, tables) is None
    assert loaded_from(ORDER, {"shop.orders": AT, "shop.charges": PURGED}, tables) is None


def table(schema: object = ORDERS, fingerprint: str = "now", where: str | None = None) -> SourceTable:
    of = CHARGES if schema is CHARGES else ORDERS
    catalogue = CatalogueTable(of.table, "BASE TABLE", "InnoDB", (), of.primary_key, False)
    return SourceTable(catalogue, of, tuple(layouts(of, CONFIG)), "", where, fingerprint, 0, 0)


def stored(name: str = "shop.orders", **parts: object) -> StoredLoad:
    known = StoredLoad(f"b1:x:{name}", name, "now", BEFORE, whole=True)
    return dataclasses.replace(known, **parts)  # type: ignore[arg-type]


def test_a_new_load() -> None:
    (load,) = remaining([table()], [], ORDER, "b2", AT).loads
    assert (load.load.id, load.load.sequence, load.load.whole) == ("b2:b2:shop.orders", AT, True)
    assert (load.after, load.first, load.why) == (None, 1, None)
    (part,) = remaining([table(where="id > 3")], [], ORDER, "b2", AT).loads
    assert not part.load.whole


def test_going_on() -> None:
    known = stored(chunks=17, upper='[1700, "a"]', rows=170)
    (load,) = remaining([table()], [known], ORDER, "b2", AT).loads
    assert (load.load.id, load.load.sequence) == (known.id, BEFORE)
    assert (load.after, load.first, load.complete, load.rows) == ((1700, "a"), 18, False, 170)
    assert load.why == "going on after chunk 17 of shop.orders"
    (load,) = remaining([table()], [stored(chunks=3, upper="[3]", complete=True)], ORDER, "b2", AT).loads
    assert load.complete


@pytest.mark.parametrize(
    ("parts", "why"),
    [({"fingerprint": "then"}, "has changed"), ({"sequence": PURGED}, "no longer reaches back")],
)
def test_beginning_anew(parts: dict[str, object], why: str) -> None:
    known = stored(chunks=17, upper="[1700]", **parts)
    (load,) = remaining([table()], [known], ORDER, "b2", AT).loads
    assert load.load.id not in (known.id, "")
    assert (load.load.sequence, load.after, load.first) == (AT, None, 1)
    assert why in str(load.why)


def test_tables_that_the_same_batch_has_loaded() -> None:
    tables = [table(), table(CHARGES)]
    done = stored("shop.charges", done=True)
    left = remaining(tables, [stored(), done], ORDER, "b2", AT)
    assert ([one.load.table for one in left.loads], left.done) == (["shop.orders"], ["shop.charges"])
    altered = remaining(tables, [stored(fingerprint="then"), done], ORDER, "b2", AT)
    assert ([one.load.id for one in altered.loads], altered.done) == (["b1:b2:shop.orders"], ["shop.charges"])
    left = remaining(tables, [stored(done=True), done], ORDER, "b2", AT)
    assert len(left.loads) == 2, "a batch that is finished starts anew"
    other = dataclasses.replace(done, id="b0:x:shop.charges")
    assert len(remaining(tables, [stored(), other], ORDER, "b2", AT).loads) == 2
