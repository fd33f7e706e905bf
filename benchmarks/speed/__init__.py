"""The same work done by favsync, by other tools and at the floor, on the same lists. Not here: whether it is right."""
