-- A day (UTC) on which an account's favourites were seen to change, and how many there were at its end.
-- list: Added, removed and total, day by day
-- order: account, -day
-- since: day
WITH steps AS (
    SELECT
        f.account_id,
        ${day(f.valid_from)} AS day,
        1 AS added,
        0 AS removed,
        CASE WHEN f.added_after IS NULL THEN 1 ELSE 0 END AS already_there
    FROM favourites f
    UNION ALL
    SELECT f.account_id, ${day(f.valid_to)}, 0, 1, 0
    FROM favourites f
    WHERE f.valid_to IS NOT NULL
),
days AS (
    SELECT account_id, day, sum(added) AS added, sum(removed) AS removed, sum(already_there) AS already_there
    FROM steps
    GROUP BY account_id, day
)
SELECT
    c.name AS account,
    d.day,
    d.added,
    d.removed,
    CAST(sum(d.added - d.removed) OVER (PARTITION BY d.account_id ORDER BY d.day) AS bigint) AS total,
    d.already_there
FROM days d
JOIN accounts c ON c.account_id = d.account_id
