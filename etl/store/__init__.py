"""The database: tables, transactions, leases, migrations. It reads and writes, and decides nothing."""
