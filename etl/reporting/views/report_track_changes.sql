-- An attribute of a track that Boomplay changed, first seen at changed_at. Markets are in report_market_changes.
-- list: Titles and other attributes that changed
-- order: -changed_at, track_id, field
-- since: changed_at
WITH pairs AS (
    SELECT
        v.track_id,
        v.valid_from AS changed_at,
        ${fact(p.facts; title)} AS old_title,
        ${fact(v.facts; title)} AS new_title,
        ${fact(p.facts; track_number)} AS old_track_number,
        ${fact(v.facts; track_number)} AS new_track_number,
        ${fact(p.facts; isrc)} AS old_isrc,
        ${fact(v.facts; isrc)} AS new_isrc,
        ${fact(p.facts; duration_seconds)} AS old_duration_seconds,
        ${fact(v.facts; duration_seconds)} AS new_duration_seconds,
        ${fact(p.facts; album_title)} AS old_album_title,
        ${fact(v.facts; album_title)} AS new_album_title,
        ${fact(p.facts; web_url)} AS old_web_url,
        ${fact(v.facts; web_url)} AS new_web_url,
        ${fact(p.facts; mobile_url)} AS old_mobile_url,
        ${fact(v.facts; mobile_url)} AS new_mobile_url,
        ${fact(p.facts; artwork_url)} AS old_artwork_url,
        ${fact(v.facts; artwork_url)} AS new_artwork_url,
        ${artist_facts(p.facts)} AS old_artists,
        ${artist_facts(v.facts)} AS new_artists,
        ${genre_facts(p.facts)} AS old_genres,
        ${genre_facts(v.facts)} AS new_genres
    FROM superseded_versions p
    JOIN track_versions v ON v.track_id = p.track_id AND v.valid_from = p.valid_to
    WHERE p.facts <> v.facts
)
SELECT track_id, changed_at, 'title' AS field, old_title AS old_value, new_title AS new_value
FROM pairs
WHERE ${differ(old_title; new_title)}
UNION ALL
SELECT track_id, changed_at, 'artists' AS field, old_artists AS old_value, new_artists AS new_value
FROM pairs
WHERE ${differ(old_artists; new_artists)}
UNION ALL
SELECT track_id, changed_at, 'album' AS field, old_album_title AS old_value, new_album_title AS new_value
FROM pairs
WHERE ${differ(old_album_title; new_album_title)}
UNION ALL
SELECT track_id, changed_at, 'genres' AS field, old_genres AS old_value, new_genres AS new_value
FROM pairs
WHERE ${differ(old_genres; new_genres)}
UNION ALL
SELECT track_id, changed_at, 'track_number' AS field, old_track_number AS old_value, new_track_number AS new_value
FROM pairs
WHERE ${differ(old_track_number; new_track_number)}
UNION ALL
SELECT track_id, changed_at, 'duration_seconds' AS field, old_duration_seconds AS old_value, new_duration_seconds AS new_value
FROM pairs
WHERE ${differ(old_duration_seconds; new_duration_seconds)}
UNION ALL
SELECT track_id, changed_at, 'isrc' AS field, old_isrc AS old_value, new_isrc AS new_value
FROM pairs
WHERE ${differ(old_isrc; new_isrc)}
UNION ALL
SELECT track_id, changed_at, 'web_url' AS field, old_web_url AS old_value, new_web_url AS new_value
FROM pairs
WHERE ${differ(old_web_url; new_web_url)}
UNION ALL
SELECT track_id, changed_at, 'mobile_url' AS field, old_mobile_url AS old_value, new_mobile_url AS new_value
FROM pairs
WHERE ${differ(old_mobile_url; new_mobile_url)}
UNION ALL
SELECT track_id, changed_at, 'artwork_url' AS field, old_artwork_url AS old_value, new_artwork_url AS new_value
FROM pairs
WHERE ${differ(old_artwork_url; new_artwork_url)}
