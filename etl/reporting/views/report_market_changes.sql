-- A market that a track was first seen to be playable in (gained) or no longer (lost), at the latest at changed_at.
-- order: -changed_at, track_id, change, market_code
-- since: changed_at
WITH pairs AS (
    SELECT v.track_id, p.market_set_id AS old_set_id, v.market_set_id AS new_set_id, v.valid_from AS changed_at
    FROM track_versions p
    JOIN track_versions v ON v.track_id = p.track_id AND v.valid_from = p.valid_to
    WHERE p.market_set_id <> v.market_set_id
),
turns AS (
    SELECT DISTINCT old_set_id, new_set_id
    FROM pairs
),
moves AS (
    SELECT n.old_set_id, n.new_set_id, m.market_code, 'gained' AS change
    FROM turns n
    JOIN market_set_members m ON m.market_set_id = n.new_set_id
    LEFT JOIN market_set_members o ON o.market_set_id = n.old_set_id AND o.market_code = m.market_code
    WHERE o.market_code IS NULL
    UNION ALL
    SELECT n.old_set_id, n.new_set_id, m.market_code, 'lost'
    FROM turns n
    JOIN market_set_members m ON m.market_set_id = n.old_set_id
    LEFT JOIN market_set_members o ON o.market_set_id = n.new_set_id AND o.market_code = m.market_code
    WHERE o.market_code IS NULL
)
SELECT p.track_id, t.title, m.market_code, m.change, p.changed_at
FROM pairs p
JOIN moves m ON m.old_set_id = p.old_set_id AND m.new_set_id = p.new_set_id
JOIN tracks t ON t.track_id = p.track_id
