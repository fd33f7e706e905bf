"""The database: engine, tables, bulk statements, locks and migrations. Knows nothing about favourites.

Others use: `engine.open_engine`, `read_transaction`, `write_transaction`, `in_transaction`; `migrate`; `tables`; `bulk`.
"""
