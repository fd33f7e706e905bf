-- An artist whose first track joined an account's favourites, or was already there, or whose last track left them.
-- list: Artists that came and went
-- order: -changed_at, account, change, artist_id
-- since: changed_at
WITH sides AS (
    SELECT 1 AS side
    UNION ALL
    SELECT -1
),
moments AS (
    SELECT
        c.name AS account,
        c.account_id,
        l.artist_id,
        CASE e.side WHEN 1 THEN f.valid_from ELSE f.valid_to END AS changed_at,
        sum(e.side) AS step,
        max(CASE WHEN e.side = -1 OR f.added_after IS NOT NULL THEN 1 ELSE 0 END) AS is_dated
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    JOIN track_artists l ON l.track_id = f.track_id
    CROSS JOIN sides e
    WHERE e.side = 1 OR f.valid_to IS NOT NULL
    GROUP BY c.account_id, l.artist_id, CASE e.side WHEN 1 THEN f.valid_from ELSE f.valid_to END, c.name
),
counted AS (
    SELECT
        account,
        account_id,
        artist_id,
        changed_at,
        step,
        is_dated,
        sum(step) OVER (PARTITION BY account_id, artist_id, account ORDER BY changed_at) AS favourites
    FROM moments
)
SELECT
    m.account,
    m.changed_at,
    CASE WHEN m.favourites = 0 THEN 'lost' WHEN m.is_dated = 0 THEN 'already there' ELSE 'gained' END AS change,
    m.artist_id,
    n.name,
    CAST(m.favourites AS bigint) AS favourites,
    m.account_id
FROM counted m
JOIN artists n ON n.artist_id = m.artist_id
WHERE m.step <> 0 AND (m.favourites = 0 OR m.favourites = m.step)
