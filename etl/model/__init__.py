"""Records that all packages share: items, pages, snapshots, tracks, intervals, run results. Pure: no I/O and no clock.

Others use: `records`, `result.RunResult`, `encoding`.
"""
