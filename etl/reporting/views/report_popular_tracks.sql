-- A track, and how many accounts have it among their favourites now, had it ever, and let it go.
-- list: Tracks that most accounts have
-- order: -accounts, -accounts_ever, track_id
WITH owned AS (
    SELECT f.track_id, f.account_id, max(CASE WHEN f.valid_to IS NULL THEN 1 ELSE 0 END) AS is_current
    FROM favourites f
    GROUP BY f.track_id, f.account_id
),
counted AS (
    SELECT track_id, CAST(sum(is_current) AS bigint) AS accounts, count(*) AS accounts_ever
    FROM owned
    GROUP BY track_id
)
SELECT
    n.track_id,
    t.title,
    ${artists} AS artists,
    n.accounts,
    n.accounts_ever,
    n.accounts_ever - n.accounts AS accounts_lost
FROM counted n
JOIN tracks t ON t.track_id = n.track_id
