-- A market in which a current favourite of an account could be played before, but not now.
-- list: Favourites that a market has lost
-- order: -lost_at, account, track_id, market_code
-- since: lost_at
WITH losses AS (
    SELECT v.track_id, m.market_code, max(v.valid_to) AS lost_at
    FROM track_versions v
    JOIN tracks t ON t.track_id = v.track_id AND t.market_set_id <> v.market_set_id
    JOIN market_set_members m ON m.market_set_id = v.market_set_id
    WHERE v.valid_to IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM market_set_members h WHERE h.market_set_id = t.market_set_id AND h.market_code = m.market_code
    )
    GROUP BY v.track_id, m.market_code
)
SELECT
    c.name AS account,
    l.market_code,
    k.name AS market,
    k.region,
    f.track_id,
    t.title,
    ${artists} AS artists,
    l.lost_at
FROM losses l
JOIN favourites f ON f.track_id = l.track_id AND f.valid_to IS NULL
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
JOIN markets k ON k.market_code = l.market_code
