"""tls: what encryption costs the worker, from the binlog to files of change events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import trustme

from bench.results import Result
from bench.scene import Scene
from bench.traffic import large_inserts, new_log, open_database
from demo.process import LOOPBACK, ServerFailed

ROWS = 300_000
ROUNDS = 3


def run(scene: Scene) -> Iterator[Result]:
    rows = scene.rows or ROWS
    authority, names = trustme.CA(), ("ca.pem", "certificate.pem", "key.pem")
    ca, certificate, key = (scene.folder / name for name in names)
    issued = authority.issue_cert(LOOPBACK)
    authority.cert_pem.write_to_path(ca)
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    database = scene.database(f"--ssl-ca={ca}", f"--ssl-cert={certificate}", f"--ssl-key={key}")
    with contextlib.closing(open_database(database)) as connection:
        log = new_log(connection)
        scene.say(f"{rows:,} rows are written: 1,000-row inserts")
        large_inserts(connection, 1, rows)
    best: dict[str, float] = {}
    for number in range(ROUNDS):
        for mode, settings in (("disabled", {}), ("verify-identity", {"ca": str(ca)})):
            shop = scene.shop(f"{mode}-{number}", database.dsn(), tls=mode, **settings)
            finished = shop.worker("--until-caught-up", "--from", f"{log}:4", "--to", str(shop.folder / "changes"))
            done = finished.facts("done")
            if done["rows"] != rows:
                raise ServerFailed(f"{rows:,} rows were written, the worker read {done['rows']:,}")
            best[mode] = max(best.get(mode, 0.0), rows / done["seconds"])
    yield Result(
        "tls",
        "1,000-row inserts → files, over TLS",
        best["verify-identity"],
        "rows/s",
        best["disabled"],
        f"the same without TLS, the best of {ROUNDS} runs each",
    )
