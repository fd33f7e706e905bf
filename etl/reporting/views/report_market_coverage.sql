-- A market, and how many (available) of an account's current favourites play there; share: of those whose markets are known.
-- list: How much plays in each market
-- order: account, -is_iso, -available, market_code
-- as-of: yes
WITH numbered AS MATERIALIZED (
    SELECT market_code, name, region, continent, is_iso, row_number() OVER (ORDER BY market_code) AS number
    FROM markets
),
large AS MATERIALIZED (
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
    -- The set 0, which every account has, adds nothing: so each market has a row.
    SELECT 0, number, 0
    FROM numbered
    UNION ALL
    SELECT g.market_set_id, m.number, -1 AS step
    FROM large g
    CROSS JOIN numbered m
    WHERE NOT EXISTS (
        SELECT 1 FROM market_set_members h WHERE h.market_set_id = g.market_set_id AND h.market_code = m.market_code
    )
),
counted AS (
    -- A subquery in json_each runs once an account, so that one account is quick and all are, too.
    SELECT
        c.name AS account,
        c.account_id,
        m.market_code,
        m.name AS market,
        m.region,
        m.continent,
        m.is_iso,
        everywhere.value + v.value AS available,
        listed.value AS favourites,
        known.value AS known
    FROM accounts c
    CROSS JOIN json_each((
        SELECT json_array(json_array(
            count(*), count(t.market_set_id), coalesce(sum(t.market_set_id IN (SELECT market_set_id FROM large)), 0)
        ))
        FROM favourites f
        JOIN tracks t ON t.track_id = f.track_id
        WHERE f.account_id = c.account_id AND f.valid_to IS NULL
    )) n
    CROSS JOIN json_each(n.value, '$[0]') listed
    CROSS JOIN json_each(n.value, '$[1]') known
    CROSS JOIN json_each(n.value, '$[2]') everywhere
    CROSS JOIN json_each((
        SELECT json_group_array(moved)
        FROM (
            SELECT sum(p.step * s.tracks) AS moved
            FROM (
                SELECT t.market_set_id, count(*) AS tracks
                FROM favourites f
                JOIN tracks t ON t.track_id = f.track_id
                WHERE f.account_id = c.account_id AND f.valid_to IS NULL
                GROUP BY t.market_set_id
                UNION ALL
                SELECT 0, 1
            ) s
            JOIN steps p ON p.market_set_id = s.market_set_id
            GROUP BY p.number
            ORDER BY p.number
        )
    )) v
    CROSS JOIN numbered m
    WHERE m.number = v.key + 1 AND listed.value > 0
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
