"""The worker: MySQL or MariaDB binlog → change events → Pub/Sub, or files.

Owns the dump connection, decoding, packing, publishing and the checkpoint's progress. Never imports `pipeline`, Beam,
DuckDB or BigQuery.
"""
