-- The facts of a track that held for a time; facts is all of them, as JSON.
-- list: Each version of each track
-- order: track_id, valid_from
-- since: valid_from
SELECT track_id, valid_from, valid_to, title, album_id, market_set_id, facts, facts_digest
FROM superseded_versions
UNION ALL
SELECT
    t.track_id,
    t.changed_at AS valid_from,
    ${no_instant} AS valid_to,
    t.title,
    t.album_id,
    t.market_set_id,
    coalesce(t.facts, ${facts}) AS facts,
    t.facts_digest
FROM tracks t
WHERE t.facts_digest IS NOT NULL
