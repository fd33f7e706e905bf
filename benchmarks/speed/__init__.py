"""The same work done by favsync, by other tools and at the floor, on the same lists."""
