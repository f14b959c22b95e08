"""The BigQuery warehouse: names and DDL as pure text, the REST client, and rows through the Storage Write API."""
