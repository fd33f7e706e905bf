-- A month (UTC) in which an account gained or lost artists; churn is the share lost of those at its start.
-- list: Artists gained and lost, month by month
-- order: account, -month
-- since: month
WITH months AS (
    SELECT DISTINCT
        account,
        account_id,
        ${month(changed_at)} AS month,
        count(CASE WHEN change = 'gained' THEN 1 END) OVER in_month AS gained,
        count(CASE WHEN change = 'lost' THEN 1 END) OVER in_month AS lost,
        count(CASE WHEN change = 'already there' THEN 1 END) OVER in_month AS already_there
    FROM report_artist_changes
    WINDOW in_month AS (PARTITION BY account_id, ${month(changed_at)}, account)
),
totals AS (
    SELECT
        account,
        account_id,
        month,
        gained,
        lost,
        already_there,
        CAST(sum(already_there + gained - lost) OVER (PARTITION BY account_id, account ORDER BY month) AS bigint) AS total
    FROM months
)
SELECT
    t.account,
    t.month,
    t.total - t.already_there - t.gained + t.lost AS before,
    t.gained,
    t.lost,
    t.total,
    ${share(t.lost; t.total - t.already_there - t.gained + t.lost)} AS churn,
    t.already_there,
    t.account_id
FROM totals t
