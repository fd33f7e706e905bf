-- A market, and how many (available) of an account's current favourites play there; share: of those whose markets are known.
-- list: How much plays in each market
-- order: account, -is_iso, -available, market_code
-- as-of: yes
-- narrow: yes
WITH numbered AS (
    SELECT market_code, name, region, continent, is_iso, row_number() OVER (ORDER BY market_code) AS number
    FROM markets
),
large AS (
    SELECT market_set_id
    FROM market_sets
    WHERE size * 2 > (SELECT count(*) FROM markets)
),
steps AS (
    -- A small set adds its markets. A large one counts everywhere, less the few markets that it does not have.
    SELECT h.market_set_id, m.number, 1 AS step
    FROM market_set_members h
    JOIN numbered m ON m.market_code = h.market_code
    WHERE h.market_set_id NOT IN (SELECT market_set_id FROM large)
    UNION ALL
    SELECT g.market_set_id, m.number, -1 AS step
    FROM large g
    CROSS JOIN numbered m
    WHERE NOT EXISTS (
        SELECT 1 FROM market_set_members h WHERE h.market_set_id = g.market_set_id AND h.market_code = m.market_code
    )
),
sets AS (
    SELECT f.account_id, t.market_set_id, count(*) AS tracks
    FROM favourites f
    JOIN tracks t ON t.track_id = f.track_id
    WHERE f.valid_to IS NULL
    GROUP BY f.account_id, t.market_set_id
),
totals AS (
    SELECT
        account_id,
        sum(tracks) AS favourites,
        sum(CASE WHEN market_set_id IS NULL THEN 0 ELSE tracks END) AS known,
        sum(CASE WHEN market_set_id IN (SELECT market_set_id FROM large) THEN tracks ELSE 0 END) AS available
    FROM sets
    GROUP BY account_id
),
moved AS (
    -- One integer as the key of account and market: SQLite sorts it in half the time of two.
    SELECT s.account_id * 100000 + p.number AS place, sum(p.step * s.tracks) AS available
    FROM sets s
    JOIN steps p ON p.market_set_id = s.market_set_id
    GROUP BY s.account_id * 100000 + p.number
),
counted AS (
    SELECT
        c.name AS account,
        c.account_id,
        m.market_code,
        m.name AS market,
        m.region,
        m.continent,
        m.is_iso,
        CAST(n.available + coalesce(v.available, 0) AS bigint) AS available,
        CAST(n.favourites AS bigint) AS favourites,
        CAST(n.known AS bigint) AS known
    FROM totals n
    JOIN accounts c ON c.account_id = n.account_id
    CROSS JOIN numbered m
    LEFT JOIN moved v ON v.place = n.account_id * 100000 + m.number
)
SELECT
    account,
    market_code,
    market,
    region,
    available,
    favourites,
    ${share(available; known)} AS share,
    continent,
    known,
    favourites - known AS unknown,
    account_id,
    is_iso
FROM counted
