"""Load: reads what the next run must know, and writes one snapshot in the caller's transaction. Sends no HTTP requests.

Others use: `snapshot.load_delta`, `tracks.mark_sighted`, `runs`, `favourites.write_changes`, `baseline`, `accounts`, `calendar`,
`run_lock`. `replay` also uses `raw`, `tracks`, `dimensions` and `stored_tracks`, with which `sync` and `reporting` read tracks.
"""
