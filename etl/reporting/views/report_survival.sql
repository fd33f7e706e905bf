-- An age in days at which favourites of an account were removed, and the share of favourites that outlives it (Kaplan-Meier).
-- list: What share outlives each age
-- order: account, days
-- narrow: yes
WITH RECURSIVE seen AS (
    SELECT r.account_id, max(r.observed_at) AS seen_at
    FROM runs r
    WHERE ${observation(r)}
    GROUP BY r.account_id
),
stays AS (
    SELECT
        f.account_id,
        ${whole_days(f.valid_from; coalesce(f.valid_to, f.last_seen_at, s.seen_at))} AS days,
        CASE WHEN f.valid_to IS NULL THEN 0 ELSE 1 END AS removed
    FROM favourites f
    JOIN seen s ON s.account_id = f.account_id
    WHERE f.added_after IS NOT NULL
),
ages AS (
    SELECT account_id, days, count(*) AS stays, sum(removed) AS removed
    FROM stays
    GROUP BY account_id, days
),
risks AS (
    SELECT
        account_id,
        days,
        removed,
        CAST(sum(stays) OVER (PARTITION BY account_id ORDER BY days DESC) AS bigint) AS at_risk
    FROM ages
),
ends AS (
    SELECT account_id, days, removed, at_risk, row_number() OVER (PARTITION BY account_id ORDER BY days) AS place
    FROM risks
    WHERE removed > 0
),
steps AS (
    SELECT account_id, place, days, at_risk, removed, 1 - CAST(removed AS double precision) / at_risk AS survival
    FROM ends
    WHERE place = 1
    UNION ALL
    SELECT e.account_id, e.place, e.days, e.at_risk, e.removed,
        s.survival * (1 - CAST(e.removed AS double precision) / e.at_risk)
    FROM steps s
    JOIN ends e ON e.account_id = s.account_id AND e.place = s.place + 1
)
SELECT c.name AS account, s.days, s.at_risk, s.removed, ${rounded(s.survival; 4)} AS survival, s.account_id
FROM steps s
JOIN accounts c ON c.account_id = s.account_id
