"""Foreign keys that cascade, as a user who may only SELECT sees them."""

from __future__ import annotations

import uuid
from typing import Any

from schemas.catalogue import Cascade, read_cascades

CHILD = """CREATE TABLE `ch"ild``s` (id INT PRIMARY KEY, a INT, b INT, `c``d` INT, e INT,
 note VARCHAR(9) DEFAULT '\n  x'
 COMMENT '\n  CONSTRAINT `no` FOREIGN KEY (`a`) REFERENCES `one` (`id`) ON DELETE CASCADE',
 CONSTRAINT `k0``1` FOREIGN KEY (a) REFERENCES one (id) ON DELETE CASCADE ON UPDATE SET NULL,
 CONSTRAINT k2 FOREIGN KEY (b) REFERENCES `{other}`.`t``wo` (id) ON UPDATE CASCADE,
 CONSTRAINT k3 FOREIGN KEY (`c``d`, e) REFERENCES pair (x, y) ON DELETE SET NULL,
 CONSTRAINT k4 FOREIGN KEY (e) REFERENCES one (id) ON DELETE RESTRICT ON UPDATE NO ACTION)"""


def test_cascades_are_seen_with_select_alone(server: Any, database: str) -> None:
    user, other = f"c_{uuid.uuid4().hex[:8]}", f"{database} b"
    with server.connect(database=database, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{other}`")
        try:
            cursor.execute("CREATE TABLE one (id INT PRIMARY KEY)")
            cursor.execute("CREATE TABLE pair (x INT, y INT, PRIMARY KEY (x, y))")
            cursor.execute(f"CREATE TABLE `{other}`.`t``wo` (id INT PRIMARY KEY)")
            cursor.execute(CHILD.replace("{other}", other))
            cursor.execute("CREATE VIEW seen AS SELECT 1")
            cursor.execute(f"CREATE USER {user}@'%' IDENTIFIED BY 'x'")
            cursor.execute(f"GRANT SELECT ON `{database}`.* TO {user}@'%'")
            tables = [f'{database}.ch"ild`s', f"{database}.one", f"{database}.seen", f"{database}.none", "mysql.user"]
            with server.connect(user=user, password="x", autocommit=True) as reader:
                reader.cursor().execute("SET SESSION sql_quote_show_create = 0")
                found = read_cascades(reader, tables)
        finally:
            cursor.execute(f"DROP USER IF EXISTS {user}@'%'")
            cursor.execute('DROP TABLE IF EXISTS `ch"ild``s`')
            cursor.execute(f"DROP DATABASE `{other}`")
    child = tables[0]
    assert sorted(found, key=lambda one: (one.constraint, one.rule)) == [
        Cascade(child, f"{database}.one", "k0`1", "ON DELETE CASCADE"),
        Cascade(child, f"{database}.one", "k0`1", "ON UPDATE SET NULL"),
        Cascade(child, f"{other}.t`wo", "k2", "ON UPDATE CASCADE"),
        Cascade(child, f"{database}.pair", "k3", "ON DELETE SET NULL"),
    ]
