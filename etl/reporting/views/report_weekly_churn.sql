-- A week (from Monday, UTC) in which an account's favourites changed; churn is the share of those it began with that went.
-- list: Added, removed and churn, week by week
-- order: account, -week
-- since: week
WITH steps AS (
    SELECT f.account_id, ${week(f.valid_from)} AS week, 1 AS added, 0 AS removed
    FROM favourites f
    UNION ALL
    SELECT f.account_id, ${week(f.valid_to)}, 0, 1
    FROM favourites f
    WHERE f.valid_to IS NOT NULL
),
weeks AS (
    SELECT account_id, week, sum(added) AS added, sum(removed) AS removed
    FROM steps
    GROUP BY account_id, week
),
totals AS (
    SELECT
        account_id,
        week,
        added,
        removed,
        CAST(sum(added - removed) OVER (PARTITION BY account_id ORDER BY week) AS bigint) AS total
    FROM weeks
)
SELECT
    c.name AS account,
    w.week,
    w.total - w.added + w.removed AS before,
    w.added,
    w.removed,
    w.total,
    ${share(w.removed; w.total - w.added + w.removed)} AS churn
FROM totals w
JOIN accounts c ON c.account_id = w.account_id
