"""Turns raw items into tracks, and snapshots into history. Pure: no I/O and no clock."""
