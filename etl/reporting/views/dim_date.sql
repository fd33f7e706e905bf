-- A day (UTC) from the first look at any account to the last one.
-- list: The calendar, to join empty days
-- order: day
-- since: day
WITH RECURSIVE looks AS (
    SELECT min(r.observed_at) AS first_at, max(r.observed_at) AS last_at
    FROM runs r
    WHERE ${observation(r)}
),
days AS (
    SELECT ${day(l.first_at)} AS day, ${day(l.last_at)} AS last_day
    FROM looks l
    WHERE l.first_at IS NOT NULL
    UNION ALL
    SELECT ${next_day(d.day)} AS day, d.last_day
    FROM days d
    WHERE d.day < d.last_day
)
SELECT
    d.day,
    ${year(d.day)} AS year,
    (${month_number(d.day)} + 2) / 3 AS quarter,
    ${month_number(d.day)} AS month_number,
    ${month_of(d.day)} AS month,
    ${week_of(d.day)} AS week,
    ${weekday(d.day)} AS weekday,
    ${weekday(d.day)} > 5 AS is_weekend
FROM days d
