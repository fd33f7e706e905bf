"""Extract: reads Boomplay's favourites list into one confirmed `Snapshot`. Runs no SQL.

Others use: `snapshot.take_snapshot`, `snapshot.require_owner`, `snapshot.FavouritesApi`, `snapshot.RunOptions`.
"""
