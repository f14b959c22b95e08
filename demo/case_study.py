"""The case study's five orders: as statements for `tables.create_tables`' tables, and as its two CSV extracts."""

from __future__ import annotations

_HEADER = "id,order_date,status,country,customer_id,amount,updated_at\n"

FIRST_EXTRACT = (
    _HEADER
    + """\
1,2022-01-01,completed,FR,1,75,2022-01-05
2,2022-01-13,completed,US,2,150,2022-01-20
3,2022-02-03,completed,US,2,150,2022-02-08
4,2022-04-06,completed,FR,3,150,2022-04-10
5,2022-07-05,shipped,ES,1,300,2022-07-06
"""
)

SECOND_EXTRACT = (
    _HEADER
    + """\
2,2022-01-12,partial_refunded,US,2,150,2022-07-20
5,2022-07-05,shipped,ES,1,300,2022-07-20
"""
)

_ORDER = "INSERT INTO orders (id, order_date, status, country, customer_id, amount, updated_at) VALUES"

CASE_STUDY_SQL = (
    "SET time_zone = '+00:00'",
    "INSERT INTO customers (id, country, channel, birth_year) VALUES"
    " (1, 'FR', 'search', 1985), (2, 'US', 'social', 1992), (3, 'FR', 'direct', NULL)",
    f"{_ORDER} (1, '2022-01-01', 'completed', 'FR', 1, 75, '2022-01-05')",
    f"{_ORDER} (2, '2022-01-13', 'completed', 'US', 2, 150, '2022-01-20')",
    f"{_ORDER} (3, '2022-02-03', 'completed', 'US', 2, 150, '2022-02-08')",
    f"{_ORDER} (4, '2022-04-06', 'completed', 'FR', 3, 150, '2022-04-10')",
    f"{_ORDER} (5, '2022-07-05', 'shipped', 'ES', 1, 300, '2022-07-06')",
    "INSERT INTO order_items (id, order_id, name, quantity, unit_amount) VALUES"
    " (1, 1, 'Lamp', 1, 75), (2, 2, 'Chair', 1, 100), (3, 2, 'Mug', 5, 10), (4, 3, 'Lamp', 2, 75),"
    " (5, 4, 'Chair', 1, 110), (6, 4, 'Mug', 4, 10), (7, 5, 'Chair', 3, 100)",
    "INSERT INTO charges (id, order_id, amount, created_at) VALUES"
    " (1, 1, 75, '2022-01-01 10:00:00'), (2, 2, 150, '2022-01-13 10:00:00'), (3, 3, 150, '2022-02-03 10:00:00'),"
    " (4, 4, 150, '2022-04-06 10:00:00'), (5, 5, 300, '2022-07-05 10:00:00')",
    "INSERT INTO charges (id, order_id, amount, created_at) VALUES (6, 2, -50, '2022-07-20 10:00:00')",
    "UPDATE orders SET order_date = '2022-01-12', status = 'partial_refunded', updated_at = '2022-07-20' WHERE id = 2",
    "UPDATE orders SET updated_at = '2022-07-20' WHERE id = 5",
)
"""One statement each, in the order of events; items add up to the order's amount."""
