-- A week (from Monday, UTC) in which an account's favourites changed; churn is the share removed of those at its start.
-- list: Added, removed and churn, week by week
-- order: account, -week
-- since: week
WITH sides AS (
    SELECT 1 AS side
    UNION ALL
    SELECT -1
),
weeks AS (
    SELECT
        c.name AS account,
        c.account_id,
        CASE e.side WHEN 1 THEN ${week(f.valid_from)} ELSE ${week(f.valid_to)} END AS week,
        sum(CASE WHEN e.side = 1 AND f.added_after IS NOT NULL THEN 1 ELSE 0 END) AS added,
        sum(CASE e.side WHEN 1 THEN 0 ELSE 1 END) AS removed,
        sum(CASE WHEN e.side = 1 AND f.added_after IS NULL THEN 1 ELSE 0 END) AS already_there
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    CROSS JOIN sides e
    WHERE e.side = 1 OR f.valid_to IS NOT NULL
    GROUP BY c.account_id, CASE e.side WHEN 1 THEN ${week(f.valid_from)} ELSE ${week(f.valid_to)} END, c.name
),
totals AS (
    SELECT
        account,
        account_id,
        week,
        added,
        removed,
        already_there,
        CAST(sum(already_there + added - removed) OVER (PARTITION BY account_id, account ORDER BY week) AS bigint) AS total
    FROM weeks
)
SELECT
    w.account,
    w.week,
    w.total - w.already_there - w.added + w.removed AS before,
    w.added,
    w.removed,
    w.total,
    ${share(w.removed; w.total - w.already_there - w.added + w.removed)} AS churn,
    w.already_there,
    w.account_id
FROM totals w
