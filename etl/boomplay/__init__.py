"""Client for Boomplay's API; the only package that uses httpx. Importing the package itself imports nothing.

Other packages use `client` (`Boomplay`, `TrackCatalogue`), `http` (`HttpOptions`), `retry` (`RetryPolicy`), `oauth` (sign-in,
`TokenEndpoint`), `tokens` (token sources), `payloads` (`User`, `Token`) and `covers`; tests also
reset `waiting` and `transport`. Only errors of `etl.errors` leave the package, and no token is in any of them.
"""
