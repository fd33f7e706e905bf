"""Replay: recomputes the history from stored snapshots.

Others use: `rebuild`, `import_snapshots`, `review`, `retract`, `prune`, `erase`; inside the package and in `etl.sync`:
`favourites.replay_favourites`, `tracks.replay_tracks`.
"""
