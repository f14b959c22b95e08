"""batch, then `binlog-worker run`, then the stream: nothing is lost in between, also where the log was purged."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from batch_shop import BatchShop
from worker_shop import until

from binlog_worker.preflight.report import check
from binlog_worker.run import Options, run
from binlog_worker.stopping import Stopping
from pipeline.progress import PROGRESS
from pipeline.replay import replay
from schemas.checkpoint import Place
from schemas.checkpoint_store import CheckpointFile
from schemas.errors import CheckpointError, PurgedBinlog, SourceChanged
from tests.conftest import Server


@pytest.fixture
def shop(server: Server, database: str, tmp_path: Path, server_id: int) -> BatchShop:
    return BatchShop(server, database, tmp_path, server_id)


def catch_up(shop: BatchShop, files: str = "events") -> None:
    """What the log has since the checkpoint, through files of change events into the warehouse."""
    folder = shop.folder / files
    run(shop.config, Options(folder=folder, until_caught_up=True), Stopping())
    if any(folder.glob("*.jsonl")):
        replay(shop.config, [str(folder)])


def place_of(shop: BatchShop) -> Place:
    stored = CheckpointFile(shop.folder / "checkpoint.json").read()
    assert stored is not None
    return stored.place


def change(shop: BatchShop) -> None:
    shop.sql(
        "UPDATE orders SET amount = amount + 5 WHERE id % 3 = 0",
        "DELETE FROM orders WHERE id % 7 = 0",
        "DELETE FROM charges WHERE id % 4 = 0",
        "INSERT INTO customers (country, channel) VALUES ('IT', 'mail')",
        "INSERT INTO orders (order_date, status, country, customer_id, amount, updated_at)"
        " VALUES ('2026-02-03 10:00:00', 'paid', 'IT', 1, 12.50, '2026-02-03 10:00:00')",
    )


def test_the_worker_begins_before_the_first_chunk(shop: BatchShop) -> None:
    """Changes while the batch reads, before and behind its place, all arrive."""
    writing = threading.Thread(target=_while_it_reads, args=(shop,))
    PROGRESS.loads = {}
    writing.start()
    shop.batch(chunk_rows=10, rows_per_second=150)
    writing.join()
    begins = place_of(shop)
    change(shop)
    catch_up(shop)
    shop.assert_equal()
    assert place_of(shop).order > begins.order
    newest = "SELECT COUNT(*) FROM orders_history WHERE _op <> 'r'"
    assert shop.query(newest)[0][0] > 0


def _while_it_reads(shop: BatchShop) -> None:
    with contextlib.closing(shop.server.connect(database=shop.database, autocommit=True)) as connection:
        until(lambda: any(found.chunk for found in PROGRESS.loads.values()))
        with connection.cursor() as cursor:
            for number in range(1, 40):
                cursor.execute("UPDATE orders SET amount = amount + 1 WHERE id = %s", (number,))
                cursor.execute("DELETE FROM charges WHERE id = %s", (number * 2,))


def test_a_checkpoint_that_is_there_stays(shop: BatchShop) -> None:
    shop.batch()
    first = (shop.folder / "checkpoint.json").read_bytes()
    change(shop)
    shop.batch()
    assert (shop.folder / "checkpoint.json").read_bytes() == first
    catch_up(shop)
    shop.assert_equal()


def test_a_first_checkpoint_is_in_an_epoch_of_its_own(shop: BatchShop) -> None:
    """A warehouse that an earlier worker has fed: the new rows win."""
    shop.batch()
    (shop.folder / "checkpoint.json").unlink()
    change(shop)
    shop.batch()
    assert json.loads((shop.folder / "checkpoint.json").read_bytes())["epoch"] == 2
    shop.assert_equal()


def test_a_checkpoint_of_another_server(shop: BatchShop) -> None:
    shop.batch()
    path = shop.folder / "checkpoint.json"
    document = json.loads(path.read_bytes())
    document["identity"]["server"] = "another"
    path.write_text(json.dumps(document))
    with pytest.raises(SourceChanged, match="the server is") as caught:
        shop.batch()
    assert "move the checkpoint away" in str(caught.value.hint)
    path.unlink()
    shop.batch()
    shop.assert_equal()


def test_a_checkpoint_of_an_older_epoch(shop: BatchShop) -> None:
    shop.batch()
    path = shop.folder / "checkpoint.json"
    first = path.read_bytes()
    path.unlink()
    shop.batch()
    path.write_bytes(first)
    with pytest.raises(CheckpointError, match=r"epoch 1 is below 2"):
        shop.batch()


@pytest.fixture
def purged_shop(shop: BatchShop) -> BatchShop:
    """Loaded and caught up; then changed behind the stopped worker's back, and the log of it is gone."""
    shop.batch()
    catch_up(shop)
    change(shop)
    purge(shop)
    return shop


def purge(shop: BatchShop) -> None:
    """All logs but the newest."""
    shop.sql("FLUSH BINARY LOGS")
    newest = shop.sql("SHOW BINARY LOGS")[-1][0]
    # Not while a connection that is going still reads them.
    until(lambda: shop.sql(f"PURGE BINARY LOGS TO '{newest}'") or shop.sql("SHOW BINARY LOGS")[0][0] == newest)


def test_purged(purged_shop: BatchShop, caplog: pytest.LogCaptureFixture) -> None:
    shop, before = purged_shop, place_of(purged_shop)
    with pytest.raises(PurgedBinlog, match="no longer has") as caught:
        catch_up(shop)
    assert before.file in caught.value.message and str(before) == caught.value.position
    assert "`ltv-pipeline batch`" in str(caught.value.hint) and "`binlog-worker run`" in str(caught.value.hint)

    done = shop.batch(chunk_rows=10)
    assert any("the server no longer has the log of the checkpoint" in line for line in caplog.messages)
    assert any("`binlog-worker run` goes on there" in line for line in done.said)
    shop.assert_equal()
    change(shop)
    catch_up(shop, "events since")
    shop.assert_equal()
    gone = shop.sql("SELECT MAX(id) FROM orders")[0][0]
    assert shop.query("SELECT COUNT(*) FROM raw.orders")[0][0] > shop.query("SELECT COUNT(*) FROM orders")[0][0]
    assert shop.query("SELECT MAX(id) FROM orders") == [(gone,)]


def test_purged_and_loaded_table_by_table(purged_shop: BatchShop) -> None:
    """The checkpoint moves when the last of them is loaded, to where the first began."""
    shop, before = purged_shop, place_of(purged_shop)
    first, *rest = shop.config.source_tables
    done = shop.batch(tables=[first])
    change(shop)
    assert place_of(shop) == before
    assert any("the checkpoint stays where it is" in line and rest[0] in line for line in done.said)
    for table in rest:
        shop.batch(tables=[table])
    assert place_of(shop).order > before.order
    catch_up(shop, "events since")
    shop.assert_equal()


def test_purged_beside_a_worker_that_holds_the_checkpoint(purged_shop: BatchShop) -> None:
    shop, before = purged_shop, place_of(purged_shop)
    with CheckpointFile(shop.folder / "checkpoint.json") as held:
        held.lock()
        with pytest.raises(CheckpointError, match="another worker holds"):
            shop.batch()
    assert place_of(shop) == before


def test_check_says_that_a_batch_is_needed(shop: BatchShop) -> None:
    def said() -> str:
        with redirect_stdout(io.StringIO()) as printed:
            assert check(shop.config)
        return printed.getvalue()

    purge(shop)
    assert "run `ltv-pipeline batch`" in said()
    shop.batch()
    assert "ltv-pipeline batch" not in said()
