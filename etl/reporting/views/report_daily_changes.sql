-- A day (UTC) on which favsync saw an account's favourites change, and their number at its end. The first look adds nothing.
-- list: Added, removed and total, day by day
-- order: account, -day
-- since: day
WITH sides AS (
    SELECT 1 AS side
    UNION ALL
    SELECT -1
),
days AS (
    SELECT
        c.name AS account,
        c.account_id,
        CASE e.side WHEN 1 THEN ${day(f.valid_from)} ELSE ${day(f.valid_to)} END AS day,
        sum(CASE WHEN e.side = 1 AND f.added_after IS NOT NULL THEN 1 ELSE 0 END) AS added,
        sum(CASE e.side WHEN 1 THEN 0 ELSE 1 END) AS removed,
        sum(CASE WHEN e.side = 1 AND f.added_after IS NULL THEN 1 ELSE 0 END) AS already_there
    FROM favourites f
    JOIN accounts c ON c.account_id = f.account_id
    CROSS JOIN sides e
    WHERE e.side = 1 OR f.valid_to IS NOT NULL
    GROUP BY c.account_id, CASE e.side WHEN 1 THEN ${day(f.valid_from)} ELSE ${day(f.valid_to)} END, c.name
)
SELECT
    d.account,
    d.day,
    d.added,
    d.removed,
    CAST(sum(d.already_there + d.added - d.removed) OVER (PARTITION BY d.account_id, d.account ORDER BY d.day) AS bigint) AS total,
    d.already_there,
    d.account_id
FROM days d
