-- A market that a track can be played in.
-- list: The markets of each track
-- order: track_id, market_code
SELECT t.track_id, m.market_code
FROM tracks t
JOIN market_set_members m ON m.market_set_id = t.market_set_id
