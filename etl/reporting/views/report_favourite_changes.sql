-- A track that was added to or removed from an account's favourites, or is missing, after not_before and by changed_at.
-- list: Each addition, removal and missing track
-- order: -changed_at, account, change, track_id
-- since: changed_at
SELECT
    c.name AS account,
    f.valid_from AS changed_at,
    f.added_after AS not_before,
    CASE WHEN f.added_after IS NULL THEN 'already there' ELSE 'added' END AS change,
    f.track_id,
    t.title,
    ${known_artists} AS artists,
    f.added_run_id AS run_id,
    CAST(NULL AS text) AS removal_reason,
    c.account_id,
    f.favourite_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
${join_artists}
UNION ALL
SELECT
    c.name AS account,
    f.valid_to AS changed_at,
    f.removed_after AS not_before,
    'removed' AS change,
    f.track_id,
    t.title,
    ${known_artists} AS artists,
    f.removed_run_id AS run_id,
    f.removal_reason,
    c.account_id,
    f.favourite_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
${join_artists}
WHERE f.valid_to IS NOT NULL
UNION ALL
SELECT
    c.name AS account,
    f.missing_since AS changed_at,
    f.last_seen_at AS not_before,
    'missing' AS change,
    f.track_id,
    t.title,
    ${known_artists} AS artists,
    (
        SELECT min(r.run_id)
        FROM runs r
        WHERE r.account_id = f.account_id AND r.observed_at = f.missing_since AND r.proves_absence AND ${observation(r)}
    ) AS run_id,
    CAST(NULL AS text) AS removal_reason,
    c.account_id,
    f.favourite_id
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
${join_artists}
WHERE f.last_seen_at IS NOT NULL AND f.missing_since IS NOT NULL
