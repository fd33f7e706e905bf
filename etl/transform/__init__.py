"""Transform: turns raw items into tracks, and snapshots into history. Pure: no I/O and no clock.

Others use: `normalise.normalise`, `delta.find_delta`, `track_versions`, `favourite_history.decide_changes` and `replay`,
`removals`, `as_of.answer`, `retention.removable`.
"""
