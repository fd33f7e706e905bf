-- The favourites that were added in a month (the cohort, UTC), and how many were still there at the end of a later month.
-- list: What is left of each month's additions
-- order: account, -cohort, months
-- since: cohort
WITH ends AS (
    SELECT DISTINCT month FROM dim_date
),
seen AS (
    SELECT r.account_id, ${month(max(r.observed_at))} AS last_month
    FROM runs r
    WHERE ${observation(r)}
    GROUP BY r.account_id
),
counted AS (
    SELECT
        c.name AS account,
        c.account_id,
        ${month(f.valid_from)} AS cohort,
        e.month,
        count(*) AS size,
        count(CASE WHEN f.valid_to IS NULL OR ${month(f.valid_to)} > e.month THEN 1 END) AS kept
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    JOIN seen n ON n.account_id = f.account_id
    CROSS JOIN ends e
    WHERE f.added_after IS NOT NULL AND e.month >= ${month(f.valid_from)} AND e.month < n.last_month
    GROUP BY c.name, c.account_id, ${month(f.valid_from)}, e.month
)
SELECT
    account,
    cohort,
    (${year(month)} - ${year(cohort)}) * 12 + ${month_number(month)} - ${month_number(cohort)} AS months,
    month,
    size,
    kept,
    ${share(kept; size)} AS share,
    account_id
FROM counted
