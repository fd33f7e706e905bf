"""Looking after accounts: `admin` adds, changes, checks and removes them, `login` signs in through a browser. Imports nothing."""
