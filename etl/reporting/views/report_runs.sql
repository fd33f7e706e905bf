-- A run: what a sync or an import saw, what it changed, and how it ended; an import has no seconds.
-- list: What each run saw and changed
-- order: -run_id
-- since: started_at
SELECT
    c.name AS account,
    r.run_id,
    r.trigger,
    r.outcome,
    r.reason,
    r.proven,
    r.started_at,
    CASE WHEN r.trigger = 'backfill' AND r.requests = 0 THEN NULL ELSE ${seconds_between(r.started_at; r.finished_at)} END AS seconds,
    r.favourites,
    r.added,
    r.removed,
    r.held,
    r.rejected,
    r.missing,
    r.observed_at,
    r.retracted_at,
    (
        SELECT count(*)
        FROM favourites f
        WHERE f.account_id = r.account_id AND f.added_run_id = r.run_id AND f.added_after IS NULL
    ) AS already_there,
    r.account_id
FROM runs r
JOIN accounts c ON c.account_id = r.account_id
