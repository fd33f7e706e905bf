-- An account, and the number of days after which half of its favourites are gone (NULL: more than half are still there).
-- list: After how many days half are gone
-- order: account
-- narrow: yes
WITH halves AS (
    SELECT account, min(days) AS half_life_days
    FROM report_survival
    WHERE survival <= 0.5
    GROUP BY account
),
stays AS (
    SELECT account_id, count(*) AS stays, count(valid_to) AS removed
    FROM favourites
    WHERE added_after IS NOT NULL
    GROUP BY account_id
)
SELECT c.name AS account, s.stays, s.removed, h.half_life_days, s.account_id
FROM stays s
JOIN accounts c ON c.account_id = s.account_id
LEFT JOIN halves h ON h.account = c.name
