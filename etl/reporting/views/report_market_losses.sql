-- A market in which a current favourite of an account could be played while it was one, but not now.
-- list: Favourites that a market has lost
-- order: -lost_at, account, track_id, market_code
-- since: lost_at
WITH losses AS (
    SELECT t.track_id, t.title, ${artists} AS artists, m.market_code, k.name AS market, k.region, max(v.valid_to) AS lost_at
    FROM superseded_versions v
    JOIN tracks t ON t.track_id = v.track_id AND t.market_set_id <> v.market_set_id
    JOIN market_set_members m ON m.market_set_id = v.market_set_id
    JOIN markets k ON k.market_code = m.market_code
    WHERE NOT EXISTS (
        SELECT 1 FROM market_set_members h WHERE h.market_set_id = t.market_set_id AND h.market_code = m.market_code
    )
    GROUP BY t.track_id, m.market_code, t.title, k.name, k.region
)
SELECT
    c.name AS account,
    t.market_code,
    t.market,
    t.region,
    t.track_id,
    t.title,
    t.artists,
    t.lost_at,
    c.account_id,
    f.favourite_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
CROSS JOIN losses t
-- The sum keeps PostgreSQL, which expects few losses, from an index scan for each of them.
WHERE t.track_id = f.track_id + 0 AND t.lost_at > f.valid_from AND f.valid_to IS NULL
