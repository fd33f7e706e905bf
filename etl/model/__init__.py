"""Records that all packages share: list items, tracks, intervals, run results. Pure: no I/O and no clock."""
