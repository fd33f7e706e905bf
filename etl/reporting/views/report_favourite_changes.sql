-- A track that was added to or removed from an account's favourites, after not_before and not later than changed_at.
-- list: Each addition and removal, with bounds
-- order: -changed_at, account, change, track_id
-- since: changed_at
SELECT
    c.name AS account,
    f.valid_from AS changed_at,
    f.added_after AS not_before,
    'added' AS change,
    f.track_id,
    t.title,
    ${artists} AS artists,
    f.added_run_id AS run_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
UNION ALL
SELECT
    c.name AS account,
    f.valid_to AS changed_at,
    f.removed_after AS not_before,
    'removed' AS change,
    f.track_id,
    t.title,
    ${artists} AS artists,
    f.removed_run_id AS run_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
WHERE f.valid_to IS NOT NULL
