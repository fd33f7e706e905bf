-- A market, and how many (available) of an account's current favourites can be played there.
-- list: How much plays in each market
-- order: account, -available, market_code
-- as-of: yes
WITH sets AS (
    SELECT f.account_id, t.market_set_id, count(*) AS tracks
    FROM favourites f
    JOIN tracks t ON t.track_id = f.track_id
    WHERE f.valid_to IS NULL
    GROUP BY f.account_id, t.market_set_id
),
totals AS (
    SELECT account_id, CAST(sum(tracks) AS bigint) AS favourites
    FROM sets
    GROUP BY account_id
),
playable AS (
    SELECT s.account_id, m.market_code, CAST(sum(s.tracks) AS bigint) AS available
    FROM sets s
    JOIN market_set_members m ON m.market_set_id = s.market_set_id
    GROUP BY s.account_id, m.market_code
)
SELECT
    c.name AS account,
    m.market_code,
    m.name AS market,
    m.region,
    coalesce(p.available, 0) AS available,
    o.favourites,
    ${share(coalesce(p.available, 0); o.favourites)} AS share,
    m.continent
FROM totals o
JOIN accounts c ON c.account_id = o.account_id
CROSS JOIN markets m
LEFT JOIN playable p ON p.account_id = o.account_id AND p.market_code = m.market_code
