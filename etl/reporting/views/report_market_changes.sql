-- A market that a track gained or lost, first seen at changed_at.
-- list: Markets that tracks gained and lost
-- order: -changed_at, track_id, change, market_code
-- since: changed_at
SELECT v.track_id, t.title, m.market_code, 'gained' AS change, v.valid_from AS changed_at
FROM superseded_versions p
JOIN track_versions v ON v.track_id = p.track_id AND v.valid_from = p.valid_to AND v.market_set_id <> p.market_set_id
JOIN tracks t ON t.track_id = v.track_id
JOIN market_set_members m ON m.market_set_id = v.market_set_id
WHERE NOT EXISTS (
    SELECT 1 FROM market_set_members o WHERE o.market_set_id = p.market_set_id AND o.market_code = m.market_code
)
UNION ALL
SELECT v.track_id, t.title, m.market_code, 'lost' AS change, v.valid_from AS changed_at
FROM superseded_versions p
JOIN track_versions v ON v.track_id = p.track_id AND v.valid_from = p.valid_to AND v.market_set_id <> p.market_set_id
JOIN tracks t ON t.track_id = v.track_id
JOIN market_set_members m ON m.market_set_id = p.market_set_id
WHERE NOT EXISTS (
    SELECT 1 FROM market_set_members o WHERE o.market_set_id = v.market_set_id AND o.market_code = m.market_code
)
