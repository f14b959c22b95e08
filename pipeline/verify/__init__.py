"""`ltv-pipeline verify`: is what the warehouse holds what the database holds?

Both sides compute checksums of their own rows by SQL (`texts`, `tables`); ranges of keys are compared, then rows, and
what differs is looked at again once the stream has passed the first look (`looks`). The rolled-up numbers are computed
on the database, too (`rolled_up`), by the rollup's own SQL (`shop_sql`) over views of the shop's tables
(`source_facts`).
"""
