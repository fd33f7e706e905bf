-- A track that was removed from an account's favourites and added again.
-- list: Removed, and then back
-- order: -returned_at, account, track_id
-- since: returned_at
WITH stays AS (
    SELECT
        c.name AS account,
        f.account_id,
        f.favourite_id,
        f.track_id,
        f.valid_to AS removed_at,
        (
            SELECT min(n.valid_from)
            FROM favourites n
            WHERE n.account_id = f.account_id AND n.track_id = f.track_id AND n.valid_from > f.valid_from
        ) AS returned_at
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    WHERE f.valid_to IS NOT NULL
)
SELECT
    s.account,
    s.track_id,
    t.title,
    ${artists} AS artists,
    s.removed_at,
    s.returned_at,
    ${days_between(s.removed_at; s.returned_at)} AS days_away,
    EXISTS (
        SELECT 1 FROM favourites n WHERE n.account_id = s.account_id AND n.track_id = s.track_id AND n.valid_to IS NULL
    ) AS is_current,
    s.account_id,
    s.favourite_id
FROM stays s
JOIN tracks t ON t.track_id = s.track_id
WHERE s.returned_at IS NOT NULL
