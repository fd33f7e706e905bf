-- An account, its last run that proved the whole list (retracted runs do not count), and its last run of any outcome.
-- list: When each list was last proven
-- order: account
WITH last AS (
    SELECT
        c.account_id,
        c.name AS account,
        (
            SELECT max(r.observed_at)
            FROM runs r
            WHERE r.account_id = c.account_id AND r.proven AND ${observation(r)}
        ) AS last_proven_at,
        (SELECT max(r.run_id) FROM runs r WHERE r.account_id = c.account_id AND r.outcome IS NOT NULL) AS run_id
    FROM accounts c
)
SELECT
    l.account,
    l.last_proven_at,
    r.started_at AS last_run_at,
    r.outcome AS last_outcome,
    ${seconds_between(l.last_proven_at; ${now})} AS seconds_since_proven,
    l.account_id
FROM last l
LEFT JOIN runs r ON r.run_id = l.run_id
