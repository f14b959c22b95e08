"""The direct ETL: the tables read from the database in primary-key chunks, loaded by the same graph as the stream."""
