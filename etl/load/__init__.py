"""Load: reads what the next run must know, and writes one snapshot in the caller's transaction. Sends no HTTP requests.

Others use: `snapshot.load_delta`, `runs`, `favourites.write_changes`, `baseline`, `accounts`, `run_lock.run_lock`.
"""
