-- A track that accounts added or removed in the 60 days up to the newest look: the last 30 days beside the 30 before.
-- list: Tracks that accounts are adding now
-- order: -rise, -added, track_id
WITH newest AS (
    SELECT max(r.observed_at) AS until, ${days_before(max(r.observed_at); 30)} AS middle, ${days_before(max(r.observed_at); 60)} AS begin
    FROM runs r
    WHERE ${observation(r)}
),
counted AS (
    SELECT
        f.track_id,
        count(CASE WHEN f.added_after IS NOT NULL AND f.valid_from > n.middle THEN 1 END) AS added,
        count(CASE WHEN f.valid_to > n.middle THEN 1 END) AS removed,
        count(CASE WHEN f.added_after IS NOT NULL AND f.valid_from > n.begin AND f.valid_from <= n.middle THEN 1 END) AS added_before,
        n.until
    FROM favourites f
    CROSS JOIN newest n
    WHERE (f.added_after IS NOT NULL AND f.valid_from > n.begin) OR f.valid_to > n.middle
    GROUP BY f.track_id, n.until
)
SELECT
    n.track_id,
    t.title,
    ${artists} AS artists,
    n.added,
    n.removed,
    n.added_before,
    n.added - n.added_before AS rise,
    n.until
FROM counted n
JOIN tracks t ON t.track_id = n.track_id
