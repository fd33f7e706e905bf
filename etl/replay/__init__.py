"""Recomputes the history from stored snapshots: rebuild, import, review, retract, prune, erase."""
