"""A simulated shop on real, private servers: for `make demo`, the tests and the benchmarks.

`servers` starts MariaDB and a Pub/Sub emulator, `shop` fills and drives the database, `oracle` computes the cohorts
on the database itself. Nothing of the product imports this package.
"""
