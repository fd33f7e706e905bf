"""Reads Boomplay's favourites list into one confirmed snapshot. Runs no SQL."""
