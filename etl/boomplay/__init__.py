"""Client for Boomplay's API; the only package that uses httpx. Importing the package itself imports nothing.

Other packages use `client` (`Boomplay`), `catalogue` (`TrackCatalogue`), `http` (`HttpOptions`), `oauth` (sign-in,
`TokenEndpoint`), `tokens` (token sources), `payloads` (`User`, `Token`) and `address` (`is_loopback`); tests also reset
`rate_limit` and `transport`. Only errors of `etl.errors` leave the package, and no token is in any of them.
"""
