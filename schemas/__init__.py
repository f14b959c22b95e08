"""What the worker and the pipeline agree on.

The change event and its wire format, the sequence number, column types, the warehouse's tables and SQL, the shop
configuration and the error tree. Imports neither `binlog_worker` nor `pipeline`.
"""
