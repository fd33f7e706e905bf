-- An artist of tracks that accounts added or removed in the 60 days up to the newest look: the last 30 days beside the 30 before.
-- list: Artists that accounts are adding now
-- order: -rise, -added, artist_id
SELECT
    a.artist_id,
    a.name,
    CAST(sum(r.added) AS bigint) AS added,
    CAST(sum(r.removed) AS bigint) AS removed,
    CAST(sum(r.added_before) AS bigint) AS added_before,
    CAST(sum(r.rise) AS bigint) AS rise,
    r.until
FROM report_trending_tracks r
JOIN track_artists l ON l.track_id = r.track_id
JOIN artists a ON a.artist_id = l.artist_id
GROUP BY a.artist_id, a.name, r.until
