-- A market, and how many (available) of an account's current favourites can be played there.
-- list: How much plays in each market
-- order: account, -available, market_code
-- as-of: yes
WITH totals AS (
    SELECT c.name AS account, count(*) AS favourites
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    WHERE f.valid_to IS NULL
    GROUP BY c.name
),
sets AS (
    SELECT c.name AS account, t.market_set_id, count(*) AS tracks
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    JOIN tracks t ON t.track_id = f.track_id
    WHERE f.valid_to IS NULL
    GROUP BY c.name, t.market_set_id
),
playable AS (
    SELECT s.account, h.market_code, CAST(sum(s.tracks) AS bigint) AS available
    FROM sets s
    JOIN market_set_members h ON h.market_set_id = s.market_set_id
    GROUP BY s.account, h.market_code
)
SELECT
    p.account,
    m.market_code,
    m.name AS market,
    m.region,
    p.available,
    o.favourites,
    ${share(p.available; o.favourites)} AS share,
    m.continent
FROM playable p
JOIN totals o ON o.account = p.account
JOIN markets m ON m.market_code = p.market_code
UNION ALL
SELECT o.account, m.market_code, m.name, m.region, 0, o.favourites, ${share(0; o.favourites)}, m.continent
FROM totals o
CROSS JOIN markets m
WHERE NOT EXISTS (
    SELECT 1
    FROM sets s
    JOIN market_set_members h ON h.market_set_id = s.market_set_id AND h.market_code = m.market_code
    WHERE s.account = o.account
)
