"""`ltv-pipeline rederive`: the ltv entries again from the raw tables, after what they depend on changed in shop.yaml.

derivation: the settings that a warehouse was derived with. role: what of a raw table changes with them, and whether it
can tell. rows: its rows anew. staging: how they come into a DuckDB file. command: puts it together.
"""
