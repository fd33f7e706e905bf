"""Replay: recomputes the history from stored snapshots.

Others use: `rebuild`, `import_snapshots`, `review`, `retract`, `prune`, `erase`, `favourites.FavouriteDiff`, `snapshots`.
`etl.sync` also uses `tracks.replay_tracks` and `track_events`, for tracks that another account's run wrote meanwhile.
"""
