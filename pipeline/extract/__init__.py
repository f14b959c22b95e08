"""`ltv-pipeline batch --extract`: CSV extracts of a shop's tables, with any number of versions of a row.

files: which file is of which table. survey: one look over all its bytes before anything is written. records: bytes →
fields. columns: which types they have. fields: text → values. source: the graph's source. command: puts it together.
"""
