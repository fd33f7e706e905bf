-- A day (UTC) between an account's first and last look: its favourites at the end, and whether anybody looked on it.
-- list: Every day, and whether favsync looked
-- order: account, -day
-- since: day
-- narrow: yes
WITH looks AS (
    SELECT r.account_id, ${day(r.observed_at)} AS day, count(*) AS looks
    FROM runs r
    WHERE ${observation(r)}
    GROUP BY r.account_id, ${day(r.observed_at)}
),
events AS (
    SELECT g.account_id, d.day, 0 AS looks, 0 AS added, 0 AS removed, 0 AS already_there
    FROM (SELECT account_id, min(day) AS first_day, max(day) AS last_day FROM looks GROUP BY account_id) g
    JOIN dim_date d ON d.day >= g.first_day AND d.day <= g.last_day
    UNION ALL
    SELECT account_id, day, looks, 0 AS added, 0 AS removed, 0 AS already_there
    FROM looks
    UNION ALL
    SELECT account_id, day, 0 AS looks, added, removed, already_there
    FROM report_daily_changes
),
days AS (
    SELECT
        account_id,
        day,
        CAST(sum(looks) AS bigint) AS looks,
        CAST(sum(added) AS bigint) AS added,
        CAST(sum(removed) AS bigint) AS removed,
        CAST(sum(already_there) AS bigint) AS already_there
    FROM events
    GROUP BY account_id, day
)
SELECT
    c.name AS account,
    s.day,
    s.looks > 0 AS looked,
    CAST(sum(s.already_there + s.added - s.removed) OVER (PARTITION BY s.account_id ORDER BY s.day) AS bigint) AS favourites,
    s.added,
    s.removed,
    s.already_there,
    s.looks,
    s.account_id
FROM days s
JOIN accounts c ON c.account_id = s.account_id
