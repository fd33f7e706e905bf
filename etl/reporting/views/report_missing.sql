-- A favourite that the newest whole lists did not have. Its removal is not recorded yet, and removable_at is the earliest time for it.
-- list: Favourites that are missing from the list
-- order: account, -missing_since, track_id
-- since: missing_since
WITH missed AS (
    SELECT
        f.account_id,
        f.favourite_id,
        f.track_id,
        f.missing_since,
        f.last_seen_at,
        (
            SELECT ${catalogue_answer(m.memory; f.track_id)}
            FROM removal_memory m
            WHERE m.account_id = f.account_id
        ) AS likely_reason,
        (
            SELECT max(r.run_id)
            FROM runs r
            WHERE r.account_id = f.account_id AND ${observation(r)} AND r.observed_at = (
                SELECT max(n.observed_at) FROM runs n WHERE n.account_id = f.account_id AND ${observation(n)}
            )
        ) AS newest_run_id
    FROM favourites f
    WHERE f.last_seen_at IS NOT NULL AND f.missing_since IS NOT NULL
)
SELECT
    c.name AS account,
    f.track_id,
    t.title,
    ${artists} AS artists,
    f.missing_since,
    f.last_seen_at,
    f.likely_reason,
    CASE
        WHEN f.likely_reason = 'withdrawn' AND r.withdrawal_grace_seconds > r.removal_grace_seconds
            THEN ${later(f.missing_since; r.withdrawal_grace_seconds)}
        ELSE ${later(f.missing_since; r.removal_grace_seconds)}
    END AS removable_at,
    f.account_id,
    f.favourite_id
FROM missed f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
LEFT JOIN runs r ON r.run_id = f.newest_run_id
