"""The database: engine, tables, bulk statements, locks and migrations."""
