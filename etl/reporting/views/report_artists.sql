-- An artist of an account's favourites, now or ever; total_seconds is how long the current ones play.
-- list: Artists, by favourites now and ever
-- order: account, -current_favourites, -ever_favourites, artist_id
-- as-of: yes
SELECT
    c.name AS account,
    n.artist_id,
    n.name,
    count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS current_favourites,
    count(DISTINCT f.track_id) AS ever_favourites,
    count(DISTINCT f.track_id) - count(CASE WHEN f.valid_to IS NULL THEN 1 END) AS removed_favourites,
    CAST(coalesce(sum(CASE WHEN f.valid_to IS NULL THEN t.duration_seconds END), 0) AS bigint) AS total_seconds
FROM favourites f
JOIN accounts c ON c.account_id = f.account_id
JOIN tracks t ON t.track_id = f.track_id
JOIN track_artists l ON l.track_id = f.track_id
JOIN artists n ON n.artist_id = l.artist_id
GROUP BY c.name, n.artist_id, n.name
