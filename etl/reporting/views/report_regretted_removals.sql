-- A track that was removed from an account's favourites and added again.
-- list: Removed, and then back
-- order: -returned_at, account, track_id
-- since: returned_at
WITH stays AS (
    SELECT
        c.name AS account,
        f.track_id,
        f.valid_to AS removed_at,
        lead(f.valid_from) OVER (PARTITION BY c.name, f.track_id ORDER BY f.valid_from) AS returned_at,
        first_value(f.valid_to) OVER (PARTITION BY c.name, f.track_id ORDER BY f.valid_from DESC) IS NULL AS is_current
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
)
SELECT
    s.account,
    s.track_id,
    t.title,
    ${artists} AS artists,
    s.removed_at,
    s.returned_at,
    ${days_between(s.removed_at; s.returned_at)} AS days_away,
    s.is_current
FROM stays s
JOIN tracks t ON t.track_id = s.track_id
WHERE s.returned_at IS NOT NULL
