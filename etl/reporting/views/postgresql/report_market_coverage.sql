-- Counts account by account, as a small group that stays in memory: one account is as quick as its share of all.
WITH numbered AS (
    SELECT market_code, name, region, continent, is_iso, row_number() OVER (ORDER BY market_code) AS number
    FROM markets
),
large AS (
    SELECT market_set_id
    FROM market_sets
    WHERE size * 2 > (SELECT count(*) FROM markets)
),
steps AS MATERIALIZED (
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
)
SELECT
    c.name AS account,
    v.market_code,
    v.market,
    v.region,
    v.available,
    v.favourites,
    ${share(v.available; v.known)} AS share,
    v.continent,
    v.known,
    v.favourites - v.known AS unknown,
    c.account_id,
    v.is_iso
FROM accounts c
CROSS JOIN LATERAL (
    WITH sets AS MATERIALIZED (
        -- An integer: PostgreSQL adds up bigint as numeric, which is slow.
        SELECT t.market_set_id, CAST(count(*) AS integer) AS tracks
        FROM favourites f
        JOIN tracks t ON t.track_id = f.track_id
        WHERE f.account_id = c.account_id AND f.valid_to IS NULL
        GROUP BY t.market_set_id
    ),
    totals AS (
        SELECT
            sum(tracks) AS favourites,
            sum(CASE WHEN market_set_id IS NULL THEN 0 ELSE tracks END) AS known,
            sum(CASE WHEN market_set_id IN (SELECT market_set_id FROM large) THEN tracks ELSE 0 END) AS available
        FROM sets
    ),
    moved AS (
        SELECT p.number, sum(p.step * s.tracks) AS available
        FROM sets s
        JOIN steps p ON p.market_set_id = s.market_set_id
        GROUP BY p.number
    )
    SELECT
        m.market_code,
        m.name AS market,
        m.region,
        m.continent,
        m.is_iso,
        n.available + coalesce(w.available, 0) AS available,
        n.favourites,
        n.known
    FROM totals n
    CROSS JOIN numbered m
    LEFT JOIN moved w ON w.number = m.number
    WHERE n.favourites IS NOT NULL
) v
