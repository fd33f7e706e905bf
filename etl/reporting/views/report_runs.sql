-- A run: what a sync or an import saw, what it changed, and how it ended.
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
    ${seconds_between(r.started_at; r.finished_at)} AS seconds,
    r.favourites,
    r.added,
    r.removed,
    r.held,
    r.rejected,
    r.missing,
    r.observed_at,
    r.retracted_at
FROM runs r
JOIN accounts c ON c.account_id = r.account_id
