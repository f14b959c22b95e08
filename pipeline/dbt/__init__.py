"""A dbt package of the rolled-up tables: the queries of `schemas/sql` as models, or their tables as sources."""
