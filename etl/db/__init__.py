"""The database: engine, tables, bulk statements, locks and migrations. Knows nothing about favourites.

Others use: `engine.open_engine`, `read_transaction`, `write_transaction`, `in_transaction`; `migrate` and
`schema_check`; `tables` and `types`; `bulk`, `locks`, `budget`; `postgresql` for what only that engine has.
"""
