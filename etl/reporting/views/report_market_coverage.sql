-- A market, and how many (available) of an account's current favourites can be played there.
-- list: How much plays in each market
-- order: account, -available, market_code
-- as-of: yes
WITH sets AS (
    SELECT c.name AS account, t.market_set_id, count(*) AS tracks
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    JOIN tracks t ON t.track_id = f.track_id
    WHERE f.valid_to IS NULL
    GROUP BY c.name, t.market_set_id
),
playable AS (
    SELECT
        s.account,
        m.market_code,
        m.name AS market,
        m.region,
        m.continent,
        CAST(sum(CASE WHEN h.market_code IS NULL THEN 0 ELSE s.tracks END) AS bigint) AS available,
        CAST(sum(s.tracks) AS bigint) AS favourites
    FROM sets s
    CROSS JOIN markets m
    LEFT JOIN market_set_members h ON h.market_set_id = s.market_set_id AND h.market_code = m.market_code
    GROUP BY s.account, m.market_code, m.name, m.region, m.continent
)
SELECT
    account,
    market_code,
    market,
    region,
    available,
    favourites,
    ${share(available; favourites)} AS share,
    continent
FROM playable
