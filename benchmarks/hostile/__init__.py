"""How many removals are false, and how many are missed, when the service misbehaves? See `benchmarks.hostile.__main__`."""
