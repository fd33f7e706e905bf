-- An artist who came into an account's favourites with the first track, or left them with the last.
-- list: Artists that came and went
-- order: -changed_at, account, change, artist_id
-- since: changed_at
WITH steps AS (
    SELECT f.account_id, l.artist_id, f.valid_from AS changed_at, 1 AS step
    FROM favourites f
    JOIN track_artists l ON l.track_id = f.track_id
    UNION ALL
    SELECT f.account_id, l.artist_id, f.valid_to, -1
    FROM favourites f
    JOIN track_artists l ON l.track_id = f.track_id
    WHERE f.valid_to IS NOT NULL
),
moments AS (
    SELECT account_id, artist_id, changed_at, sum(step) AS step
    FROM steps
    GROUP BY account_id, artist_id, changed_at
),
counted AS (
    SELECT
        account_id,
        artist_id,
        changed_at,
        step,
        sum(step) OVER (PARTITION BY account_id, artist_id ORDER BY changed_at) AS favourites
    FROM moments
)
SELECT
    c.name AS account,
    m.changed_at,
    CASE WHEN m.favourites = 0 THEN 'lost' ELSE 'gained' END AS change,
    m.artist_id,
    n.name,
    CAST(m.favourites AS bigint) AS favourites
FROM counted m
JOIN accounts c ON c.account_id = m.account_id
JOIN artists n ON n.artist_id = m.artist_id
WHERE m.step <> 0 AND (m.favourites = 0 OR m.favourites = m.step)
